from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from coc2mqtt.demo import PROBE_TAG, faults
from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import API, Kind, Resource, Snapshot, Watch
from coc2mqtt.events.stream.polling_state import QueueStore
from tests.events.conftest import NOON
from tests.support.recording_session import running
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from coc2mqtt.demo.faults import Fault, Handler
    from coc2mqtt.events import Event
    from tests.events.conftest import Bench, Until

# With SHORT intervals tests need not wait. With LONG ones they request each poll themselves.
SHORT, LONG = 0.01, 3600.0
PROBE = f"/v1/players/{PROBE_TAG}"


def engine_of(bench: Bench) -> Engine:
    return Engine(bench.api, bench.store, now=bench.clock, uptime=bench.clock)


def path(bench: Bench) -> str:
    return f"/v1/clans/{bench.clan}"


async def test_clan_watch_polls_clan_and_war_and_counts_polls_and_events(bench: Bench, until: Until) -> None:
    committed: list[Resource] = []
    engine = Engine(bench.api, bench.store, on_commit=committed.append, now=bench.clock, uptime=bench.clock)
    watch = Watch(Kind.CLAN, bench.clan, LONG, war_interval=LONG)
    engine.watch(watch)
    assert engine.watches == [watch]
    assert engine.api_status is None
    async with running(engine.run()):
        await until(lambda: engine.metrics.polls == 2)
        assert committed == [API, (Kind.CLAN, bench.clan), (Kind.WAR, bench.clan)]
        bench.world.join(bench.clan)
        assert engine.poll_now(Kind.CLAN, bench.clan)
        await until(lambda: engine.metrics.polls == 4)
    assert bench.queued_types() == ["clan_updated", "member_joined"]
    assert committed[3:] == [(Kind.CLAN, bench.clan)]
    metrics = engine.metrics
    assert (metrics.changed, metrics.events, metrics.last_poll) == (3, 2, bench.clock.now)
    assert engine.api_status is ApiStatus.OK
    assert engine.overdue == 0
    assert engine.polls_per_second == pytest.approx(4.0)  # the clock of the bench stands still, within one second
    assert metrics.errors == {}


@pytest.mark.parametrize("defenses", [True, False])
async def test_clan_watch_with_raids_polls_them_with_its_options(bench: Bench, until: Until, defenses: bool) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG, war=False, raids=True, raid_interval=LONG, raid_defenses=defenses))
    async with running(engine.run()):
        await until(lambda: engine.metrics.polls == 2)
        bench.world.start_raids(bench.clan)
        bench.world.raid_defense(bench.clan)
        assert engine.poll_now(Kind.CLAN, bench.clan)
        await until(lambda: engine.metrics.polls == 4)
        assert engine.unwatch(Kind.CLAN, bench.clan)
    expected = ["raid_started", "raid_opponent_new", *(["raid_defense_ended"] if defenses else [])]
    assert [one for one in bench.queued_types() if one.startswith("raid")] == expected


async def test_unknown_watch_cannot_be_polled_or_removed(bench: Bench) -> None:
    engine = engine_of(bench)
    assert not engine.poll_now(Kind.CLAN, bench.clan)
    assert not engine.unwatch(Kind.CLAN, bench.clan)


async def test_watches_can_be_added_and_removed_while_running(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    async with running(engine.run()):
        engine.watch(Watch(Kind.PLAYER, bench.player, SHORT))
        await until(lambda: bench.server.requests[f"/v1/players/{bench.player}"] >= 2)
        engine.watch(Watch(Kind.CLAN, bench.clan, SHORT, war=False))
        await until(lambda: bench.server.requests[path(bench)] >= 2)
        assert engine.unwatch(Kind.CLAN, bench.clan)
        assert [watch.kind for watch in engine.watches] == [Kind.PLAYER]
        requests_before = bench.server.requests[path(bench)]
        polls = engine.metrics.polls
        await until(lambda: engine.metrics.polls > polls + 5)
        assert bench.server.requests[path(bench)] <= requests_before + 1, "one poll may have been in progress"
    assert bench.server.requests[path(bench) + "/currentwar"] == 0


async def test_watch_removed_during_a_poll_is_not_committed(bench: Bench, until: Until) -> None:
    release = asyncio.Event()

    async def late(request: web.Request, handler: Handler) -> web.Response:
        await release.wait()
        return await handler(request)

    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG, war=False))
    bench.server.faults.add(late)
    async with running(engine.run()):
        await until(lambda: bench.server.requests[path(bench)])
        engine.unwatch(Kind.CLAN, bench.clan)
        release.set()
        await until(lambda: engine.metrics.polls)
    assert bench.snapshot_data(Resource(Kind.CLAN, bench.clan)) is None
    assert bench.queued_types() == []


