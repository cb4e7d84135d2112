"""Clan games after stale, incomplete and missing responses, downtimes, clock jumps and new windows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coc2mqtt.clash import NotFoundError
from coc2mqtt.events.calendar import ClanGames
from tests.events.polling.test_games import ANN, BOB, CAT, DAY, END, HOUR, MINUTE, START, Games

DECEMBER = datetime(2026, 12, 22, 8, tzinfo=UTC).timestamp()


def begun() -> Games:
    """Return games that have been followed for an hour from before their start."""
    games = Games(START - HOUR)
    assert games.run(START + HOUR) == ["clan_games_started"]
    return games


def types(games: Games) -> list[str]:
    return [event.event_type.value for event in games.events]


def test_watched_player_whose_polls_fail_is_requested() -> None:
    games = begun()
    games.watch_player(ANN, taken_at=games.now)
    games.run(START + 2 * HOUR)
    games.watched.clear()
    games.values[ANN] = 10_500
    assert games.run(START + 5 * HOUR) == ["clan_games_points"]


def test_last_points_of_a_watched_player_who_was_polled_before_the_end_count() -> None:
    games = begun()
    games.watch_player(ANN, taken_at=games.now)
    games.run(END - 5 * MINUTE)
    games.watched.clear()
    games.values[ANN] = 10_500
    assert games.run(END + HOUR) == ["clan_games_points", "clan_games_ended"]
    assert games.events[-1].metadata["total"] == 500


def test_points_of_the_last_second_count_although_the_last_poll_is_at_the_end() -> None:
    games = begun()
    games.run(END)
    games.poll()
    games.values[ANN] = 10_050
    assert games.run(END + HOUR) == ["clan_games_points", "clan_games_ended"]


def test_achievement_that_was_missing_before_the_start_adds_no_points() -> None:
    games = Games(START - HOUR)
    games.values[ANN] = None
    games.run(START + HOUR)
    games.values[ANN] = 90_000
    assert games.run(START + 3 * HOUR) == []
    assert games.state.members[0].partial
    games.values[ANN] = 90_200
    assert games.run(START + 6 * HOUR) == ["clan_games_points"]
    assert games.points()[ANN] == 200


def test_banned_member_does_not_delay_the_end() -> None:
    games = begun()
    games.values[BOB] = NotFoundError("not found")
    before = games.requests
    games.run(START + 5 * HOUR)
    assert games.requests - before <= 2 * 5
    assert games.run(END + 30 * MINUTE) == ["clan_games_ended"]
    assert games.events[-1].metadata["partial"] is False


def test_member_who_returns_has_earned_points_meanwhile() -> None:
    games = begun()
    games.set_roster(BOB)
    games.run(START + DAY)
    games.values[ANN] = 10_300
    games.set_roster(ANN, BOB)
    assert games.run(START + DAY + 2 * HOUR) == ["clan_games_points"]
    assert games.state.members[0] == (ANN, f"Name of {ANN}", 300, False)


@pytest.mark.parametrize(
    ("back_at", "total"), [(DECEMBER - HOUR, 700), (DECEMBER + HOUR, 600), (DECEMBER + 9 * DAY, 600)]
)
def test_games_that_ended_during_a_long_downtime_end_once(back_at: float, total: int) -> None:
    games = begun()
    games.values[ANN] = 10_600
    games.run(START + 3 * HOUR)
    games.now = back_at
    games.values[ANN] = 10_700
    games.restart()
    games.run(back_at + 2 * HOUR)
    games.restart()
    games.run(back_at + 4 * HOUR)
    ended = [event.metadata for event in games.events if event.event_type.value == "clan_games_ended"]
    assert [(one["start_at"][:7], one["total"], one["catch_up"]) for one in ended] == [("2026-11", total, True)]
    assert types(games).count("clan_games_started") == (1 if back_at > DECEMBER + DAY else 2)


def test_unfinished_games_of_two_months_ago_are_not_ongoing() -> None:
    games = begun()
    games.now = END + 50 * DAY
    games.restart()
    games.set_roster()
    assert games.run(games.now + HOUR) == ["clan_games_ended"]
    assert games.state.state == "ended"


def test_clock_that_was_weeks_ahead_repeats_neither_the_start_nor_the_end() -> None:
    games = begun()
    games.now = DECEMBER + HOUR
    games.run(games.now + HOUR)
    games.now = START + DAY
    games.run(END + HOUR)
    games.run(DECEMBER - HOUR)
    starts = [
        event.metadata["start_at"][:7] for event in games.events if event.event_type.value == "clan_games_started"
    ]
    assert starts == ["2026-11", "2026-12"]
    assert types(games).count("clan_games_ended") == 2


@pytest.mark.parametrize("hours", [-3, 3])
def test_clock_set_over_the_end_and_back_ends_once(hours: int) -> None:
    games = begun()
    games.run(END + HOUR)
    games.now += hours * HOUR
    games.run(END + 6 * HOUR)
    assert types(games).count("clan_games_ended") == 1


def test_moved_window_keeps_the_points() -> None:
    games = begun()
    games.values[ANN] = 10_400
    games.run(START + 3 * HOUR)
    games.clan_games = ClanGames(first_day=21, last_day=27, max_points=5000)
    games.restart()
    games.values[ANN] = 10_500
    assert games.run(END - DAY + HOUR) == ["clan_games_points", "clan_games_ended"]
    assert (games.points()[ANN], games.state.max_points, games.state.end) == (500, 5000, END - DAY)
    assert games.run(END + HOUR) == []


def test_fifty_members_are_all_polled_within_minutes_of_the_end() -> None:
    games = Games(START - HOUR)
    tags = [f"#2P{number}" for number in range(50)]
    games.values = dict.fromkeys(tags, 10_000)
    games.set_roster(*tags)
    games.run(START)
    games.now = END - MINUTE
    games.run(END)
    games.values = dict.fromkeys(tags, 10_010)
    games.run(END + 15 * MINUTE)
    assert types(games)[-1] == "clan_games_ended"
    assert games.events[-1].metadata["total"] == 500
    assert CAT not in games.points()
