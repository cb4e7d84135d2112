"""Clan games: the points of each member, from an achievement that is polled one member at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.clash.errors import ClashError, ServerError
from coc2mqtt.events import PollingState
from coc2mqtt.events.calendar import ClanGames
from coc2mqtt.events.compare.games import GamesState, games_state
from coc2mqtt.events.polling.games_poller import GamesPoller
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.stream.polling_state import QueueStore
from tests.support.bodies import CLAN_TAG, clan, member, player
from tests.support.replay import InMemoryApi, _NullMonitor, run_without_loop

if TYPE_CHECKING:
    from coc2mqtt.clash import ClashClient
    from coc2mqtt.events import Event

Json = dict[str, Any]

ANN, BOB, CAT = "#2PA", "#2PB", "#2PC"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
START = datetime(2026, 11, 22, 8, tzinfo=UTC).timestamp()
END = datetime(2026, 11, 28, 8, tzinfo=UTC).timestamp()
GAMES = Resource(Kind.GAMES, CLAN_TAG)


def with_value(tag: str, value: Any) -> Json:
    achievements = [{"name": "Games Champion", "village": "home", "value": value, "target": 100_000, "stars": 1}]
    other = [{"name": "Empire Builder", "village": "home", "value": 3, "target": 8, "stars": 3}]
    return player(tag=tag, achievements=other + ([] if value is None else achievements))


class Games:
    """A clan of Ann and Bob whose games are polled as the poller asks for it; ``values`` are their achievements."""

    def __init__(self, now: float, *, interval: float = HOUR) -> None:
        self.now = now
        self.api = InMemoryApi()
        self.values: dict[str, Any] = {ANN: 10_000, BOB: 20_000}
        self.events: list[Event] = []
        self.waits: list[float] = []
        self.watched: set[Resource] = set()
        self.clan_games = ClanGames()
        self._interval = interval
        self._state = PollingState()
        self.set_roster(ANN, BOB)
        self.restart()

    def restart(self) -> None:
        store = QueueStore(self._state, asyncio.Queue())
        api = cast("ClashClient", self.api)
        self.context = PollContext(
            api, store, _NullMonitor(), lambda: self.now, lambda: self.now, clan_games=self.clan_games
        )
        self._poller = GamesPoller(self.context, CLAN_TAG, interval=self._interval)

    def set_roster(self, *tags: str) -> None:
        snapshot = Snapshot(clan(*map(member, tags)), {}, self.now)
        self._state.commit(Resource(Kind.CLAN, CLAN_TAG), snapshot, [])

    def watch_player(self, tag: str, *, taken_at: float) -> None:
        """Commit the player's present value, and poll the player without any change from now on."""
        resource = Resource(Kind.PLAYER, tag)
        self._state.commit(resource, Snapshot(with_value(tag, self.values[tag]), {}, taken_at), [])
        self.watched.add(resource)

    def poll(self) -> list[str]:
        for tag, value in self.values.items():
            self.api.responses[f"/players/{tag}"] = value if isinstance(value, ClashError) else with_value(tag, value)
        self.context.polled.update(dict.fromkeys(self.watched, self.now))
        result = run_without_loop(self._poller.poll())
        self.waits.append(min(max(result.earliest, min(result.latest, HOUR)), HOUR))
        self.events += result.events
        return [event.event_type.value for event in result.events]

    def run(self, until: float) -> list[str]:
        """Poll until a time, and return the types of the events."""
        types = []
        while self.now < until:
            types += self.poll()
            self.now = min(until, self.now + self.waits[-1])
        return types

    @property
    def requests(self) -> int:
        return len(self.api.requests)

    @property
    def state(self) -> GamesState:
        snapshot = self._state.snapshot(GAMES)
        assert snapshot is not None
        return games_state(snapshot)

    def points(self) -> dict[str, int]:
        return {one.tag: one.points for one in self.state.members}


def test_no_request_is_made_outside_of_the_games() -> None:
    games = Games(END + DAY)
    assert games.run(END + 20 * DAY) == []
    assert games.requests == 0
    assert games.state == GamesState()


def test_start_while_the_bridge_was_down_is_reported_to_a_known_clan() -> None:
    games = Games(START - 10 * DAY)
    assert games.poll() == []
    games.now = START + DAY
    assert games.run(START + DAY + 1) == ["clan_games_started"]
    assert games.events[0].metadata["catch_up"] is True


def test_games_are_followed_from_before_the_start_to_the_end() -> None:
    games = Games(START - DAY)
    assert games.run(START) == []
    assert games.requests == 2
    assert games.run(START + 1) == ["clan_games_started"]
    assert games.events[0].metadata == {
        "start_at": "2026-11-22T08:00:00.000+00:00",
        "end_at": "2026-11-28T08:00:00.000+00:00",
        "max_points": 4000,
    }
    games.values |= {ANN: 10_500}
    assert games.run(START + 2 * HOUR) == ["clan_games_points"]
    assert games.events[-1].metadata == {
        "member_tag": ANN,
        "member_name": f"Name of {ANN}",
        "gained": 500,
        "points": 500,
        "total": 500,
        "partial": False,
    }
    games.values |= {ANN: 14_000, BOB: 20_100}
    assert games.run(END) == ["clan_games_points", "clan_games_points"]
    games.values |= {BOB: 20_150}  # a minute before the end
    assert games.run(END + HOUR) == ["clan_games_points", "clan_games_ended"]
    assert games.events[-1].metadata == {
        "start_at": "2026-11-22T08:00:00.000+00:00",
        "end_at": "2026-11-28T08:00:00.000+00:00",
        "total": 4150,
        "members": 2,
        "top_members": [
            {"tag": ANN, "name": f"Name of {ANN}", "points": 4000},
            {"tag": BOB, "name": f"Name of {BOB}", "points": 150},
        ],
        "partial": False,
    }
    assert games.state.state == "ended"
    assert games.run(END + 10 * DAY) == []


