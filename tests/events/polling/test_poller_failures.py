"""Failures are reported once, and polled with a backoff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.demo import faults
from coc2mqtt.events.polling.api_monitor import ApiMonitor
from coc2mqtt.events.polling.clan_poller import ClanPoller
from coc2mqtt.events.polling.poll_context import PollContext

if TYPE_CHECKING:
    from coc2mqtt.demo.faults import Fault
    from coc2mqtt.events.resource import Kind
    from tests.events.conftest import Bench

from tests.support.pollers import KINDS, poll_types, poller, responding

pytestmark = pytest.mark.usefixtures("at_war")


async def test_too_deep_response_is_reported_for_its_resource_only(bench: Bench) -> None:
    deep: Any = {}
    for _ in range(300):
        deep = {"deeper": deep}
    subject = poller(bench)
    await subject.poll()
    before = bench.snapshot_data(subject.resource)
    bench.server.faults.add(responding({**(bench.world.clan(bench.clan) or {}), "news": deep}), times=2)
    assert [await poll_types(subject), await poll_types(subject)] == [["poll_error"], []]
    assert bench.snapshot_data(subject.resource) == before
    assert await poll_types(subject) == []


INVALID_RESPONSES = [
    pytest.param(faults.html_page(502), "server_error", id="HTML 502"),
    pytest.param(faults.html_page(200), "bad_answer", id="HTML 200"),
    pytest.param(faults.not_json(), "bad_answer", id="not JSON"),
    pytest.param(faults.truncated(), "bad_answer", id="truncated"),
    pytest.param(faults.refusal(400, "badRequest"), "bad_request", id="bad request"),
    pytest.param(responding([1]), "bad_answer", id="list"),
    pytest.param(responding({"reason": "unknown"}), "bad_answer", id="error with status 200"),
    pytest.param(
        responding({"tag": "#2PPPP", "name": "Other", "members": 0, "memberList": []}), "bad_answer", id="other tag"
    ),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fault", "error"), INVALID_RESPONSES)
async def test_invalid_response_is_reported_once_and_changes_nothing(
    bench: Bench, kind: Kind, fault: Fault, error: str
) -> None:
    subject = poller(bench, kind)
    await subject.poll()
    before = bench.snapshot_data(subject.resource)
    for _ in range(2):
        bench.server.faults.add(fault)
        polled = await subject.poll()
        assert [event.event_type.value for event in polled.events] == ["poll_error"]
        assert polled.events[0].metadata["error"] == error
        assert polled.events[0].metadata["message"]
        assert [await poll_types(subject) for _ in range(3)] == [[], [], []]
        assert await poll_types(poller(bench, kind)) == [], "a restart changes nothing"
        assert bench.snapshot_data(subject.resource) == before
        bench.server.faults.clear()
        assert await poll_types(subject) == [], "the valid response is the one from before"
        assert bench.snapshot_data(subject.resource) == before


async def test_occasional_lost_connections_are_not_reported(bench: Bench) -> None:
    subject = poller(bench)
    await subject.poll()
    for _ in range(2):
        bench.server.faults.add(faults.reset())
        assert await poll_types(subject) == []
        bench.server.faults.clear()
        assert await poll_types(subject) == []
    bench.server.faults.add(faults.html_page(502), times=1)
    assert await poll_types(subject) == ["poll_error"]
    bench.server.faults.add(faults.reset())
    assert [await poll_types(subject), await poll_types(subject)] == [[], []], "other failures do not count"


async def test_third_lost_connection_of_one_resource_is_reported(bench: Bench) -> None:
    monitor = ApiMonitor(bench.store, now=bench.clock, on_change=lambda _: None)
    context = PollContext(bench.api, bench.store, monitor, bench.clock, bench.clock)
    lost, other = (ClanPoller(context, tag, interval=60) for tag in bench.world.clan_tags)
    await lost.poll()
    bench.server.faults.add(faults.reset(), path=bench.world.clan_tags[0])
    seen = []
    for _ in range(4):
        seen.append(await poll_types(lost))
        await other.poll()
    assert seen == [[], [], ["poll_error"], []]
    bench.server.faults.clear()
    assert await poll_types(lost) == []


async def test_unreachable_api_is_not_reported_for_its_resources(bench: Bench) -> None:
    monitor = ApiMonitor(bench.store, now=bench.clock, on_change=lambda _: None)
    context = PollContext(bench.api, bench.store, monitor, bench.clock, bench.clock)
    subjects = [ClanPoller(context, tag, interval=60) for tag in bench.world.clan_tags]
    for subject in subjects:
        await subject.poll()
    bench.server.faults.add(faults.reset())
    for _ in range(3):
        for subject in subjects:
            assert await poll_types(subject) == []
    assert bench.queued_types() == ["poll_error"], "the event of the API itself"
    bench.server.faults.add(faults.html_page(502))
    assert await poll_types(subjects[0]) == []


async def test_failure_of_another_kind_is_reported_again(bench: Bench) -> None:
    subject = poller(bench)
    seen = []
    for fault in (faults.html_page(502), faults.not_json(), faults.not_json(), faults.html_page(500)):
        bench.server.faults.add(fault, times=1)
        seen += [event.metadata["error"] for event in (await subject.poll()).events]
    assert seen == ["server_error", "bad_answer", "server_error"]


@pytest.mark.parametrize(
    "fault",
    [faults.html_page(502), faults.not_json(), responding({"tag": "#2PP"})],
    ids=["502", "not JSON", "not a clan"],
)
async def test_backoff_doubles_with_each_failure_and_resets_after_success(bench: Bench, fault: Fault) -> None:
    subject = poller(bench)
    await subject.poll()
    bench.server.faults.add(fault, times=6)
    assert [(await subject.poll()).backoff for _ in range(6)] == [120, 240, 480, 600, 600, 600]
    assert (await subject.poll()).backoff == 0
    bench.server.faults.add(faults.html_page(502), times=1)
    assert (await subject.poll()).backoff == 120


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.refusal(503, "inMaintenance"), id="maintenance"),
        pytest.param(faults.wrong_token(), id="wrong token"),
        pytest.param(faults.wrong_address(), id="wrong address"),
    ],
)
async def test_failure_of_the_whole_api_is_not_reported_for_its_resources(
    bench: Bench, kind: Kind, fault: Fault
) -> None:
    subject = poller(bench, kind)
    await subject.poll()
    bench.server.faults.add(fault, times=5)
    for _ in range(5):
        assert (await subject.poll())[:3] == ([], 0, False)
    bench.server.faults.add(faults.html_page(502), times=1)
    assert (await subject.poll()).backoff == 120, "the earlier failures were not the resource's"
