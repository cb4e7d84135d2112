from __future__ import annotations

import asyncio
import contextlib
import math
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from coc2mqtt.demo import PROBE_TAG, faults
from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import API, Kind, Resource, Snapshot
from coc2mqtt.events.stream.polling_state import QueueStore
from coc2mqtt.events.watch import Watch
from tests.events.conftest import NOON
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from aiohttp import web

    from coc2mqtt.demo.faults import Fault, Handler
    from coc2mqtt.events import Event
    from tests.events.conftest import Bench, Until

# Short enough not to wait for. Where a test is about a single poll, it asks for that itself.
SHORT, LONG = 0.01, 3600.0
PROBE = f"/v1/players/{PROBE_TAG}"


@contextlib.asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[None]:
    task = asyncio.create_task(engine.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert task.cancelled()


def engine_of(bench: Bench) -> Engine:
    return Engine(bench.api, bench.store, now=bench.clock, uptime=bench.clock)


def path(bench: Bench) -> str:
    return f"/v1/clans/{bench.clan}"


async def test_a_clan_is_watched_with_its_war_and_everything_is_counted(bench: Bench, until: Until) -> None:
    seen: list[Resource] = []
    engine = Engine(bench.api, bench.store, on_commit=seen.append, now=bench.clock, uptime=bench.clock)
    watch = Watch(Kind.CLAN, bench.clan, LONG, war_interval=LONG)
    engine.watch(watch)
    assert engine.watches == [watch]
    assert engine.api_status is None
    async with running(engine):
        await until(lambda: engine.metrics.polls == 2)
        assert seen == [API, (Kind.CLAN, bench.clan), (Kind.WAR, bench.clan)]
        bench.world.join(bench.clan)
        assert engine.poll_now(Kind.CLAN, bench.clan)
        await until(lambda: engine.metrics.polls == 4)
    assert bench.queued_types() == ["clan_updated", "member_joined"]
    assert seen[3:] == [(Kind.CLAN, bench.clan)]
    figures = engine.metrics
    assert (figures.changed, figures.events, figures.last_poll) == (3, 2, bench.clock.now)
    assert engine.api_status is ApiStatus.OK
    assert engine.overdue == 0
    assert engine.polls_per_second == pytest.approx(4.0)  # the bench's clock stands still: within a second
    assert figures.errors == {}


async def test_what_is_not_watched_cannot_be_polled_or_unwatched(bench: Bench) -> None:
    engine = engine_of(bench)
    assert not engine.poll_now(Kind.CLAN, bench.clan)
    assert not engine.unwatch(Kind.CLAN, bench.clan)


async def test_watches_come_and_go_while_it_runs(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    async with running(engine):
        engine.watch(Watch(Kind.PLAYER, bench.player, SHORT))
        await until(lambda: bench.server.requests[f"/v1/players/{bench.player}"] >= 2)
        engine.watch(Watch(Kind.CLAN, bench.clan, SHORT, war=False))
        await until(lambda: bench.server.requests[path(bench)] >= 2)
        assert engine.unwatch(Kind.CLAN, bench.clan)
        assert [watch.kind for watch in engine.watches] == [Kind.PLAYER]
        asked = bench.server.requests[path(bench)]
        polls = engine.metrics.polls
        await until(lambda: engine.metrics.polls > polls + 5)
        assert bench.server.requests[path(bench)] <= asked + 1, "one may have been under way"
    assert bench.server.requests[path(bench) + "/currentwar"] == 0


async def test_what_is_unwatched_during_a_poll_is_not_committed(bench: Bench, until: Until) -> None:
    answer = asyncio.Event()

    async def late(request: web.Request, handler: Handler) -> web.Response:
        await answer.wait()
        return await handler(request)

    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG, war=False))
    bench.server.faults.add(late)
    async with running(engine):
        await until(lambda: bench.server.requests[path(bench)])
        engine.unwatch(Kind.CLAN, bench.clan)
        answer.set()
        await until(lambda: engine.metrics.polls)
    assert bench.snapshot_data(Resource(Kind.CLAN, bench.clan)) is None
    assert bench.queued_types() == []


