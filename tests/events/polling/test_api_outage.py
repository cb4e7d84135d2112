"""Outages: an API without usable responses of any kind is detected, reported once, and restored."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from coc2mqtt.clash import ClashClient
from coc2mqtt.demo import PROBE_TAG, faults
from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import API, Kind, Resource, Watch
from tests.support.pollers import responding
from tests.support.recording_session import running

if TYPE_CHECKING:
    from coc2mqtt.demo.faults import Fault
    from tests.events.conftest import Bench, Until

SHORT, LONG = 0.01, 3600.0
PROBE = f"/v1/players/{PROBE_TAG}"

OUTAGES = [
    pytest.param(faults.html_page(500), "status 500", id="500"),
    pytest.param(faults.html_page(200), "HTML page", id="captive portal"),
    pytest.param(faults.html_page(404), "HTML page", id="404 from a web server"),
    pytest.param(responding({"login": "required"}), ".", id="other JSON"),
    pytest.param(faults.refusal(302, "moved"), "redirects are not followed", id="redirect"),
    pytest.param(faults.refusal(400, "badRequest"), "status 400", id="400"),
    pytest.param(faults.throttled(0), "throttles", id="429"),
    pytest.param(faults.reset(), "cannot be reached", id="reset"),
]


def engine_of(bench: Bench, *, probe: bool = True, interval: float = SHORT) -> Engine:
    engine = Engine(bench.api, bench.store, now=bench.clock)
    engine.watch(Watch(Kind.CLAN, bench.clan, interval, war=False))
    engine.watch(Watch(Kind.PLAYER, bench.player, interval))
    if probe:
        engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)
    return engine


def tag_of(number: int) -> str:
    return "#2" + "".join("0289PYLQGRJCUV"[digit] for digit in divmod(number, 14))


def api_events(bench: Bench) -> list[str]:
    events = [bench.queue.get_nowait() for _ in range(bench.queue.qsize())]
    return [event.event_type.value for event in events if event.tag == API.tag]


@pytest.mark.parametrize("probe", [True, False], ids=["probe", "no probe"])
@pytest.mark.parametrize(("fault", "reason"), OUTAGES)
async def test_api_without_usable_responses_becomes_unreachable_and_restored(
    bench: Bench, until: Until, fault: Fault, reason: str, probe: bool
) -> None:
    engine = engine_of(bench, probe=probe)
    async with running(engine.run()):
        await until(lambda: engine.api_status is ApiStatus.OK and engine.metrics.polls > 4)
        with capture_logs() as lines:
            bench.server.faults.add(fault)
            await until(lambda: engine.api_status is ApiStatus.UNREACHABLE)
            polls = engine.metrics.polls
            await until(lambda: engine.metrics.polls > polls + 3)
        assert engine.api_status is ApiStatus.UNREACHABLE
        assert not engine.api_reachable
        assert re.search(reason, engine.api_message or "")
        bench.server.faults.clear()
        await until(lambda: engine.api_status is ApiStatus.OK)
        assert engine.api_message is None
    assert api_events(bench) == ["poll_error", "api_restored"]
    warnings = [line for line in lines if line["event"].startswith("API ")]
    assert [(line["event"], line["status"]) for line in warnings] == [("API unavailable", "unreachable")]
    assert warnings[0]["log_level"] == "warning"
    assert warnings[0]["hint"]


@pytest.mark.looptime
async def test_throttled_api_is_detected_within_a_minute_with_many_watches(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    bench.server.faults.add(faults.throttled())
    async with ClashClient([SecretStr("token")], base_url=bench.server.base_url) as api:
        engine = Engine(api, bench.store, now=loop.time)
        engine.watch_api(interval=30.0, probe_tag=PROBE_TAG)
        for number in range(50):
            engine.watch(Watch(Kind.CLAN, tag_of(number), 60.0, war_interval=30.0))
        async with running(engine.run()):
            start = loop.time()
            while engine.api_status is not ApiStatus.UNREACHABLE:
                await asyncio.sleep(1.0)
                assert loop.time() - start < 60.0, "each request waits for the pauses of the previous ones"


@pytest.mark.parametrize("probe", [True, False], ids=["probe", "no probe"])
@pytest.mark.parametrize(("fault", "reason"), OUTAGES)
async def test_api_without_any_usable_response_is_never_ok(
    bench: Bench, until: Until, fault: Fault, reason: str, probe: bool
) -> None:
    states: list[object] = []
    engine = engine_of(bench, probe=probe)
    bench.server.faults.add(fault)
    async with running(engine.run()):

        def is_unreachable() -> bool:
            states.append(bench.snapshot_data(API))
            return engine.api_status is ApiStatus.UNREACHABLE

        await until(is_unreachable)
        assert re.search(reason, engine.api_message or "")
        bench.server.faults.clear()
        await until(lambda: engine.api_status is ApiStatus.OK)
    assert not any(isinstance(state, dict) and state["status"] == "ok" for state in states)
    assert api_events(bench) == ["poll_error", "api_restored"]


async def test_api_status_before_the_first_usable_response_is_unknown(bench: Bench, until: Until) -> None:
    engine = engine_of(bench, probe=False)
    bench.server.faults.add(faults.html_page(200), path=bench.clan)
    bench.server.faults.add(faults.hang(), path=bench.player)
    async with running(engine.run()):
        await until(lambda: engine.metrics.polls >= 4)
        assert engine.api_status is None
        assert "HTML page" in (engine.api_message or "")
    assert bench.snapshot_data(API) is None


@pytest.mark.parametrize(("fault", "reason"), OUTAGES)
async def test_failing_resource_while_the_probe_answers_leaves_api_ok(
    bench: Bench, until: Until, fault: Fault, reason: str
) -> None:
    assert reason
    engine = engine_of(bench)
    seen = set[ApiStatus | None]()
    async with running(engine.run()):
        await until(lambda: engine.api_status is ApiStatus.OK and engine.metrics.polls > 4)
        for path in (bench.clan, bench.player):
            bench.server.faults.add(fault, path=path)
        probes = bench.server.requests[PROBE]

        def has_been_probed() -> bool:
            seen.add(engine.api_status)
            return bench.server.requests[PROBE] > probes + 10 and engine.metrics.errors.total() >= 6

        await until(has_been_probed)
    assert seen == {ApiStatus.OK}
    assert api_events(bench) == []


@pytest.mark.parametrize(("fault", "reason"), OUTAGES)
async def test_failing_probe_while_a_watch_answers_leaves_api_ok(
    bench: Bench, until: Until, fault: Fault, reason: str
) -> None:
    assert reason
    engine = engine_of(bench, interval=LONG)
    seen = set[ApiStatus | None]()
    async with running(engine.run()):
        await until(lambda: engine.api_status is ApiStatus.OK and engine.metrics.polls >= 3)
        bench.server.faults.add(fault, path=PROBE)
        probes = bench.server.requests[PROBE]

        def has_been_probed() -> bool:
            seen.add(engine.api_status)
            return bench.server.requests[PROBE] > probes + 10

        await until(has_been_probed)
    assert seen == {ApiStatus.OK}
    assert api_events(bench) == []


async def test_unreachable_api_whose_probe_stays_broken_is_restored(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    async with running(engine.run()):
        await until(lambda: engine.api_status is ApiStatus.OK)
        bench.server.faults.add(faults.html_page(502))
        await until(lambda: engine.api_status is ApiStatus.UNREACHABLE)
        bench.server.faults.clear()
        bench.server.faults.add(faults.html_page(502), path=PROBE)
        await until(lambda: engine.api_status is ApiStatus.OK)
    assert api_events(bench) == ["poll_error", "api_restored"]


async def test_one_failing_resource_without_a_probe_leaves_api_ok(bench: Bench, until: Until) -> None:
    engine = Engine(bench.api, bench.store, now=bench.clock)
    engine.watch(Watch(Kind.CLAN, bench.clan, SHORT, war=False))
    engine.watch(Watch(Kind.PLAYER, bench.player, LONG))
    async with running(engine.run()):
        await until(lambda: engine.metrics.polls >= 3)
        bench.server.faults.add(faults.html_page(502), path=bench.clan)
        await until(lambda: engine.metrics.errors.total() >= 5)
        assert engine.api_status is ApiStatus.OK
    assert api_events(bench) == []


async def test_outage_is_not_reported_for_every_watch(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    for clan in bench.world.clan_tags:
        engine.watch(Watch(Kind.CLAN, clan, SHORT, war_interval=SHORT))
    async with running(engine.run()):
        await until(lambda: engine.metrics.polls > 10)
        bench.server.faults.add(faults.html_page(500))
        await until(lambda: engine.api_status is ApiStatus.UNREACHABLE)
        bench.server.faults.clear()
        await until(lambda: engine.api_status is ApiStatus.OK)
    events = [bench.queue.get_nowait() for _ in range(bench.queue.qsize())]
    assert sum(event.event_type.value == "poll_error" and event.tag != API.tag for event in events) <= 1


async def test_reason_of_an_outage_is_kept_up_to_date(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    bench.server.faults.add(faults.reset())
    async with running(engine.run()):
        await until(lambda: engine.api_status is ApiStatus.UNREACHABLE)
        assert "cannot be reached" in (engine.api_message or "")
        bench.server.faults.clear()
        bench.server.faults.add(faults.html_page(200))
        await until(lambda: "HTML page" in (engine.api_message or ""))
        assert engine.api_status is ApiStatus.UNREACHABLE
    assert api_events(bench) == ["poll_error"]


async def test_watches_that_failed_are_polled_at_once_when_the_api_is_back(bench: Bench, until: Until) -> None:
    engine = engine_of(bench, interval=LONG)
    bench.server.faults.add(faults.html_page(200))
    async with running(engine.run()):
        await until(lambda: engine.api_status is ApiStatus.UNREACHABLE and engine.metrics.errors.total() >= 5)
        bench.server.faults.clear()
        await until(lambda: bench.snapshot_data(Resource(Kind.CLAN, bench.clan)))
        await until(lambda: bench.snapshot_data(Resource(Kind.PLAYER, bench.player)))
    reported = [bench.queue.get_nowait() for _ in range(bench.queue.qsize())]
    assert [(event.event_type.value, event.tag) for event in reported] == [
        ("poll_error", "api"),
        ("api_restored", "api"),
    ]