def test_each_member_is_polled_once_per_interval() -> None:
    games = Games(START - HOUR, interval=1800.0)
    games.run(START + 10)
    before = games.requests
    games.run(START + 10 * HOUR)
    assert games.requests - before == pytest.approx(2 * 20, abs=2)


def test_first_sight_during_the_games_is_partial_and_silent() -> None:
    games = Games(START + DAY)
    assert games.run(START + DAY + 3 * HOUR) == []
    assert (games.state.partial, games.points()) == (True, {ANN: 0, BOB: 0})
    games.values |= {ANN: 10_050}
    assert games.run(START + DAY + 6 * HOUR) == ["clan_games_points"]
    assert games.events[-1].metadata["partial"] is True
    games.run(END + HOUR)
    assert games.events[-1].metadata["partial"] is True


def test_joiner_is_partial_and_leaver_keeps_the_points() -> None:
    games = Games(START - HOUR)
    games.run(START + HOUR)
    games.values |= {ANN: 10_300, CAT: 5000}
    games.run(START + 3 * HOUR)
    games.set_roster(BOB, CAT)
    games.run(START + 6 * HOUR)
    games.values |= {CAT: 5100}
    games.run(START + 9 * HOUR)
    assert games.points() == {ANN: 300, CAT: 100, BOB: 0}
    assert {one.tag: one.partial for one in games.state.members} == {ANN: False, CAT: True, BOB: False}
    assert games.state.total == 400


def test_watched_player_needs_no_request() -> None:
    games = Games(START + DAY)
    games.watch_player(ANN, taken_at=START - HOUR)
    games.values.pop(BOB)
    games.set_roster(ANN)
    games.run(START + DAY + HOUR)
    games.values[ANN] = 10_700
    games.watch_player(ANN, taken_at=games.now)
    assert games.run(START + DAY + 3 * HOUR) == ["clan_games_points"]
    assert games.requests == 0
    assert games.state.members == ((ANN, f"Name of {ANN}", 700, False),)


@pytest.mark.parametrize("restart_at", [START, START + 2 * HOUR, END + 30, END + DAY, END + 15 * DAY])
def test_restart_repeats_and_loses_nothing(restart_at: float) -> None:
    games = Games(START - 1.5 * HOUR)
    games.run(min(restart_at, START + HOUR))
    games.values |= {ANN: 10_600}
    games.now = restart_at
    games.restart()
    games.run(max(END, restart_at) + 3 * HOUR)
    types = [event.event_type.value for event in games.events]
    assert sorted(types) == ["clan_games_ended", "clan_games_points", "clan_games_started"]
    assert games.events[-1].metadata["total"] == 600
    assert games.events[-1].metadata.get("catch_up", False) is (restart_at >= END + DAY)


def test_failing_member_delays_only_the_end() -> None:
    games = Games(START - HOUR)
    games.run(START + HOUR)
    games.values |= {ANN: ServerError("down", status=500), BOB: 20_200}
    assert games.run(START + 4 * HOUR) == ["clan_games_points"]
    assert "clan_games_ended" not in games.run(END + HOUR)
    assert games.run(END + 4 * HOUR) == ["clan_games_ended"]
    assert games.events[-1].metadata["partial"] is True


@pytest.mark.parametrize("odd", [None, "x", True, 9_000])
def test_missing_malformed_or_lower_value_is_ignored(odd: Any) -> None:
    games = Games(START - HOUR)
    games.run(START + HOUR)
    games.values |= {ANN: 10_400}
    games.run(START + 3 * HOUR)
    games.values |= {ANN: odd}
    assert games.run(START + 6 * HOUR) == []
    assert games.points()[ANN] == 400


def test_young_account_without_the_achievement_starts_from_zero() -> None:
    games = Games(START - HOUR)
    games.values |= {ANN: None}
    games.run(START + HOUR)
    games.values |= {ANN: 250}
    assert games.run(START + 3 * HOUR) == ["clan_games_points"]
    assert games.points()[ANN] == 250


def test_next_games_start_from_a_new_baseline() -> None:
    games = Games(START - HOUR)
    games.run(START + HOUR)
    games.values |= {ANN: 14_000}
    december = datetime(2026, 12, 22, 8, tzinfo=UTC).timestamp()
    games.run(december)
    games.values |= {ANN: 14_030}
    types = games.run(december + 5 * HOUR)
    assert types == ["clan_games_started", "clan_games_points"]
    assert games.points()[ANN] == 30


@given(st.lists(st.tuples(st.integers(-50, 300), st.integers(60, 20_000)), max_size=30))
def test_points_never_decrease_and_sum_up(steps: list[tuple[int, int]]) -> None:
    games = Games(START - HOUR)
    games.run(START + 2)
    highest, value = 10_000, 10_000
    for change, after in steps:
        value += change
        highest = max(highest, value) if games.now < END else highest
        games.values[ANN] = value
        before = games.points().get(ANN, 0)
        games.run(min(games.now + max(after, 2 * HOUR), END - 1))
        assert games.points()[ANN] >= before
    gained = sum(e.metadata["gained"] for e in games.events if e.event_type.value == "clan_games_points")
    assert gained == games.points()[ANN]
