"""The events of a scripted game and of every failure match their schemas, and the schemas have no unused keys."""

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
from coc2mqtt.demo.tour import all_changes
from coc2mqtt.events.compare.api_state import ApiState, ApiStatus, observe_api
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.metadata import Metadata, metadata_model
from coc2mqtt.events.record import MAX_EVENT_BYTES, EventRecord
from coc2mqtt.events.resource import Kind
from coc2mqtt.journal.protocol import JournalEntry
from coc2mqtt.mqtt.payloads.models import EventPayload
from coc2mqtt.mqtt.schemas import schemas
from tests.support.bodies import clan
from tests.support.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMON = Metadata.model_fields.keys()


class Game:
    """A scripted world that is polled after each of its changes."""

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

    def poll(self, *, after: float = 60.0) -> None:
        self.now += timedelta(seconds=after)
        for kind, tag, replay in self.watches:
            replay.feed(self._response(kind, tag), after=after)

    def restart(self) -> None:
        for _, _, replay in self.watches:
            replay.restart()

    def _response(self, kind: Kind, tag: str) -> dict[str, Any] | ClashError:
        if kind is Kind.WAR:
            if self.world.is_war_log_private(tag):
                return PrivateWarLogError("the war log is private")
            response = self.world.current_war(tag)
        else:
            response = self.world.clan(tag) if kind is Kind.CLAN else self.world.player(tag)
        return response or NotFoundError("not found")


def game_events() -> list[Event]:
    game = Game()
    game.poll()
    world = game.world
    (home, _), (_, player) = world.clan_tags, world.player_tags
    # Changes between two polls, of which only some are explained by other events.
    partly_explained: list[Callable[[], object]] = [
        lambda: (world.join(home), world.gain_points(home)),
        lambda: (world.leave_clan(player), world.win_trophies(player)),
    ]
    for number, happen in enumerate([*all_changes(world), *partly_explained]):
        happen()
        if number == 5:
            game.restart()
        # Twice, because a suspected response is accepted when it is repeated.
        game.poll()
        game.poll(after=140.0)
    return game.events


def watch_events() -> list[Event]:
    replay = Replay(Kind.CLAN, "#2PP")
    for response in (clan(), NotFoundError("gone"), clan(), ServerError("broken"), clan()):
        replay.feed(response)
    return replay.events


def api_events() -> Iterator[Event]:
    state, at = ApiState(ApiStatus.OK, since=1.0), 1.0
    maintenance, address = MaintenanceError("later"), IpNotAllowedError("refused", address="203.0.113.7")
    for error in (maintenance, None, None, address, None, *[UnreachableError("away")] * 3, None):
        at += 60
        state, events = observe_api(state, error, at=at, from_probe=True)
        yield from events


@pytest.fixture(scope="module")
def events() -> dict[str, list[Any]]:
    """Return all published events by their type."""
    published: dict[str, list[Any]] = defaultdict(list)
    for seq, event in enumerate([*game_events(), *watch_events(), *api_events()], 1):
        payload = EventPayload.of(JournalEntry(seq, f"{seq:032x}", Kind.CLAN, EventRecord.of(event))).encode()
        assert len(payload) <= MAX_EVENT_BYTES
        published[event.event_type.value].append(orjson.loads(payload))
    return published


@pytest.mark.parametrize("event_type", [event_type.value for event_type in EventType])
def test_events_match_the_schema_of_their_type_and_use_all_of_its_keys(
    events: dict[str, list[Any]], event_type: str
) -> None:
    assert events[event_type], "the game must cause at least one"
    for event in events[event_type]:
        schemas()["event"].adapter.validate_python(event, strict=True)
        schemas()[f"event-{event_type}"].adapter.validate_python(event, strict=True)
    keys = metadata_model(EventType(event_type)).model_fields.keys() - COMMON
    assert {key for event in events[event_type] for key in event["metadata"]} - COMMON == keys


def test_catch_up_events_have_the_age_of_the_snapshot(events: dict[str, list[Any]]) -> None:
    caught_up = [event for of_type in events.values() for event in of_type if "catch_up" in event["metadata"]]
    assert caught_up
    assert all(event["metadata"]["snapshot_age_seconds"] >= 0 for event in caught_up)
