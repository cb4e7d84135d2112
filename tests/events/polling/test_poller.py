from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from pydantic import SecretStr

from coc2mqtt.clash import ApiResponse, ClashClient
from coc2mqtt.demo import faults
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.stream.polling_state import QueueStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.demo.faults import Handler
    from coc2mqtt.events import Event
    from tests.events.conftest import Bench, Until

from tests.support.pollers import KINDS, make_change, poll_types, poller, responding

pytestmark = pytest.mark.usefixtures("at_war")


@pytest.mark.parametrize("kind", KINDS)
async def test_first_response_is_the_baseline_and_later_changes_are_reported(bench: Bench, kind: Kind) -> None:
    subject = poller(bench, kind)
    polled = await subject.poll()
    assert (polled.events, polled.committed) == ([], True)
    event_type = make_change(bench, kind)
    polled = await subject.poll()
    assert [event.event_type.value for event in polled.events] == [event_type]
    assert polled.events[0].timestamp == bench.clock.now
    assert polled.committed
    assert bench.queued_types() == [event_type]


async def test_unchanged_response_is_neither_decoded_nor_stored(bench: Bench) -> None:
    responses: list[ApiResponse] = []

    class Client(ClashClient):
        async def clan(self, tag: str) -> ApiResponse:
            responses.append(await super().clan(tag))
            return responses[-1]

    async with Client([SecretStr("token-of-a-test")], base_url=bench.server.base_url) as bench.api:
        subject = poller(bench)
        assert (await subject.poll()).committed
        assert (await subject.poll())[:3] == ([], 0, False)
    decoded = ["data" in vars(response) for response in responses]
    assert decoded == [True, False]


async def test_result_has_the_max_age_of_the_response(bench: Bench) -> None:
    async def cached(request: web.Request, handler: Handler) -> web.Response:
        response = await handler(request)
        response.headers["Cache-Control"] = "max-age=91"
        return response

    bench.server.faults.add(cached)
    subject = poller(bench)
    assert [(await subject.poll()).earliest for _ in range(2)] == [91, 91]


@pytest.mark.parametrize("kind", KINDS)
async def test_change_between_two_runs_is_marked_as_catch_up(bench: Bench, kind: Kind) -> None:
    await poller(bench, kind).poll()
    make_change(bench, kind)
    bench.clock.now += 3600.25
    subject = poller(bench, kind)
    (event,) = (await subject.poll()).events
    assert event.metadata["catch_up"] is True
    assert event.metadata["snapshot_age_seconds"] == 3600.25
    make_change(bench, kind)
    (event,) = (await subject.poll()).events
    assert not event.metadata.keys() & {"catch_up", "snapshot_age_seconds"}


async def test_change_after_a_failed_first_poll_is_marked_as_catch_up(bench: Bench) -> None:
    await poller(bench).poll()
    make_change(bench, Kind.CLAN)
    bench.clock.now += 10
    bench.server.faults.add(faults.html_page(502), times=1)
    subject = poller(bench)
    assert await poll_types(subject) == ["poll_error"]
    (event,) = (await subject.poll()).events
    assert event.metadata["catch_up"] is True


@pytest.mark.parametrize("kind", [Kind.CLAN, Kind.PLAYER])
async def test_missing_resource_is_reported_once_and_polled_with_backoff(bench: Bench, kind: Kind) -> None:
    subject = poller(bench, kind)
    await subject.poll()
    bench.server.faults.add(faults.refusal(404, "notFound"))
    polled = await subject.poll()
    assert [event.event_type.value for event in polled.events] == ["watch_unavailable"]
    assert polled.events[0].metadata["endpoint"] == kind.value
    assert await poll_types(subject) == []
    assert await poll_types(poller(bench, kind)) == [], "a restart changes nothing"
    for _ in range(10):
        polled = await subject.poll()
    assert polled.backoff == 600
    bench.server.faults.clear()
    event_type = make_change(bench, kind)
    assert await poll_types(subject) == ["watch_available", event_type]
    assert await poll_types(subject) == []


@pytest.mark.parametrize("known", [True, False], ids=["known", "never seen"])
@pytest.mark.parametrize("kind", [Kind.CLAN, Kind.WAR, Kind.PLAYER])
async def test_max_age_of_an_error_does_not_delay_polls(bench: Bench, kind: Kind, known: bool) -> None:
    subject = poller(bench, kind)
    if known:
        await subject.poll()
    status, reason = (403, "accessDenied") if kind is Kind.WAR else (404, "notFound")

    async def refuse(_request: web.Request, _handler: Handler) -> web.Response:
        return web.json_response({"reason": reason}, status=status, headers={"Cache-Control": "max-age=86400"})

    bench.server.faults.add(refuse)
    for _ in range(2):
        assert (await subject.poll()).earliest == 0.0


async def test_missing_resource_is_not_reported_again_after_another_failure(bench: Bench) -> None:
    subject = poller(bench)
    await subject.poll()
    seen = []
    for fault in (faults.refusal(404, "notFound"), faults.html_page(502), faults.refusal(404, "notFound")):
        bench.server.faults.add(fault, times=1)
        seen += await poll_types(subject)
    assert seen == ["watch_unavailable", "poll_error"]
    assert await poll_types(subject) == ["watch_available"]


async def test_tag_that_starts_to_exist_becomes_available_without_catch_up(bench: Bench) -> None:
    assert await poll_types(poller(bench, tag="#2PPP")) == ["watch_unavailable"]
    bench.clock.now += 10
    bench.server.faults.add(responding({**(bench.world.clan(bench.clan) or {}), "tag": "#2PPP"}))
    (event,) = (await poller(bench, tag="#2PPP").poll()).events
    assert event.event_type.value == "watch_available"
    assert "catch_up" not in event.metadata


async def test_war_of_a_missing_clan_is_not_reported(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR)
    await subject.poll()
    bench.server.faults.add(faults.refusal(404, "notFound"), times=1)
    assert await poll_types(subject) == []
    make_change(bench, Kind.WAR)
    assert await poll_types(subject) == ["war_attack_new"]


async def test_poller_retired_during_its_poll_commits_nothing(bench: Bench, until: Until) -> None:
    subject = poller(bench)
    await subject.poll()
    release = asyncio.Event()

    async def late(request: web.Request, handler: Handler) -> web.Response:
        await release.wait()
        return await handler(request)

    bench.server.faults.add(late)
    make_change(bench, Kind.CLAN)
    before = bench.snapshot_data(subject.resource)
    poll = asyncio.create_task(subject.poll())
    await until(lambda: bench.server.requests[f"/v1/clans/{bench.clan}"] == 2)
    subject.retire()
    release.set()
    assert (await poll)[:3] == ([], 0, False)
    assert bench.snapshot_data(subject.resource) == before
    assert bench.queued_types() == []


async def test_change_is_detected_again_after_the_store_failed(bench: Bench) -> None:
    class FullDisk(QueueStore):
        full = False

        async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:
            if self.full:
                raise OSError("no space left")
            await super().commit(resource, snapshot, events)

    store = FullDisk(bench.state, bench.queue)
    subject = poller(bench, store=store)
    await subject.poll()
    make_change(bench, Kind.CLAN)
    store.full = True
    with pytest.raises(OSError, match="no space left"):
        await subject.poll()
    store.full = False
    assert await poll_types(subject) == ["clan_updated"]