async def test_a_watch_that_is_replaced_keeps_its_snapshot(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG, war=False))
    async with running(engine):
        await until(lambda: engine.metrics.polls)
        bench.world.join(bench.clan)
        engine.watch(Watch(Kind.CLAN, bench.clan, LONG, war=False, members=False))
        await until(lambda: engine.metrics.polls == 2)
    assert [watch.members for watch in engine.watches] == [False]
    (event,) = [bench.queue.get_nowait() for _ in range(bench.queue.qsize())]
    assert event.event_type.value == "clan_updated"
    assert "catch_up" not in event.metadata, "it was watched all the time"


SUSPENDING = [
    pytest.param(
        faults.refusal(503, "inMaintenance"),
        ApiStatus.MAINTENANCE,
        ["maintenance_start", "maintenance_end"],
        id="maintenance",
    ),
    pytest.param(faults.wrong_token(), ApiStatus.DENIED, ["api_denied", "api_restored"], id="wrong token"),
    pytest.param(faults.wrong_address(), ApiStatus.DENIED, ["api_denied", "api_restored"], id="wrong address"),
]


@pytest.mark.parametrize(("fault", "status", "told"), SUSPENDING)
async def test_while_the_api_refuses_everything_only_the_probe_asks(
    bench: Bench, until: Until, fault: Fault, status: ApiStatus, told: list[str]
) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, SHORT, war_interval=SHORT))
    engine.watch(Watch(Kind.CLAN, bench.private_clan, SHORT, war=False))
    engine.watch(Watch(Kind.PLAYER, bench.player, SHORT))
    engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)
    requests = bench.server.requests

    def others() -> int:
        return requests.total() - requests[PROBE]

    def later() -> int:
        return requests[PROBE] + 5

    async with running(engine):
        await until(lambda: len(requests) == 5 and min(requests.values()) > 2)
        bench.server.faults.add(fault)
        await until(lambda: engine.api_status is status)
        moment = later()
        await until(lambda: requests[PROBE] >= moment)  # what was under way has ended by now
        asked, moment = others(), later()
        await until(lambda: requests[PROBE] >= moment)
        assert others() == asked
        (kind,) = engine.metrics.errors
        assert kind in {"maintenance", "wrong_token", "wrong_address"}
        assert engine.metrics.errors[kind] >= 5
        bench.world.join(bench.clan)
        bench.server.faults.clear()
        await until(lambda: others() > asked + 5)
    events = [bench.queue.get_nowait() for _ in range(bench.queue.qsize())]
    assert [event.event_type.value for event in events if event.tag == "api"] == told
    assert {event.event_type.value for event in events if event.tag != "api"} == {"clan_updated", "member_joined"}


async def test_a_maintenance_of_the_run_before_goes_on_and_ends(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)
    async with running(engine):
        await until(lambda: engine.api_status is ApiStatus.OK)
        bench.world.begin_maintenance()
        await until(lambda: engine.api_status is ApiStatus.MAINTENANCE)
    bench.clock.now += 60

    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, SHORT))
    engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)
    async with running(engine):
        moment = bench.server.requests[PROBE] + 5
        await until(lambda: bench.server.requests[PROBE] >= moment)
        assert bench.server.requests[path(bench)] == 0
        bench.world.end_maintenance()
        await until(lambda: bench.server.requests[path(bench)])
    events = [bench.queue.get_nowait() for _ in range(bench.queue.qsize())]
    assert [event.event_type.value for event in events] == ["maintenance_start", "maintenance_end"]
    assert events[-1].metadata["duration_seconds"] == 60


async def test_without_a_probe_everything_goes_on_asking_and_sees_the_api_come_back(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, SHORT, war=False))
    async with running(engine):
        await until(lambda: engine.api_status is ApiStatus.OK)
        bench.server.faults.add(faults.wrong_token())
        await until(lambda: engine.api_status is ApiStatus.DENIED)
        bench.server.faults.clear()
        await until(lambda: engine.api_status is ApiStatus.OK)
    assert bench.queued_types() == ["api_denied", "api_restored"]


async def test_an_api_that_cannot_be_reached_is_said_once_and_only_the_probe_asks(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, SHORT, war=False))
    engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)
    async with running(engine):
        await until(lambda: bench.server.requests[path(bench)])
        bench.server.faults.add(faults.reset())
        await until(lambda: engine.api_status is ApiStatus.UNREACHABLE)
        bench.server.faults.clear()
        await until(lambda: engine.api_status is ApiStatus.OK)
    events = [bench.queue.get_nowait() for _ in range(bench.queue.qsize())]
    told = [event.event_type.value for event in events if event.tag == "api"]
    assert told == ["poll_error", "api_restored"]


