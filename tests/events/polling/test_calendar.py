"""The game's calendar: the ends of seasons and weeks, and the gold pass."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from coc2mqtt.clash import NotFoundError
from coc2mqtt.clash.errors import UnreachableError
from coc2mqtt.events import PollingState
from coc2mqtt.events.calendar import ClanGames, raid_weekend_of
from coc2mqtt.events.polling.calendar_poller import CalendarPoller
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.resource import CALENDAR
from coc2mqtt.events.stream.polling_state import QueueStore
from coc2mqtt.mqtt.payloads.calendar import calendar_payload
from tests.support.replay import InMemoryApi, _NullMonitor, run_without_loop

if TYPE_CHECKING:
    from coc2mqtt.clash import ClashClient
    from coc2mqtt.events import Event

Json = dict[str, Any]

GOLD_PASS = "/goldpass/seasons/current"
HOUR, DAY = 3600.0, 86_400.0


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def gold_pass(month: int) -> Json:
    return {"startTime": f"2026{month:02}01T080000.000Z", "endTime": f"2026{month + 1:02}01T080000.000Z"}


class Calendar:
    """The calendar from a first poll at a time on; ``events`` are all so far."""

    def __init__(self, start: str) -> None:
        self.now = moment(start)
        self.offset = 0.0
        self.api = InMemoryApi()
        self.api.responses[GOLD_PASS] = gold_pass(9)
        self.events: list[Event] = []
        self._state = PollingState()
        self.latest = 0.0
        self.restart()
        assert self.poll_at(start) == []

    def restart(self) -> None:
        store = QueueStore(self._state, asyncio.Queue())
        api = cast("ClashClient", self.api)
        context = PollContext(api, store, _NullMonitor(), lambda: self.now, lambda: self.now - self.offset)
        self._poller = CalendarPoller(context, interval=HOUR)

    def poll_at(self, text: str) -> list[str]:
        """Poll at a time, and return the types of the events."""
        self.now = moment(text)
        result = run_without_loop(self._poller.poll())
        self.latest = result.latest
        self.events += result.events
        return [event.event_type.value for event in result.events]

    @property
    def state(self) -> Json:
        snapshot = self._state.snapshot(CALENDAR)
        assert snapshot is not None
        return calendar_payload(snapshot).model_dump(exclude={"updated_at"})


def test_first_poll_shows_the_calendar_without_events() -> None:
    calendar = Calendar("2026-09-10T12:00")
    assert calendar.state == {
        "gold_pass_start_at": "2026-09-01T08:00:00.000+00:00",
        "gold_pass_end_at": "2026-10-01T08:00:00.000+00:00",
        "season_start_at": "2026-09-07T05:00:00.000+00:00",
        "season_end_at": "2026-10-05T05:00:00.000+00:00",
        "ranked_week_start_at": "2026-09-07T05:00:00.000+00:00",
        "ranked_week_end_at": "2026-09-14T05:00:00.000+00:00",
        "clan_games_start_at": "2026-09-22T08:00:00.000+00:00",
        "clan_games_end_at": "2026-09-28T08:00:00.000+00:00",
        "raid_weekend_start_at": "2026-09-11T07:00:00.000+00:00",
        "raid_weekend_end_at": "2026-09-14T07:00:00.000+00:00",
    }


def test_week_and_season_end_at_their_time() -> None:
    calendar = Calendar("2026-09-14T04:58:30")
    assert calendar.latest == 90.0
    assert calendar.poll_at("2026-09-14T05:00:00") == ["ranked_week_changed"]
    assert calendar.poll_at("2026-09-14T05:00:05") == []
    assert calendar.poll_at("2026-10-05T05:00:01") == ["season_ended", "ranked_week_changed"]
    season, week = calendar.events[-2:]
    assert season.metadata == {
        "start_at": "2026-09-07T05:00:00.000+00:00",
        "end_at": "2026-10-05T05:00:00.000+00:00",
        "next_end_at": "2026-11-02T05:00:00.000+00:00",
    }
    assert week.metadata == {"start_at": "2026-10-05T05:00:00.000+00:00", "end_at": "2026-10-12T05:00:00.000+00:00"}


def test_missed_end_is_reported_once_after_the_start() -> None:
    calendar = Calendar("2026-09-10T12:00")
    calendar.restart()
    assert calendar.poll_at("2026-10-20T05:00") == ["season_ended", "ranked_week_changed"]
    assert [event.metadata["catch_up"] for event in calendar.events] == [True, True]
    assert calendar.events[1].metadata["snapshot_age_seconds"] == DAY
    calendar.restart()
    assert calendar.poll_at("2026-10-20T05:01") == []


def test_clock_that_is_set_back_and_forward_repeats_nothing() -> None:
    calendar = Calendar("2026-09-14T04:00")
    assert calendar.poll_at("2026-09-14T05:00") == ["ranked_week_changed"]
    assert calendar.poll_at("2026-09-14T04:30") == []
    assert calendar.poll_at("2026-09-14T05:01") == []


@pytest.mark.parametrize("restarted", [True, False])
@pytest.mark.parametrize("ahead", ["2026-09-15T12:00", "2026-09-21T04:00"])
def test_clock_that_was_days_ahead_reports_a_week_once(ahead: str, restarted: bool) -> None:
    calendar = Calendar("2026-09-10T12:00")
    assert calendar.poll_at(ahead) == ["ranked_week_changed"]
    if restarted:
        calendar.restart()
    assert calendar.poll_at("2026-09-11T12:00") == []
    assert calendar.state["ranked_week_end_at"] == "2026-09-14T05:00:00.000+00:00"
    assert calendar.poll_at("2026-09-14T05:00") == []
    assert calendar.state["ranked_week_start_at"] == "2026-09-14T05:00:00.000+00:00"
    assert calendar.poll_at("2026-09-21T05:00") == ["ranked_week_changed"]


def test_clock_that_was_weeks_ahead_reports_each_week_and_season_once() -> None:
    calendar = Calendar("2026-09-30T12:00")
    assert calendar.poll_at("2026-10-13T12:00") == ["season_ended", "ranked_week_changed"]
    types = [
        event
        for day in range(1, 31)
        for event in calendar.poll_at(f"2026-10-{day:02}T05:00")
        if event != "gold_pass_season_started"
    ]
    assert types == ["ranked_week_changed"] * 3, "of October 5, 19 and 26"


def test_clock_that_was_years_ahead_does_not_silence_the_calendar() -> None:
    calendar = Calendar("2030-01-01T12:00")
    assert calendar.poll_at("2026-09-10T12:00") == []
    assert calendar.state["ranked_week_end_at"] == "2026-09-14T05:00:00.000+00:00"
    assert calendar.poll_at("2026-09-14T05:00") == ["ranked_week_changed"]


def test_gold_pass_is_polled_hourly_and_its_new_season_reported() -> None:
    calendar = Calendar("2026-09-30T20:00")
    calendar.api.responses[GOLD_PASS] = gold_pass(10)
    assert calendar.poll_at("2026-09-30T20:50") == []
    assert calendar.poll_at("2026-10-01T07:58") == [], "the next season is shown before its start"
    assert calendar.state["gold_pass_end_at"] == "2026-10-01T08:00:00.000+00:00"
    assert calendar.poll_at("2026-10-01T09:00") == ["gold_pass_season_started"]
    calendar.api.responses[GOLD_PASS] = gold_pass(9)
    assert calendar.poll_at("2026-10-01T10:01") == [], "a stale response"
    assert calendar.state["gold_pass_end_at"] == "2026-11-01T08:00:00.000+00:00"
    assert calendar.api.requests == [GOLD_PASS] * 4


def test_corrected_start_is_not_a_new_season_of_the_gold_pass() -> None:
    calendar = Calendar("2026-09-10T12:00")
    calendar.api.responses[GOLD_PASS] = {**gold_pass(9), "startTime": "20260901T080100.000Z"}
    assert calendar.poll_at("2026-09-10T14:00") == []
    assert calendar.state["gold_pass_start_at"] == "2026-09-01T08:01:00.000+00:00"
    calendar.api.responses[GOLD_PASS] = gold_pass(10)
    assert "gold_pass_season_started" in calendar.poll_at("2026-10-01T09:00")


@pytest.mark.parametrize(
    "response",
    [NotFoundError("not found"), UnreachableError("away"), {}, {"startTime": 5, "endTime": []}, b"<html>", b"[]"],
)
def test_unusable_response_keeps_the_gold_pass(response: Any) -> None:
    calendar = Calendar("2026-09-10T12:00")
    calendar.api.responses[GOLD_PASS] = response
    assert calendar.poll_at("2026-09-10T14:00") == []
    assert calendar.state["gold_pass_end_at"] == "2026-10-01T08:00:00.000+00:00"


def test_no_request_delays_the_end_of_a_week() -> None:
    calendar = Calendar("2026-09-14T03:00")
    assert calendar.poll_at("2026-09-14T04:59") == []
    assert calendar.api.requests == [GOLD_PASS]


@pytest.mark.parametrize(
    ("at", "start", "end"),
    [
        ("2026-12-22T07:59", "2026-12-22T08:00", "2026-12-28T08:00"),
        ("2026-12-28T07:59", "2026-12-22T08:00", "2026-12-28T08:00"),
        ("2026-12-28T08:00", "2027-01-22T08:00", "2027-01-28T08:00"),
        ("2028-02-29T08:00", "2028-03-22T08:00", "2028-03-28T08:00"),
    ],
)
def test_next_clan_games(at: str, start: str, end: str) -> None:
    assert ClanGames().next(moment(at)) == (moment(start), moment(end))


@pytest.mark.parametrize(
    ("at", "start"), [("2026-12-01T00:00", "2026-11-22T08:00"), ("2027-01-23T00:00", "2027-01-22T08:00")]
)
def test_latest_clan_games(at: str, start: str) -> None:
    assert ClanGames().latest(moment(at)).start == moment(start)


@pytest.mark.parametrize(
    ("at", "start"),
    [
        ("2026-11-27T06:59", "2026-11-27T07:00"),
        ("2026-11-30T06:59", "2026-11-27T07:00"),
        ("2026-11-30T07:00", "2026-12-04T07:00"),
    ],
)
def test_raid_weekend(at: str, start: str) -> None:
    assert raid_weekend_of(moment(at)).start == moment(start)
    assert moment(at) not in raid_weekend_of(moment(at)) or moment(at) >= moment(start)
