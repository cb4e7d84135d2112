"""A scripted game and every trouble there is: each event fits the schema of its type, which has no key too many."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.clash import (
    ClashError,
    IpNotAllowedError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    ServerError,
    UnreachableError,
)
from coc2mqtt.demo import World
from coc2mqtt.events.compare.api_state import initial_api_state, observe_api
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.metadata import Metadata, metadata_model
from coc2mqtt.events.record import MAX_EVENT_BYTES, EventRecord
from coc2mqtt.events.resource import Kind
from coc2mqtt.journal.protocol import JournalEntry
from coc2mqtt.mqtt.payloads.event import encode_event
from coc2mqtt.mqtt.schemas import schemas
from tests.service.test_end_to_end import all_changes
from tests.support.bodies import clan
from tests.support.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMON = Metadata.model_fields.keys()


class Game:
    """A world that is polled whenever something has happened in it, and every event that this made."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 12, tzinfo=UTC)
        self.world = World(seed=7, members=12, now=lambda: self.now)
        self.watches = [
            *((Kind.CLAN, tag, Replay(Kind.CLAN, tag, now=self.now.timestamp())) for tag in self.world.clan_tags),
            *((Kind.WAR, tag, Replay(Kind.WAR, tag, now=self.now.timestamp())) for tag in self.world.clan_tags),
            *((Kind.PLAYER, tag, Replay(Kind.PLAYER, tag, now=self.now.timestamp())) for tag in self.world.player_tags),
        ]

    @property
    def events(self) -> list[Event]:
        return [event for _, _, replay in self.watches for event in replay.events]

    def look(self, *, after: float = 60.0) -> None:
        self.now += timedelta(seconds=after)
        for kind, tag, replay in self.watches:
            replay.feed(self._answer(kind, tag), after=after)

    def restart(self) -> None:
        for _, _, replay in self.watches:
            replay.restart()

    def _answer(self, kind: Kind, tag: str) -> dict[str, Any] | ClashError:
        if kind is Kind.WAR:
            if self.world.is_war_log_private(tag):
                return PrivateWarLogError("the war log is private")
            answer = self.world.current_war(tag)
        else:
            answer = self.world.clan(tag) if kind is Kind.CLAN else self.world.player(tag)
        return answer or NotFoundError("nothing is known of it")


def of_the_game() -> list[Event]:
    game = Game()
    game.look()
    for number, happen in enumerate(all_changes(game.world)):
        happen()
        if number == 5:
            game.restart()
        # Twice, because what seems to go back is believed at the second look.
        game.look()
        game.look(after=140.0)
    return game.events


def of_a_watch() -> list[Event]:
    replay = Replay(Kind.CLAN, "#2PP")
    for answer in (clan(), NotFoundError("gone"), clan(), ServerError("broken"), clan()):
        replay.feed(answer)
    return replay.events


def of_the_api() -> Iterator[Event]:
    state, at = initial_api_state(None, at=1.0), 1.0
    maintenance, address = MaintenanceError("later"), IpNotAllowedError("refused", address="203.0.113.7")
    for error in (maintenance, None, None, address, None, *[UnreachableError("away")] * 3, None):
        at += 60
        state, events = observe_api(state, error, at=at, from_probe=True)
        yield from events


@pytest.fixture(scope="module")
def events() -> dict[str, list[Any]]:
    """Return every event as it is published, by its type."""
    said: dict[str, list[Any]] = defaultdict(list)
    for seq, event in enumerate([*of_the_game(), *of_a_watch(), *of_the_api()], 1):
        payload = encode_event(JournalEntry(seq, f"{seq:032x}", Kind.CLAN, EventRecord.of(event)))
        assert len(payload) <= MAX_EVENT_BYTES
        said[event.event_type.value].append(orjson.loads(payload))
    return said


@pytest.mark.parametrize("event_type", [event_type.value for event_type in EventType])
def test_every_event_fits_the_schema_of_its_type_which_has_no_key_too_many(
    events: dict[str, list[Any]], event_type: str
) -> None:
    assert events[event_type], "the game must have one of it"
    for event in events[event_type]:
        schemas()["event"].adapter.validate_python(event, strict=True)
        schemas()[f"event-{event_type}"].adapter.validate_python(event, strict=True)
    keys = metadata_model(EventType(event_type)).model_fields.keys() - COMMON
    assert {key for event in events[event_type] for key in event["metadata"]} - COMMON == keys


def test_what_happened_while_nobody_looked_fits_as_well(events: dict[str, list[Any]]) -> None:
    caught_up = [event for said in events.values() for event in said if "catch_up" in event["metadata"]]
    assert caught_up
    assert all(event["metadata"]["snapshot_age_seconds"] >= 0 for event in caught_up)