async def test_replaced_watch_keeps_its_snapshot(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG, war=False))
    async with running(engine.run()):
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


@pytest.mark.parametrize(("fault", "status", "reported"), SUSPENDING)
async def test_only_the_probe_polls_while_the_api_refuses_everything(
    bench: Bench, until: Until, fault: Fault, status: ApiStatus, reported: list[str]
) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, SHORT, war_interval=SHORT))
    engine.watch(Watch(Kind.CLAN, bench.private_clan, SHORT, war=False))
    engine.watch(Watch(Kind.PLAYER, bench.player, SHORT))
    engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)
    requests = bench.server.requests

    def other_requests() -> int:
        return requests.total() - requests[PROBE]

    def five_probes_later() -> int:
        return requests[PROBE] + 5

    async with running(engine.run()):
        await until(lambda: len(requests) == 5 and min(requests.values()) > 2)
        bench.server.faults.add(fault)
        await until(lambda: engine.api_status is status)
        target = five_probes_later()
        await until(lambda: requests[PROBE] >= target)  # the polls in progress have ended by now
        requests_before, target = other_requests(), five_probes_later()
        await until(lambda: requests[PROBE] >= target)
        assert other_requests() == requests_before
        (kind,) = engine.metrics.errors
        assert kind in {"maintenance", "wrong_token", "wrong_address"}
        assert engine.metrics.errors[kind] >= 5
        bench.world.join(bench.clan)
        bench.server.faults.clear()
        await until(lambda: other_requests() > requests_before + 5)
    events = [bench.queue.get_nowait() for _ in range(bench.queue.qsize())]
    assert [event.event_type.value for event in events if event.tag == "api"] == reported
    assert {event.event_type.value for event in events if event.tag != "api"} == {"clan_updated", "member_joined"}


async def test_maintenance_from_the_previous_run_continues_and_ends(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)
    async with running(engine.run()):
        await until(lambda: engine.api_status is ApiStatus.OK)
        bench.world.start_maintenance()
        await until(lambda: engine.api_status is ApiStatus.MAINTENANCE)
    bench.clock.now += 60

    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, SHORT))
    engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)
    async with running(engine.run()):
        target = bench.server.requests[PROBE] + 5
        await until(lambda: bench.server.requests[PROBE] >= target)
        assert bench.server.requests[path(bench)] == 0
        bench.world.end_maintenance()
        await until(lambda: bench.server.requests[path(bench)])
    events = [bench.queue.get_nowait() for _ in range(bench.queue.qsize())]
    assert [event.event_type.value for event in events] == ["maintenance_start", "maintenance_end"]
    assert events[-1].metadata["duration_seconds"] == 60


async def test_api_recovery_without_a_probe_is_detected_by_the_watches(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, SHORT, war=False))
    async with running(engine.run()):
        await until(lambda: engine.api_status is ApiStatus.OK)
        bench.server.faults.add(faults.wrong_token())
        await until(lambda: engine.api_status is ApiStatus.DENIED)
        bench.server.faults.clear()
        await until(lambda: engine.api_status is ApiStatus.OK)
    assert bench.queued_types() == ["api_denied", "api_restored"]


