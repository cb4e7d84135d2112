"""What is said to be wrong with the bridge, and when; the parts are figures that a test sets."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.polling.engine import EngineMetrics
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind
from coc2mqtt.health import Health, Metrics
from coc2mqtt.internal_errors import InternalErrors
from coc2mqtt.journal.protocol import JournalCounts, JournalEntry
from coc2mqtt.mqtt.client.connection import ConnectionStatus
from coc2mqtt.mqtt.control.request_queue import RequestMetrics
from coc2mqtt.mqtt.publish.event_delivery import DeliveryMetrics

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

START = 1_800_000_000.0
LAST = JournalEntry(
    13, "d", Kind.CLAN, EventRecord("member_left", "#2PP", "The Order", START, "Kristen left The Order", (), {})
)


class Bridge:
    """A bridge that is well, one second after its start."""

    def __init__(self, *, denied: int = 0) -> None:
        self.now = START
        self.engine = SimpleNamespace(
            clans=1,
            players=0,
            shortest_interval=30.0,
            api_status=ApiStatus.OK,
            api_message=None,
            overdue=0,
            overdue_seconds=0.0,
            probe_interval=30.0,
            load=0.5,
            polls_per_second=1.25,
        )
        self.metrics = Metrics(
            engine=EngineMetrics(
                polls=7,
                changed=3,
                events=5,
                errors=Counter(unreachable=2, denied=1),
                last_poll_uptime=START,
                malformed=Counter({"clan.memberList.donations": 2}),
            ),
            delivery=DeliveryMetrics(published=9, resent=1, denied=denied),
            requests=RequestMetrics(dropped=8),
        )
        self.connection = SimpleNamespace(status=ConnectionStatus(connected=True, since=START, protocol="5"))
        self.delivery = SimpleNamespace(last_event=LAST)
        self.guard = SimpleNamespace(restored=12, problem=None)
        self.rejected_topics = SimpleNamespace(count=6, problem=None)
        self.errors = InternalErrors(uptime=lambda: self.now)
        self.counts = JournalCounts(pending=0, oldest_pending=None, dropped=4, last_seq=13)
        parts: Any = {
            "journal": SimpleNamespace(counts=self._count),
            "engine": self.engine,
            "connection": self.connection,
            "delivery": self.delivery,
            "retained": SimpleNamespace(publisher=SimpleNamespace(rejected_topics=self.rejected_topics)),
            "guard": self.guard,
            "metrics": self.metrics,
            "publisher": SimpleNamespace(deferred=11),
            "internal_errors": self.errors,
        }
        self.jumped = 0.0
        self.health = Health(**parts, started_at=START, clock=lambda: self.now + self.jumped, uptime=lambda: self.now)
        self.now += 1.0

    async def _count(self) -> JournalCounts:
        return self.counts

    async def problems(self) -> list[str]:
        payload = await self.health.payload()
        assert payload.healthy is not bool(payload.problems)
        return payload.problems


@pytest.fixture
def bridge() -> Bridge:
    return Bridge()


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as lines:
        yield lines


async def test_events_denied_before_a_rebuild_are_no_new_problem() -> None:
    bridge = Bridge(denied=7)
    assert await bridge.problems() == []
    bridge.metrics.delivery.denied += 1
    assert len(await bridge.problems()) == 1


async def test_every_figure_is_told(bridge: Bridge) -> None:
    bridge.counts = JournalCounts(pending=3, oldest_pending=START - 9, dropped=4, last_seq=13)
    assert (await bridge.health.payload()).model_dump() == {
        "healthy": True,
        "problems": [],
        "uptime_seconds": 1.0,
        "connected_since": "2027-01-15T08:00:00.000+00:00",
        "reconnects": 0,
        "api_status": "ok",
        "polls": 7,
        "polls_changed": 3,
        "polls_per_second": 1.25,
        "errors": {"denied": 1, "unreachable": 2},
        "malformed_fields": {"clan.memberList.donations": 2},
        "last_poll_age_seconds": 1.0,
        "overdue": 0,
        "overdue_seconds": 0.0,
        "load": 0.5,
        "watches": 1,
        "clans": 1,
        "players": 0,
        "events": 5,
        "published": 9,
        "resent": 1,
        "denied": 0,
        "states_denied": 6,
        "deferred": 11,
        "restored": 12,
        "requests_dropped": 8,
        "queue": 3,
        "queue_age_seconds": 10.0,
        "dropped": 4,
        "events_skipped": 0,
        "internal_errors": 0,
        "last_event": {
            "event_type": "member_left",
            "tag": "#2PP",
            "name": "The Order",
            "summary": "Kristen left The Order",
            "timestamp": "2027-01-15T08:00:00.000+00:00",
            "seq": 13,
        },
    }


async def test_that_nothing_is_polled_although_it_is_due_is_a_problem_after_five_minutes(bridge: Bridge) -> None:
    assert await bridge.problems() == []
    bridge.now, bridge.engine.overdue_seconds = START + 300, 299.0
    assert await bridge.problems() == []
    bridge.now, bridge.engine.overdue_seconds = START + 302, 301.0
    assert await bridge.problems() == ["no poll for 301 s: see the log"]
    # One that waits is no standstill as long as others are polled: that is overload, which `overdue` tells.
    bridge.metrics.engine.polls += 1
    assert await bridge.problems() == []


async def test_that_a_poll_is_an_hour_late_among_others_is_a_problem(bridge: Bridge) -> None:
    bridge.engine.overdue_seconds = 3601.0
    assert await bridge.problems() == [
        "polls are up to 3601 s late: use longer intervals, fewer watches or more tokens"
    ]


async def test_that_nothing_is_polled_at_all_is_a_problem_even_if_nothing_is_due(bridge: Bridge) -> None:
    assert await bridge.problems() == []
    bridge.now = START + 931
    assert await bridge.problems() == []
    bridge.now = START + 932
    assert await bridge.problems() == ["no poll for 931 s: see the log"]


async def test_long_intervals_are_no_problem(bridge: Bridge) -> None:
    bridge.engine.shortest_interval = 86400.0
    assert await bridge.problems() == []
    bridge.now = START + 86400
    assert await bridge.problems() == []


async def test_a_probe_that_looks_seldom_during_a_maintenance_is_no_problem(bridge: Bridge) -> None:
    bridge.engine.probe_interval, bridge.engine.api_status = 3600.0, ApiStatus.MAINTENANCE
    assert await bridge.problems() == []
    bridge.now = START + 3600
    assert await bridge.problems() == []
    bridge.engine.api_status = ApiStatus.OK
    assert await bridge.problems() == ["no poll for 3599 s: see the log"]


async def test_without_watches_nobody_need_poll(bridge: Bridge) -> None:
    bridge.engine.clans, bridge.engine.shortest_interval = 0, math.inf
    assert await bridge.problems() == []
    bridge.now = START + 86400
    assert await bridge.problems() == []


@pytest.mark.parametrize("status", [ApiStatus.UNREACHABLE, ApiStatus.DENIED, None])
async def test_api_without_usable_response_is_a_problem_after_three_minutes(
    bridge: Bridge, status: ApiStatus | None
) -> None:
    bridge.engine.api_status, bridge.engine.api_message = status, "an HTML page"
    assert await bridge.problems() == []
    bridge.now, bridge.metrics.engine.polls = START + 181, 8
    assert await bridge.problems() == []
    bridge.now, bridge.metrics.engine.polls = START + 182, 9
    state = status or "unknown"
    assert await bridge.problems() == [f"no usable response from the API for 181 s ({state}): an HTML page"]
    bridge.engine.api_status = ApiStatus.OK
    assert await bridge.problems() == []


async def test_api_in_maintenance_for_long_is_not_a_problem(bridge: Bridge) -> None:
    bridge.engine.api_status, bridge.engine.api_message = ApiStatus.MAINTENANCE, "the game is in maintenance"
    assert await bridge.problems() == []
    bridge.now, bridge.metrics.engine.polls = START + 7200, 8
    assert await bridge.problems() == []


async def test_api_that_nothing_asks_is_not_a_problem(bridge: Bridge) -> None:
    bridge.engine.api_status, bridge.engine.shortest_interval, bridge.engine.probe_interval = None, math.inf, None
    assert await bridge.problems() == []
    bridge.now = START + 7200
    assert await bridge.problems() == []


async def test_a_broker_that_is_away_for_a_minute_is_a_problem_with_its_reason(bridge: Bridge) -> None:
    bridge.connection.status = ConnectionStatus(connected=False, since=START, last_error="nothing accepts connections")
    assert await bridge.problems() == []
    bridge.now = START + 61
    assert await bridge.problems() == []
    bridge.now = START + 62
    assert await bridge.problems() == ["no connection to the broker for 61 s: nothing accepts connections"]


@pytest.mark.parametrize("jump", [-200_000.0, 200_000.0])
async def test_clock_jump_changes_no_duration(bridge: Bridge, jump: float) -> None:
    bridge.counts = JournalCounts(pending=1, oldest_pending=START - 9, dropped=4, last_seq=13)
    await bridge.health.payload()
    bridge.jumped = jump
    bridge.now += 60.0
    payload = await bridge.health.payload()
    assert (payload.uptime_seconds, payload.last_poll_age_seconds, payload.queue_age_seconds) == (61.0, 61.0, 70.0)


async def test_event_stored_before_a_clock_jump_is_not_older_than_the_empty_queue(bridge: Bridge) -> None:
    await bridge.health.payload()
    bridge.counts = JournalCounts(pending=1, oldest_pending=bridge.now, dropped=4, last_seq=13)
    bridge.jumped = 200_000.0
    bridge.now += 30.0
    assert (await bridge.health.payload()).queue_age_seconds == 30.0


async def test_a_clock_that_is_set_is_no_problem(bridge: Bridge) -> None:
    bridge.jumped = 86400.0
    bridge.connection.status = ConnectionStatus(connected=False, since=START - 86400, last_error="it is away")
    assert await bridge.problems() == []


async def test_that_another_one_has_taken_over_is_a_problem_at_once(bridge: Bridge) -> None:
    bridge.connection.status = ConnectionStatus(connected=False, since=START, last_error="stop it", taken_over=True)
    assert await bridge.problems() == ["no connection to the broker for 0 s: stop it"]


async def test_that_an_event_is_not_published_for_a_minute_is_a_problem(bridge: Bridge) -> None:
    def waiting(oldest: float) -> JournalCounts:
        return JournalCounts(pending=3, oldest_pending=oldest, dropped=0, last_seq=3)

    # However old the events are: what waited through an outage is being sent.
    bridge.counts = waiting(START - 7200)
    assert await bridge.problems() == []
    bridge.now = START + 62
    # Others are published all the time, but not this one.
    bridge.metrics.delivery.published += 100
    assert await bridge.problems() == ["the oldest of 3 pending events was not published for 61 s: see the log"]
    bridge.counts = waiting(START - 7100)
    assert await bridge.problems() == []
    bridge.now = START + 100
    bridge.connection.status = ConnectionStatus(connected=True, since=START + 99, protocol="5", reconnects=1)
    assert await bridge.problems() == []
    bridge.now = START + 150
    assert await bridge.problems() == []


async def test_an_event_that_came_this_moment_is_no_problem(bridge: Bridge) -> None:
    assert await bridge.problems() == []
    bridge.now = START + 600
    bridge.metrics.engine.polls += 1
    bridge.counts = JournalCounts(pending=1, oldest_pending=START + 600, dropped=0, last_seq=3)
    assert await bridge.problems() == []


async def test_that_the_broker_refuses_events_is_a_problem_for_ten_minutes(bridge: Bridge) -> None:
    bridge.metrics.delivery.denied = 7
    said = ["the broker rejected 7 events, which are not published again: see the log for the topics"]
    assert await bridge.problems() == said
    bridge.now, bridge.metrics.engine.polls = START + 600, 8
    assert await bridge.problems() == said
    bridge.now, bridge.metrics.engine.polls = START + 602, 9
    assert await bridge.problems() == []


async def test_retained_message_that_the_broker_refuses_is_a_problem_while_it_does(bridge: Bridge) -> None:
    bridge.rejected_topics.problem = "the broker rejects 1 retained messages"
    assert await bridge.problems() == ["the broker rejects 1 retained messages"]
    bridge.rejected_topics.problem = None
    assert await bridge.problems() == []


async def test_connection_lost_ten_times_in_ten_minutes_is_a_problem(bridge: Bridge) -> None:
    problems = []
    for reconnects in range(21):
        bridge.connection.status = ConnectionStatus(
            connected=True, since=START, reconnects=reconnects, last_error="it broke off"
        )
        bridge.now += 30
        bridge.metrics.engine.polls += 1
        problems += await bridge.problems()
    assert problems == [
        f"the connection to the broker was lost {losses} times in ten minutes: it broke off" for losses in range(10, 21)
    ]
    bridge.now += 601
    bridge.metrics.engine.polls += 1
    assert await bridge.problems() == []


async def test_broker_restarted_five_times_in_a_minute_is_no_problem(bridge: Bridge) -> None:
    for reconnects in range(6):
        bridge.connection.status = ConnectionStatus(connected=True, since=START, reconnects=reconnects, last_error="x")
        bridge.now += 12
        assert await bridge.problems() == []


@pytest.mark.looptime
async def test_each_change_between_well_and_not_well_is_one_line_and_the_figures_are_one_an_hour(
    bridge: Bridge, lines: list[MutableMapping[str, Any]]
) -> None:
    task = asyncio.create_task(bridge.health.monitor())
    await asyncio.sleep(610)  # not in the very moment of a look
    assert lines == []
    bridge.connection.status = ConnectionStatus(connected=False, since=START, last_error="it is away")
    await asyncio.sleep(45)
    bridge.now += 100
    await asyncio.sleep(610)  # not in the very moment of a look
    bridge.connection.status = ConnectionStatus(connected=True, since=START, protocol="5")
    await asyncio.sleep(610)  # not in the very moment of a look
    assert [(line["log_level"], line["event"], line.get("problems")) for line in lines] == [
        ("warning", "unhealthy", ["no connection to the broker for 100 s: it is away"]),
        ("info", "healthy again", None),
    ]
    await asyncio.sleep(2 * 3600)
    figures = [line for line in lines if line["event"] == "hourly stats"]
    assert len(figures) == 2
    assert (figures[0]["queue"], figures[0]["dropped"], figures[0]["errors"]) == (0, 4, {"denied": 1, "unreachable": 2})
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_internal_error_is_a_problem_for_ten_minutes(
    bridge: Bridge, lines: list[MutableMapping[str, Any]]
) -> None:
    bridge.errors.report(KeyError("a bug"), "poll")
    bridge.now += 1.0
    bridge.errors.report(KeyError("a bug"), "poll")
    assert await bridge.problems() == ["internal errors (2 so far): report the traceback in the log"]
    assert (await bridge.health.payload()).internal_errors == 2
    bridge.now += 599.0
    assert await bridge.problems()
    bridge.now += 1.0
    assert not [problem for problem in await bridge.problems() if "internal" in problem]
    assert (await bridge.health.payload()).internal_errors == 2
    assert len(lines) == 2


async def test_last_event_that_cannot_be_encoded_hides_no_other_figure(
    bridge: Bridge, lines: list[MutableMapping[str, Any]]
) -> None:
    record = replace(LAST.record, timestamp="no time")  # type: ignore[arg-type]
    bridge.delivery.last_event = replace(LAST, record=record)
    for _ in range(3):
        payload = await bridge.health.payload()
        assert (payload.last_event, payload.internal_errors, payload.published) == (None, 1, 9)
    assert len(lines) == 1
