"""The events of a scripted game and of every failure match their schemas, and the schemas have no unused keys."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.clash import (
    IpNotAllowedError,
    MaintenanceError,
    NotFoundError,
    ServerError,
    UnreachableError,
)
from coc2mqtt.demo.tour import all_changes
from coc2mqtt.events.compare.api_state import ApiState, ApiStatus, observe_api
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.metadata import Metadata, metadata_model
from coc2mqtt.events.record import MAX_EVENT_BYTES, EventRecord
from coc2mqtt.events.resource import Kind
from coc2mqtt.examples import example_game
from coc2mqtt.journal.protocol import JournalEntry
from coc2mqtt.mqtt.payloads.models import EventPayload
from coc2mqtt.mqtt.schemas import schemas
from tests.support.bodies import clan
from tests.support.replay import Replay
from tests.support.world_replay import WorldReplay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMON = Metadata.model_fields.keys()


def game_events() -> list[Event]:
    game = WorldReplay()
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
        game.poll(after=60.0)
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
    for seq, event in enumerate([*game_events(), *example_game().events, *watch_events(), *api_events()], 1):
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
