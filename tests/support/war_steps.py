"""Comparing the responses about one war in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.compare.war_diff import compare_war, initial_war_memo, war_looks_stale
from coc2mqtt.events.resource import Snapshot
from tests.support.bodies import CLAN_TAG, Json, attack, war

if TYPE_CHECKING:
    from coc2mqtt.events.compare.war_result import WarOutcome
    from coc2mqtt.events.event import Event

# After the end of the war in `bodies` (Unix time in seconds).
BEGIN = 1_794_000_000.0
END = 1_793_689_200.0  # of that war, 2026-11-03 07:00
FIRST = attack("#2P2", "#8Q2", 1, stars=2)
SECOND = attack("#8Q2", "#2P2", 2, stars=3)
THIRD = attack("#2P8", "#8Q2", 3, stars=3)


def play(*responses: Json) -> list[Event]:
    """Compare responses one minute apart, the first as the baseline, ignoring stale ones; return all events."""
    snapshot = Snapshot(responses[0], initial_war_memo(responses[0]))
    events: list[Event] = []
    for minute, response in enumerate(responses[1:], 1):
        at = BEGIN + 60.0 * minute
        if not war_looks_stale(snapshot, response, tag=CLAN_TAG, at=at):
            comparison = compare_war(snapshot, response, tag=CLAN_TAG, at=at)
            snapshot = Snapshot(response, comparison.memo)
            events += comparison.events
    return events


def step(
    snapshot: Snapshot, response: Json, at: float, outcome: WarOutcome | None = None
) -> tuple[Snapshot, list[Event]]:
    comparison = compare_war(snapshot, response, tag=CLAN_TAG, at=at, outcome=outcome)
    return Snapshot(response, comparison.memo), comparison.events


def types(events: list[Event]) -> list[str]:
    return [event.event_type.value for event in events]


def in_battle(*attacks: Json) -> Snapshot:
    response = war("inWar", *attacks)
    return Snapshot(response, initial_war_memo(response))