async def test_unreachable_api_is_reported_once_with_a_probe(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, SHORT, war=False))
    engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)
    async with running(engine.run()):
        await until(lambda: bench.server.requests[path(bench)])
        bench.server.faults.add(faults.reset())
        await until(lambda: engine.api_status is ApiStatus.UNREACHABLE)
        bench.server.faults.clear()
        await until(lambda: engine.api_status is ApiStatus.OK)
    events = [bench.queue.get_nowait() for _ in range(bench.queue.qsize())]
    reported = [event.event_type.value for event in events if event.tag == "api"]
    assert reported == ["poll_error", "api_restored"]


async def test_war_is_polled_when_the_clan_makes_its_war_log_public(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.private_clan, SHORT, war_interval=SHORT))
    war = f"/v1/clans/{bench.private_clan}/currentwar"
    async with running(engine.run()):
        await until(lambda: bench.server.requests[f"/v1/clans/{bench.private_clan}"] > 20)
        assert bench.server.requests[war] == 1, "it is polled rarely while it is private"
        bench.world.set_war_log_public(bench.private_clan, public=True)
        await until(lambda: bench.server.requests[war] > 2)
    reported = bench.queued_types()
    assert reported.count("war_log_public") == 1


async def test_war_is_polled_right_after_its_end_despite_a_long_interval(bench: Bench, until: Until) -> None:
    bench.world.declare_war(bench.clan, preparation=timedelta(hours=1), battle=timedelta(hours=2))
    bench.world.start_battle(bench.clan)
    end = NOON + timedelta(hours=3)
    bench.clock.now = end.timestamp() - 1.1
    engine = engine_of(bench)
    engine.watch(Watch(Kind.WAR, bench.clan, LONG))
    async with running(engine.run()):
        await until(lambda: engine.metrics.polls == 1)
        bench.world.end_war(bench.clan)
        bench.clock.now += 1000.0
        await until(lambda: engine.metrics.polls == 2)
    assert bench.queued_types() == ["war_state_changed", "war_ended"]


async def test_single_maintenance_response_triggers_a_probe(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG, war=False))
    engine.watch_api(interval=LONG, probe_tag=PROBE_TAG)
    down = faults.refusal(503, "inMaintenance")
    async with running(engine.run()):
        await until(lambda: engine.metrics.polls == 2)
        bench.server.faults.add(down, times=1, path=path(bench))
        engine.poll_now(Kind.CLAN, bench.clan)
        await until(lambda: bench.server.requests[PROBE] == 2)
        await until(lambda: engine.metrics.polls == 4)
        assert engine.api_status is ApiStatus.OK, "the probe got a response"
        bench.server.faults.add(down, times=1, path=path(bench))
        engine.poll_now(Kind.CLAN, bench.clan)
        await until(lambda: engine.metrics.polls == 5)
        assert bench.server.requests[PROBE] == 2, "the last probe was a moment ago"
        bench.clock.now += 5
        bench.server.faults.add(down)
        engine.poll_now(Kind.CLAN, bench.clan)
        await until(lambda: engine.api_status is ApiStatus.MAINTENANCE)
    assert bench.queued_types() == ["maintenance_start"]


async def test_polls_in_progress_during_an_outage_are_not_reported_as_failed(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    for clan in bench.world.clan_tags:
        engine.watch(Watch(Kind.CLAN, clan, SHORT, war_interval=SHORT))
    engine.watch(Watch(Kind.PLAYER, bench.player, SHORT))
    engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)
    async with running(engine.run()):
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


async def test_intervals_above_the_rate_limit_are_logged_once(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, 1 / 6_000, war=False))
    with capture_logs() as logs:
        async with running(engine.run()):
            await until(lambda: engine.metrics.polls)
            for clan in (bench.private_clan, bench.clan):
                engine.watch(Watch(Kind.CLAN, clan, 1 / 6_000, war=False))
            engine.unwatch(Kind.CLAN, bench.clan)
    assert engine.load == pytest.approx(0.6)
    assert [line["load"] for line in logs if line["event"] == "intervals exceed the rate limit"] == [1.2]