async def test_a_war_log_is_looked_at_again_when_the_clan_says_that_it_is_public(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.private_clan, SHORT, war_interval=SHORT))
    war = f"/v1/clans/{bench.private_clan}/currentwar"
    async with running(engine):
        await until(lambda: bench.server.requests[f"/v1/clans/{bench.private_clan}"] > 20)
        assert bench.server.requests[war] == 1, "while it is private it is left alone"
        bench.world.set_war_log_public(bench.private_clan, public=True)
        await until(lambda: bench.server.requests[war] > 2)
    told = bench.queued_types()
    assert told.count("war_log_public") == 1


async def test_a_war_is_looked_at_right_after_its_end_however_long_its_interval_is(bench: Bench, until: Until) -> None:
    bench.world.declare_war(bench.clan, preparation=timedelta(hours=1), battle=timedelta(hours=2))
    bench.world.begin_battle(bench.clan)
    end = NOON + timedelta(hours=3)
    bench.clock.now = end.timestamp() - 1.1
    engine = engine_of(bench)
    engine.watch(Watch(Kind.WAR, bench.clan, LONG))
    async with running(engine):
        await until(lambda: engine.metrics.polls == 1)
        bench.world.end_war(bench.clan)
        bench.clock.now += 1000.0
        await until(lambda: engine.metrics.polls == 2)
    assert bench.queued_types() == ["war_state_changed", "war_ended"]


async def test_a_single_word_of_maintenance_is_checked_by_the_probe_at_once(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG, war=False))
    engine.watch_api(interval=LONG, probe_tag=PROBE_TAG)
    down = faults.refusal(503, "inMaintenance")
    async with running(engine):
        await until(lambda: engine.metrics.polls == 2)
        bench.server.faults.add(down, times=1, path=path(bench))
        engine.poll_now(Kind.CLAN, bench.clan)
        await until(lambda: bench.server.requests[PROBE] == 2)
        await until(lambda: engine.metrics.polls == 4)
        assert engine.api_status is ApiStatus.OK, "the probe was answered"
        bench.server.faults.add(down, times=1, path=path(bench))
        engine.poll_now(Kind.CLAN, bench.clan)
        await until(lambda: engine.metrics.polls == 5)
        assert bench.server.requests[PROBE] == 2, "it was asked a moment ago"
        bench.clock.now += 5
        bench.server.faults.add(down)
        engine.poll_now(Kind.CLAN, bench.clan)
        await until(lambda: engine.api_status is ApiStatus.MAINTENANCE)
    assert bench.queued_types() == ["maintenance_start"]


async def test_what_is_under_way_when_the_api_is_lost_is_not_blamed(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    for clan in bench.world.clan_tags:
        engine.watch(Watch(Kind.CLAN, clan, SHORT, war_interval=SHORT))
    engine.watch(Watch(Kind.PLAYER, bench.player, SHORT))
    engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)
    async with running(engine):
        await until(lambda: engine.metrics.polls > 10)
        for _ in range(3):
            bench.server.faults.add(faults.reset())
            await until(lambda: engine.api_status is ApiStatus.UNREACHABLE)
            bench.server.faults.clear()
            await until(lambda: engine.api_status is ApiStatus.OK)
            polls = engine.metrics.polls
            await until(lambda polls=polls: engine.metrics.polls > polls + 10)  # type: ignore[misc]
    events = [bench.queue.get_nowait() for _ in range(bench.queue.qsize())]
    assert [(event.event_type.value, event.tag) for event in events] == [
        ("poll_error", "api"),
        ("api_restored", "api"),
    ] * 3


async def test_watches_that_ask_for_too_much_are_said_once(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, 1 / 6_000, war=False))
    with capture_logs() as logs:
        async with running(engine):
            await until(lambda: engine.metrics.polls)
            for clan in (bench.private_clan, bench.clan):
                engine.watch(Watch(Kind.CLAN, clan, 1 / 6_000, war=False))
            engine.unwatch(Kind.CLAN, bench.clan)
    assert engine.load == pytest.approx(0.6)
    assert [line["load"] for line in logs if line["event"] == "intervals exceed the rate limit"] == [1.2]


