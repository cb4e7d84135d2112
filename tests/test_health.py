"""When the bridge reports which problem. The parts are fakes whose metrics a test sets."""

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
from coc2mqtt.events.polling.metrics import EngineMetrics
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind
from coc2mqtt.health import Health, Metrics
from coc2mqtt.internal_errors import InternalErrors
from coc2mqtt.journal.protocol import JournalCounts, JournalEntry
from coc2mqtt.mqtt.client.connection import ConnectionStatus
from coc2mqtt.mqtt.control.requests import RequestMetrics
from coc2mqtt.mqtt.publish.event_delivery import DeliveryMetrics

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

START = 1_800_000_000.0
LAST = JournalEntry(
    13, "d", Kind.CLAN, EventRecord("member_left", "#2PP", "The Order", START, "Kristen left The Order", (), {})
)


class Bridge:
    """A healthy bridge, one second after its start."""

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
        self.clock_offset = 0.0
        self.health = Health(
            **parts, started_at=START, clock=lambda: self.now + self.clock_offset, uptime=lambda: self.now
        )
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


async def test_events_rejected_before_a_rebuild_are_not_a_new_problem() -> None:
    bridge = Bridge(denied=7)
    assert await bridge.problems() == []
    bridge.metrics.delivery.denied += 1
    assert len(await bridge.problems()) == 1


async def test_payload_contains_every_metric(bridge: Bridge) -> None:
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


async def test_missing_polls_are_a_problem_five_minutes_after_they_are_due(bridge: Bridge) -> None:
    assert await bridge.problems() == []
    bridge.now, bridge.engine.overdue_seconds = START + 300, 299.0
    assert await bridge.problems() == []
    bridge.now, bridge.engine.overdue_seconds = START + 302, 301.0
    assert await bridge.problems() == ["no poll for 301 s: see the log"]
    # As long as others are polled, a late poll means overload, which `overdue` reports.
    bridge.metrics.engine.polls += 1
    assert await bridge.problems() == []


async def test_poll_that_is_an_hour_late_is_a_problem(bridge: Bridge) -> None:
    bridge.engine.overdue_seconds = 3601.0
    assert await bridge.problems() == [
        "polls are up to 3601 s late: use longer intervals, fewer watches or more tokens"
    ]


async def test_missing_polls_are_a_problem_even_if_none_is_due(bridge: Bridge) -> None:
    assert await bridge.problems() == []
    bridge.now = START + 931
    assert await bridge.problems() == []
    bridge.now = START + 932
    assert await bridge.problems() == ["no poll for 931 s: see the log"]


async def test_long_intervals_are_not_a_problem(bridge: Bridge) -> None:
    bridge.engine.shortest_interval = 86400.0
    assert await bridge.problems() == []
    bridge.now = START + 86400
    assert await bridge.problems() == []


async def test_long_probe_interval_during_a_maintenance_is_not_a_problem(bridge: Bridge) -> None:
    bridge.engine.probe_interval, bridge.engine.api_status = 3600.0, ApiStatus.MAINTENANCE
    assert await bridge.problems() == []
    bridge.now = START + 3600
    assert await bridge.problems() == []
    bridge.engine.api_status = ApiStatus.OK
    assert await bridge.problems() == ["no poll for 3599 s: see the log"]


async def test_missing_polls_without_watches_are_not_a_problem(bridge: Bridge) -> None:
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


async def test_long_maintenance_is_not_a_problem(bridge: Bridge) -> None:
    bridge.engine.api_status, bridge.engine.api_message = ApiStatus.MAINTENANCE, "the game is in maintenance"
    assert await bridge.problems() == []
    bridge.now, bridge.metrics.engine.polls = START + 7200, 8
    assert await bridge.problems() == []


async def test_api_that_is_not_polled_is_not_a_problem(bridge: Bridge) -> None:
    bridge.engine.api_status, bridge.engine.shortest_interval, bridge.engine.probe_interval = None, math.inf, None
    assert await bridge.problems() == []
    bridge.now = START + 7200
    assert await bridge.problems() == []


async def test_broker_outage_of_a_minute_is_a_problem_with_its_reason(bridge: Bridge) -> None:
    bridge.connection.status = ConnectionStatus(connected=False, since=START, last_error="nothing accepts connections")
    assert await bridge.problems() == []
    bridge.now = START + 61
    assert await bridge.problems() == []
    bridge.now = START + 62
    assert await bridge.problems() == ["no connection to the broker for 61 s: nothing accepts connections"]


@pytest.mark.parametrize("jump", [-200_000.0, 200_000.0])
async def test_clock_jump_does_not_change_durations(bridge: Bridge, jump: float) -> None:
    bridge.counts = JournalCounts(pending=1, oldest_pending=START - 9, dropped=4, last_seq=13)
    await bridge.health.payload()
    bridge.clock_offset = jump
    bridge.now += 60.0
    payload = await bridge.health.payload()
    assert (payload.uptime_seconds, payload.last_poll_age_seconds, payload.queue_age_seconds) == (61.0, 61.0, 70.0)


async def test_queue_age_after_a_clock_jump_does_not_exceed_the_time_since_it_was_empty(bridge: Bridge) -> None:
    await bridge.health.payload()
    bridge.counts = JournalCounts(pending=1, oldest_pending=bridge.now, dropped=4, last_seq=13)
    bridge.clock_offset = 200_000.0
    bridge.now += 30.0
    assert (await bridge.health.payload()).queue_age_seconds == 30.0