async def test_watch_counts_follow_added_and_removed_watches(bench: Bench) -> None:
    engine = engine_of(bench)
    assert (engine.clans, engine.players, engine.shortest_interval, engine.load) == (0, 0, math.inf, 0.0)
    engine.watch_api(interval=1.0, probe_tag="#JY9J2Y99")
    engine.watch(Watch(Kind.CLAN, "#2PP", 100.0, war_interval=50.0))
    engine.watch(Watch(Kind.CLAN, "#8QQ", 100.0, war=False))
    engine.watch(Watch(Kind.PLAYER, "#8QQ", 200.0))
    assert (engine.clans, engine.players, engine.shortest_interval) == (2, 1, 50.0)
    load_before = engine.load
    engine.watch(Watch(Kind.CLAN, "#2PP", 25.0, war=False))
    assert (engine.clans, engine.players, engine.shortest_interval) == (2, 1, 25.0)
    assert engine.load - load_before == pytest.approx((1 / 25 - 1 / 100 - 1 / 50) / 10_000)
    for kind, tag in ((Kind.CLAN, "#2PP"), (Kind.CLAN, "#2PP"), (Kind.CLAN, "#8QQ")):
        engine.unwatch(kind, tag)
    assert (engine.clans, engine.players, engine.shortest_interval) == (0, 1, 200.0)
    engine.unwatch(Kind.PLAYER, "#8QQ")
    assert (engine.clans, engine.players, engine.shortest_interval) == (0, 0, math.inf)


async def test_slow_tag_does_not_delay_others(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    slow, quick = bench.world.clan_tags
    bench.server.faults.add(faults.hang(), path=slow)
    for tag in (slow, quick):
        engine.watch(Watch(Kind.CLAN, tag, SHORT, war=False))
    async with running(engine.run()):
        await until(lambda: bench.server.requests[f"/v1/clans/{quick}"] >= 5)
    assert bench.server.requests[f"/v1/clans/{slow}"] == 1


async def test_failing_store_stops_the_engine(bench: Bench) -> None:
    class FullDisk(QueueStore):
        async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:  # noqa: ARG002 - nothing is stored
            raise OSError("no space left")

    engine = Engine(bench.api, FullDisk(bench.state, bench.queue))
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG))
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(LONG_ENOUGH):
            await engine.run()
    assert caught.group_contains(OSError, match="no space left")


async def test_second_run_repeats_polls_that_were_cancelled(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG, war=False))
    bench.server.faults.add(faults.hang())
    async with running(engine.run()):
        await until(lambda: bench.server.requests[path(bench)])
    bench.server.faults.clear()
    async with running(engine.run()):
        await until(lambda: engine.metrics.polls == 1)
    assert bench.snapshot_data(Resource(Kind.CLAN, bench.clan)) == bench.world.clan(bench.clan)


async def test_war_watched_twice_stays_watched_when_one_watch_is_removed(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, SHORT, war_interval=SHORT))
    engine.watch(Watch(Kind.WAR, bench.clan, SHORT))
    war = path(bench) + "/currentwar"
    async with running(engine.run()):
        await until(lambda: bench.server.requests[war])
        assert engine.unwatch(Kind.WAR, bench.clan)
        requests_before = bench.server.requests[war]
        await until(lambda: bench.server.requests[war] > requests_before + 3)
        bench.world.declare_war(bench.clan)
        await until(lambda: bench.queue.qsize() == 2)
    assert [watch.kind for watch in engine.watches] == [Kind.CLAN]
    assert not any("catch_up" in bench.queue.get_nowait().metadata for _ in range(2)), "it was watched all the time"


async def test_changes_between_two_runs_are_marked_as_catch_up(bench: Bench, until: Until) -> None:
    engine = engine_of(bench)
    engine.watch(Watch(Kind.CLAN, bench.clan, LONG, war=False))
    async with running(engine.run()):
        await until(lambda: engine.metrics.polls == 1)
    bench.world.join(bench.clan)
    async with running(engine.run()):
        engine.poll_now(Kind.CLAN, bench.clan)
        await until(lambda: bench.queue.qsize() == 2)
    assert all(bench.queue.get_nowait().metadata["catch_up"] for _ in range(2))
