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
async def test_the_first_sight_is_the_baseline_and_what_follows_is_told(bench: Bench, kind: Kind) -> None:
    subject = poller(bench, kind)
    polled = await subject.poll()
    assert (polled.events, polled.committed) == ([], True)
    event_type = make_change(bench, kind)
    polled = await subject.poll()
    assert [event.event_type.value for event in polled.events] == [event_type]
    assert polled.events[0].timestamp == bench.clock.now
    assert polled.committed
    assert bench.queued_types() == [event_type]


async def test_the_same_answer_is_neither_decoded_nor_stored(bench: Bench) -> None:
    answers: list[ApiResponse] = []

    class Client(ClashClient):
        async def clan(self, tag: str) -> ApiResponse:
            answers.append(await super().clan(tag))
            return answers[-1]

    async with Client([SecretStr("token-of-a-test")], base_url=bench.server.base_url) as bench.api:
        subject = poller(bench)
        assert (await subject.poll()).committed
        assert (await subject.poll())[:3] == ([], 0, False)
    decoded = ["data" in vars(answer) for answer in answers]
    assert decoded == [True, False]


async def test_it_says_for_how_long_the_answer_holds(bench: Bench) -> None:
    async def held(request: web.Request, handler: Handler) -> web.Response:
        response = await handler(request)
        response.headers["Cache-Control"] = "max-age=91"
        return response

    bench.server.faults.add(held)
    subject = poller(bench)
    assert [(await subject.poll()).earliest for _ in range(2)] == [91, 91]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_changed_while_nobody_watched_is_marked_as_caught_up(bench: Bench, kind: Kind) -> None:
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


async def test_a_failure_at_start_does_not_keep_it_from_being_marked(bench: Bench) -> None:
    await poller(bench).poll()
    make_change(bench, Kind.CLAN)
    bench.clock.now += 10
    bench.server.faults.add(faults.html_page(502), times=1)
    subject = poller(bench)
    assert await poll_types(subject) == ["poll_error"]
    (event,) = (await subject.poll()).events
    assert event.metadata["catch_up"] is True


@pytest.mark.parametrize("kind", [Kind.CLAN, Kind.PLAYER])
async def test_what_cannot_be_found_is_said_once_and_asked_slowly_until_it_is_back(bench: Bench, kind: Kind) -> None:
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
async def test_caching_header_of_an_error_delays_no_poll(bench: Bench, kind: Kind, known: bool) -> None:
    subject = poller(bench, kind)
    if known:
        await subject.poll()
    status, reason = (403, "accessDenied") if kind is Kind.WAR else (404, "notFound")

    async def refuse(_request: web.Request, _handler: Handler) -> web.Response:
        return web.json_response({"reason": reason}, status=status, headers={"Cache-Control": "max-age=86400"})

    bench.server.faults.add(refuse)
    for _ in range(2):
        assert (await subject.poll()).earliest == 0.0


async def test_other_trouble_in_between_does_not_say_it_again(bench: Bench) -> None:
    subject = poller(bench)
    await subject.poll()
    seen = []
    for fault in (faults.refusal(404, "notFound"), faults.html_page(502), faults.refusal(404, "notFound")):
        bench.server.faults.add(fault, times=1)
        seen += await poll_types(subject)
    assert seen == ["watch_unavailable", "poll_error"]
    assert await poll_types(subject) == ["watch_available"]


async def test_a_tag_that_never_was_is_unavailable_until_it_is_and_not_caught_up_then(bench: Bench) -> None:
    assert await poll_types(poller(bench, tag="#2PPP")) == ["watch_unavailable"]
    bench.clock.now += 10
    bench.server.faults.add(responding({**(bench.world.clan(bench.clan) or {}), "tag": "#2PPP"}))
    (event,) = (await poller(bench, tag="#2PPP").poll()).events
    assert event.event_type.value == "watch_available"
    assert "catch_up" not in event.metadata


async def test_the_war_of_a_clan_that_cannot_be_found_is_left_to_the_clan(bench: Bench) -> None:
    subject = poller(bench, Kind.WAR)
    await subject.poll()
    bench.server.faults.add(faults.refusal(404, "notFound"), times=1)
    assert await poll_types(subject) == []
    make_change(bench, Kind.WAR)
    assert await poll_types(subject) == ["war_attack_new"]


async def test_what_is_retired_while_it_is_polled_commits_nothing(bench: Bench, until: Until) -> None:
    subject = poller(bench)
    await subject.poll()
    answer = asyncio.Event()

    async def late(request: web.Request, handler: Handler) -> web.Response:
        await answer.wait()
        return await handler(request)

    bench.server.faults.add(late)
    make_change(bench, Kind.CLAN)
    before = bench.snapshot_data(subject.resource)
    poll = asyncio.create_task(subject.poll())
    await until(lambda: bench.server.requests[f"/v1/clans/{bench.clan}"] == 2)
    subject.retire()
    answer.set()
    assert (await poll)[:3] == ([], 0, False)
    assert bench.snapshot_data(subject.resource) == before
    assert bench.queued_types() == []


async def test_a_store_that_fails_is_not_hidden_and_the_change_is_found_again(bench: Bench) -> None:
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
