"""The events of leagues and raid weekends in the demo's story are those that the story says must be published."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from coc2mqtt.events.compare.cwl_state import cwl_state
from coc2mqtt.events.resource import Kind
from tests.support.world_replay import WorldReplay

if TYPE_CHECKING:
    from coc2mqtt.demo import ScriptedChange
    from coc2mqtt.events import Event

# A minute of the game for each second of the story, because the API's caches and the end of a war take minutes.
SPEED = 1 / 60
# The opening, another league and another weekend.
SECONDS = 225.0


class Played(NamedTuple):
    """The changes and events of a played story, and the standings after each step, in the game and in the bridge."""

    changes: list[ScriptedChange]
    events: list[Event]
    tables: list[tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]]


@cache
def play() -> Played:
    """Play nearly four minutes of the story, until all of its results are final."""
    game, tables = WorldReplay(seed=1), []
    for time, _ in game.play_story(1, speed=SPEED):
        tables += [tables_of(game, clan) for clan in game.world.clan_tags if has_wars(game, clan)]
        if time > SECONDS:
            break
    changes = list(game.world.changes)
    for _ in range(12):
        game.poll([watch for watch in game.watches if watch[0] in (Kind.CWL, Kind.RAID)], after=60.0)
    return Played(changes, game.events, tables)


def has_wars(game: WorldReplay, clan: str) -> bool:
    return not game.world.in_maintenance and "rounds" in (game.world.league_group(clan) or {})


def tables_of(game: WorldReplay, clan: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    seen = cwl_state(game.watches[Kind.CWL, clan].snapshot, clan).standings
    return [tuple(one) for one in game.world.league_standings(clan)], [tuple(one) for one in seen]


def matches(change: ScriptedChange, event: Event) -> bool:
    return (change.tag, change.event_type) == (
        event.tag,
        event.event_type.value,
    ) and change.details.items() <= event.metadata.items()


@pytest.mark.parametrize("part", ["cwl_", "raid_"])
def test_each_change_of_a_league_or_raid_is_one_event(part: str) -> None:
    changes, events, _ = play()
    expected = [change for change in changes if change.event_type.startswith(part)]
    found = [event for event in events if event.event_type.value.startswith(part)]
    ended = Counter(change.event_type for change in expected)
    assert ended[f"{part}ended"] >= 2
    for change in expected:
        event = next((event for event in found if matches(change, event)), None)
        assert event is not None, change
        found.remove(event)
    assert found == []


def test_standings_are_always_those_of_the_game() -> None:
    tables = play().tables
    assert len(tables) > 100
    assert [pair for pair in tables if pair[0] != pair[1]] == []