async def test_what_is_watched_is_counted_whatever_comes_and_goes(bench: Bench) -> None:
    engine = engine_of(bench)
    assert (engine.clans, engine.players, engine.shortest_interval, engine.load) == (0, 0, math.inf, 0.0)
    engine.watch_api(interval=1.0, probe_tag="#JY9J2Y99")
    engine.watch(Watch(Kind.CLAN, "#2PP", 100.0, war_interval=50.0))
    engine.watch(Watch(Kind.CLAN, "#8QQ", 100.0, war=False))
    engine.watch(Watch(Kind.PLAYER, "#8QQ", 200.0))
    assert (engine.clans, engine.players, engine.shortest_interval) == (2, 1, 50.0)
    asked = engine.load
    engine.watch(Watch(Kind.CLAN, "#2PP", 25.0, war=False))
    assert (engine.clans, engine.players, engine.shortest_interval) == (2, 1, 25.0)
    assert engine.load - asked == pytest.approx((1 / 25 - 1 / 100 - 1 / 50) / 10_000)
    for kind, tag in ((Kind.CLAN, "#2PP"), (Kind.CLAN, "#2PP"), (Kind.CLAN, "#8QQ")):
        engine.unwatch(kind, tag)
    assert (engine.clans, engine.players, engine.shortest_interval) == (0, 1, 200.0)
    engine.unwatch(Kind.PLAYER, "#8QQ")
    assert (engine.clans, engine.players, engine.shortest_interval) == (0, 0, math.inf)


async def test_a_slow_tag_holds_up_no_other(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    slow, quick = bench.world.clan_tags
    bench.server.faults.add(faults.hang(), path=slow)
    for tag in (slow, quick):
        engine.watch(Watch(Kind.CLAN, tag, SHORT, war=False))
    async with running(engine):
        await until(lambda: bench.server.requests[f"/v1/clans/{quick}"] >= 5)
    assert bench.server.requests[f"/v1/clans/{slow}"] == 1


async def test_a_store_that_fails_ends_it(bench: Bench) -> None:
    class FullDisk(QueueStore):
        async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:  # noqa: ARG002 - it keeps nothing
            raise OSError("no space left")

    engine = Engine(bench.api, FullDisk(bench.state, bench.queue))
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG))
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(LONG_ENOUGH):
            await engine.run()
    assert caught.group_contains(OSError, match="no space left")


async def test_run_again_after_it_was_cancelled_it_polls_what_was_under_way(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG, war=False))
    bench.server.faults.add(faults.hang())
    async with running(engine):
        await until(lambda: bench.server.requests[path(bench)])
    bench.server.faults.clear()
    async with running(engine):
        await until(lambda: engine.metrics.polls == 1)
    assert bench.snapshot_data(Resource(Kind.CLAN, bench.clan)) == bench.world.clan(bench.clan)


async def test_a_war_that_is_watched_twice_is_watched_on_with_the_other_watch(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, SHORT, war_interval=SHORT))
    engine.watch(Watch(Kind.WAR, bench.clan, SHORT))
    war = path(bench) + "/currentwar"
    async with running(engine):
        await until(lambda: bench.server.requests[war])
        assert engine.unwatch(Kind.WAR, bench.clan)
        asked = bench.server.requests[war]
        await until(lambda: bench.server.requests[war] > asked + 3)
        bench.world.declare_war(bench.clan)
        await until(lambda: bench.queue.qsize() == 2)
    assert [watch.kind for watch in engine.watches] == [Kind.CLAN]
    assert not any("catch_up" in bench.queue.get_nowait().metadata for _ in range(2)), "it was watched all the time"


async def test_what_happens_between_two_runs_is_caught_up(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG, war=False))
    async with running(engine):
        await until(lambda: engine.metrics.polls == 1)
    bench.world.join(bench.clan)
    async with running(engine):
        engine.poll_now(Kind.CLAN, bench.clan)
        await until(lambda: bench.queue.qsize() == 2)
    assert all(bench.queue.get_nowait().metadata["catch_up"] for _ in range(2))