async def test_clock_jump_is_not_a_problem(bridge: Bridge) -> None:
    bridge.clock_offset = 86400.0
    bridge.connection.status = ConnectionStatus(connected=False, since=START - 86400, last_error="no route to host")
    assert await bridge.problems() == []


async def test_takeover_by_another_client_is_a_problem_at_once(bridge: Bridge) -> None:
    bridge.connection.status = ConnectionStatus(connected=False, since=START, last_error="stop it", taken_over=True)
    assert await bridge.problems() == ["no connection to the broker for 0 s: stop it"]


async def test_event_that_is_not_published_for_a_minute_is_a_problem(bridge: Bridge) -> None:
    def pending_since(oldest: float) -> JournalCounts:
        return JournalCounts(pending=3, oldest_pending=oldest, dropped=0, last_seq=3)

    # The age of the events does not matter: after an outage, old events are published.
    bridge.counts = pending_since(START - 7200)
    assert await bridge.problems() == []
    bridge.now = START + 62
    # Other events are published, but not this one.
    bridge.metrics.delivery.published += 100
    assert await bridge.problems() == ["the oldest of 3 pending events was not published for 61 s: see the log"]
    bridge.counts = pending_since(START - 7100)
    assert await bridge.problems() == []
    bridge.now = START + 100
    bridge.connection.status = ConnectionStatus(connected=True, since=START + 99, protocol="5", reconnects=1)
    assert await bridge.problems() == []
    bridge.now = START + 150
    assert await bridge.problems() == []


async def test_new_pending_event_is_not_a_problem(bridge: Bridge) -> None:
    assert await bridge.problems() == []
    bridge.now = START + 600
    bridge.metrics.engine.polls += 1
    bridge.counts = JournalCounts(pending=1, oldest_pending=START + 600, dropped=0, last_seq=3)
    assert await bridge.problems() == []


async def test_rejected_events_are_a_problem_for_ten_minutes(bridge: Bridge) -> None:
    bridge.metrics.delivery.denied = 7
    problems = ["the broker rejected 7 events, which are not published again: see the log for the topics"]
    assert await bridge.problems() == problems
    bridge.now, bridge.metrics.engine.polls = START + 600, 8
    assert await bridge.problems() == problems
    bridge.now, bridge.metrics.engine.polls = START + 602, 9
    assert await bridge.problems() == []


async def test_rejected_retained_message_is_a_problem_as_long_as_it_is_rejected(bridge: Bridge) -> None:
    bridge.rejected_topics.problem = "the broker rejects 1 retained messages"
    assert await bridge.problems() == ["the broker rejects 1 retained messages"]
    bridge.rejected_topics.problem = None
    assert await bridge.problems() == []


async def test_connection_lost_ten_times_in_ten_minutes_is_a_problem(bridge: Bridge) -> None:
    problems = []
    for reconnects in range(21):
        bridge.connection.status = ConnectionStatus(
            connected=True, since=START, reconnects=reconnects, last_error="connection reset"
        )
        bridge.now += 30
        bridge.metrics.engine.polls += 1
        problems += await bridge.problems()
    assert problems == [
        f"the connection to the broker was lost {losses} times in ten minutes: connection reset"
        for losses in range(10, 21)
    ]
    bridge.now += 601
    bridge.metrics.engine.polls += 1
    assert await bridge.problems() == []


async def test_broker_restarted_five_times_in_a_minute_is_not_a_problem(bridge: Bridge) -> None:
    for reconnects in range(6):
        bridge.connection.status = ConnectionStatus(connected=True, since=START, reconnects=reconnects, last_error="x")
        bridge.now += 12
        assert await bridge.problems() == []


@pytest.mark.looptime
async def test_monitor_logs_changes_of_health_and_hourly_stats(
    bridge: Bridge, lines: list[MutableMapping[str, Any]]
) -> None:
    task = asyncio.create_task(bridge.health.monitor())
    await asyncio.sleep(610)  # not at the exact time of a check
    assert lines == []
    bridge.connection.status = ConnectionStatus(connected=False, since=START, last_error="no route to host")
    await asyncio.sleep(45)
    bridge.now += 100
    await asyncio.sleep(610)  # not at the exact time of a check
    bridge.connection.status = ConnectionStatus(connected=True, since=START, protocol="5")
    await asyncio.sleep(610)  # not at the exact time of a check
    assert [(line["log_level"], line["event"], line.get("problems")) for line in lines] == [
        ("warning", "unhealthy", ["no connection to the broker for 100 s: no route to host"]),
        ("info", "healthy again", None),
    ]
    await asyncio.sleep(2 * 3600)
    stats = [line for line in lines if line["event"] == "hourly stats"]
    assert len(stats) == 2
    assert (stats[0]["queue"], stats[0]["dropped"], stats[0]["errors"]) == (0, 4, {"denied": 1, "unreachable": 2})
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


async def test_last_event_that_cannot_be_encoded_does_not_hide_other_metrics(
    bridge: Bridge, lines: list[MutableMapping[str, Any]]
) -> None:
    record = replace(LAST.record, timestamp="no time")  # type: ignore[arg-type]
    bridge.delivery.last_event = replace(LAST, record=record)
    for _ in range(3):
        payload = await bridge.health.payload()
        assert (payload.last_event, payload.internal_errors, payload.published) == (None, 1, 9)
    assert len(lines) == 1
