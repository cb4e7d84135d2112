"""Replays of raid weekends through their poller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coc2mqtt.events.compare.raid_state import raid_state
from coc2mqtt.events.resource import Kind, Resource
from tests.support.bodies import CLAN_TAG
from tests.support.raids import START, Weekend
from tests.support.replay import Replay

if TYPE_CHECKING:
    from coc2mqtt.events import Event
    from coc2mqtt.events.compare.raid_state import RaidState

Json = dict[str, Any]

FRIDAY = START.timestamp()
MONDAY = FRIDAY + 3 * 86_400
HOUR = 3600.0
ANN, BOB, CAT = "#2PA", "#2PB", "#2PC"
ENEMY = "#8QQ"


def begun_weekend() -> Weekend:
    """Return a weekend in which Ann has attacked twice."""
    weekend = Weekend()
    weekend.raid(ENEMY)
    weekend.attack(ANN, 40)
    weekend.attack(ANN, 70)
    return weekend


def watching(first: Json, *, now: float = FRIDAY + HOUR, **options: Any) -> Replay:
    """Return a replay that has received the first response."""
    replay = Replay(Kind.RAID, CLAN_TAG, now=now, **options)
    assert replay.feed(first, after=0.0) == []
    return replay


def state(replay: Replay) -> RaidState:
    snapshot = replay._state.snapshot(Resource(Kind.RAID, CLAN_TAG))
    assert snapshot is not None
    return raid_state(snapshot)


def attack_events(events: list[Event]) -> list[Json]:
    return [event.metadata for event in events if event.event_type.value == "raid_attack_new"]


def last(replay: Replay, event_type: str) -> Json:
    return [event.metadata for event in replay.events if event.event_type.value == event_type][-1]
