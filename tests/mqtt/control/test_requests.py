"""The request queue, and the responses that a bridge publishes to the requests of a connection."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from pydantic import SecretStr

from coc2mqtt.mqtt.client.connection import ConnectionOptions
from coc2mqtt.mqtt.client.errors import MessageTooLargeError, PublishDeniedError
from coc2mqtt.mqtt.client.session import Message
from coc2mqtt.mqtt.control.requests import RequestMetrics, RequestQueue
from tests.support.bridge_parts import EVENT, STATUS, Parts, TimedSession
from tests.support.observer import observing
from tests.support.recording_session import RecordingSession, running
from tests.support.sessions import connected_session

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from tests.conftest import StartMosquitto

    Lines = list[MutableMapping[str, Any]]

LIST = "coc/bridge/request/list"


def numbered_request(number: int, size: int = 10) -> Message:
    return Message(f"coc/bridge/request/{number}", bytes(size))


async def taken(queue: RequestQueue, count: int) -> list[str]:
    return [(await queue.get()).topic.rpartition("/")[2] for _ in range(count)]


@pytest.mark.looptime
async def test_queue_returns_requests_in_order_at_fifty_per_second() -> None:
    queue = RequestQueue(RequestMetrics())
    for number in range(101):
        queue.put(numbered_request(number))
    started = asyncio.get_running_loop().time()
    assert await taken(queue, 101) == [str(number) for number in range(101)]
    assert asyncio.get_running_loop().time() - started == pytest.approx(2.0, abs=0.01)


@pytest.mark.looptime
async def test_request_after_pause_is_returned_at_once() -> None:
    queue = RequestQueue(RequestMetrics())
    queue.put(numbered_request(0))
    await queue.get()
    await asyncio.sleep(5)
    started = asyncio.get_running_loop().time()
    asyncio.get_running_loop().call_later(1.0, queue.put, numbered_request(1))
    assert await taken(queue, 1) == ["1"]
    assert asyncio.get_running_loop().time() - started == pytest.approx(1.0)


@pytest.mark.parametrize(("size", "capacity"), [(10, 1000), (64 * 1024, 15)], ids=["small", "large"])
@pytest.mark.looptime
async def test_full_queue_drops_and_counts_requests_and_logs_once_per_flood(
    log_lines: Lines, size: int, capacity: int
) -> None:
    metrics = RequestMetrics()
    queue = RequestQueue(metrics)
    for flood in (1, 2):
        for number in range(capacity + 50):
            queue.put(numbered_request(number, size))
        assert metrics.dropped == 50 * flood
        assert len(log_lines) == flood
        assert await taken(queue, capacity) == [str(number) for number in range(capacity)]
        waiting = asyncio.create_task(queue.get())  # an empty queue ends the flood
        await asyncio.sleep(1)
        queue.put(numbered_request(-1))
        assert (await waiting).topic == "coc/bridge/request/-1"
    assert log_lines[0]["log_level"] == "warning"


async def test_size_limit_includes_topics_and_properties() -> None:
    metrics = RequestMetrics()
    queue = RequestQueue(metrics)
    for _ in range(100):
        queue.put(Message("t" * 60_000, b"", response_topic="r" * 60_000, correlation_data=bytes(60_000)))
    assert metrics.dropped == 95  # five requests of 180 kB fit into 1 MiB, six do not


async def request(recording: RecordingSession, command: str, payload: bytes | dict[str, Any]) -> Any:
    """Send a request and return the response, which must have its correlation data and the default topic."""
    topic, before = f"coc/bridge/response/{command}", len(recording.published)
    payload = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    recording.incoming.put_nowait(Message(f"coc/bridge/request/{command}", payload, correlation_data=b"7"))
    await recording.wait_until(lambda: topic in recording.topics[before:])
    (response,) = [message for message in recording.published[before:] if message.topic == topic]
    assert (response.correlation_data, response.retain) == (b"7", False)
    return response.data


async def responses(parts: Parts, recording: RecordingSession, message: Message) -> list[tuple[str, Any]]:
    """Return the topics and payloads of all responses to a request."""
    before = len(recording.published)
    async with running(parts.bridge.serve(recording.session)):
        recording.incoming.put_nowait(message)
        await asyncio.sleep(2)
    published = [one for one in recording.published[before:] if not one.retain]
    assert all(one.correlation_data == message.correlation_data for one in published)
    return [(one.topic, one.data) for one in published]


@pytest.mark.looptime
async def test_replay_publishes_events_only_on_response_topic() -> None:
    parts, recording = Parts(), RecordingSession()
    async with running(parts.bridge.serve(recording.session)):
        for number in (1, 2, 3):
            await parts.journal.add_event(number)
        await recording.wait_until(lambda: len(recording.published_on(EVENT)) == 3)
        response = await request(recording, "replay", {"since_seq": 1, "transaction": 5})
    assert response == {
        "status": "ok",
        "data": {"events": recording.published_on(EVENT)[1:], "next_seq": None},
        "transaction": 5,
    }
    assert len(recording.published_on(EVENT)) == 3


@pytest.mark.looptime
async def test_replay_page_fits_max_packet_size_of_broker() -> None:
    parts, recording = Parts(), RecordingSession()
    recording.max_packet_size = 5000
    async with running(parts.bridge.serve(recording.session)):
        for number in range(1, 51):
            await parts.journal.add_event(number)
        await recording.wait_until(lambda: len(recording.published_on(EVENT)) == 50)
        seqs: list[list[int]] = []
        next_seq: int | None = 0
        while next_seq is not None:
            page = (await request(recording, "replay", {"since_seq": next_seq}))["data"]
            assert len(recording.published[-1].payload) < 4000
            seqs.append([event["seq"] for event in page["events"]])
            next_seq = page["next_seq"]
    assert list(itertools.chain(*seqs)) == list(range(1, 51))
    assert len(seqs) > 5


@pytest.mark.looptime
async def test_new_log_level_is_published_in_bridge_info() -> None:
    parts, recording = Parts(), RecordingSession()
    async with running(parts.bridge.serve(recording.session)):
        assert (await request(recording, "log_level", b"debug"))["data"] == {"level": "debug"}
        await recording.wait_until(lambda: recording.published_on("coc/bridge/info")[-1]["log_level"] == "debug")
        await asyncio.sleep(5)
    assert [info["log_level"] for info in recording.published_on("coc/bridge/info")] == ["info", "debug"]
    assert all(message.retain for message in recording.published if message.topic == "coc/bridge/info")


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("request_topic", "response_topic", "status"),
    [
        (LIST, "coc/bridge/response/list", "ok"),
        ("coc/bridge/request/dance", "coc/bridge/response/dance", "error"),
        ("coc/bridge/request/DANCE", "coc/bridge/response/unknown", "error"),
        ("coc/bridge/request/a#b\0", "coc/bridge/response/unknown", "error"),
    ],
)
async def test_every_request_gets_a_response(request_topic: str, response_topic: str, status: str) -> None:
    ((topic, response),) = await responses(Parts(), TimedSession(), Message(request_topic, b""))
    assert (topic, response["status"]) == (response_topic, status)


@pytest.mark.looptime
async def test_retained_request_gets_error_and_is_not_executed() -> None:
    parts = Parts()
    message = Message("coc/bridge/request/unwatch", b"#2PP", retain=True)
    ((topic, response),) = await responses(parts, TimedSession(), message)
    assert (topic, response["status"]) == ("coc/bridge/response/unwatch", "error")
    assert parts.watches.calls == []


@pytest.mark.looptime
async def test_burst_of_requests_is_queued_and_every_one_gets_a_response() -> None:
    parts, recording = Parts(), RecordingSession()
    for number in range(1000):
        recording.incoming.put_nowait(Message(LIST, orjson.dumps({"transaction": number})))
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(25)
    published = recording.published_on("coc/bridge/response/list")
    assert [response["transaction"] for response in published] == list(range(1000))
    assert parts.requests.metrics.dropped == 0


@pytest.mark.looptime
@pytest.mark.parametrize("base", ["coc", "games/coc"])
@pytest.mark.parametrize(
    "response_topic",
    ["reply/me", "coc2/x", "x", "{base}/bridge/response/list", "{base}/bridge/response/mine/and/mine", "été"],
)
async def test_response_goes_to_allowed_response_topic(base: str, response_topic: str) -> None:
    requested = response_topic.format(base=base)
    message = Message(f"{base}/bridge/request/list", b"", response_topic=requested, correlation_data=b"\0\xff")
    ((topic, _),) = await responses(Parts(base=base), TimedSession(), message)
    assert topic == requested


@pytest.mark.looptime
@pytest.mark.parametrize("base", ["coc", "games/coc"])
@pytest.mark.parametrize(
    "response_topic",
    [
        "{base}/clan/2PP/member_joined",
        "{base}/clan/2PP/state/clan",
        "{base}/player/2PP/hero_upgraded",
        "{base}/api/maintenance_start",
        "{base}/api/state/status",
        "{base}/bridge/state",
        "{base}/bridge/health",
        "{base}/bridge/request/list",
        "{base}/bridge/response",
        "{base}/bridge/response/",
        "{base}/bridge/response/#",
        "{base}/bridge/response/+/x",
        "{base}/bridge/response//x",
        "{base}//x",
        "homeassistant/device/coc2mqtt_home_clan_2PP/config",
        STATUS,
        "$SYS/broker",
        "$share/group/x",
        "",
        "/",
        "x" * 300,
        "a\0b",
        "a\nb",
        "\ud800",
    ],
)
async def test_response_goes_to_default_topic_if_response_topic_is_not_allowed(base: str, response_topic: str) -> None:
    message = Message(f"{base}/bridge/request/list", b"", response_topic=response_topic.format(base=base))
    ((topic, _),) = await responses(Parts(base=base), TimedSession(), message)
    assert topic == f"{base}/bridge/response/list"


@pytest.mark.looptime
async def test_too_large_response_is_replaced_by_error() -> None:
    async def limit(topic: str, payload: bytes) -> None:
        if "response" in topic and len(payload) > 200:
            raise MessageTooLargeError("the broker takes no more than 200 bytes")

    message = Message(LIST, b'{"transaction":"t"}', correlation_data=b"x")
    ((topic, response),) = await responses(Parts(), RecordingSession(limit), message)
    assert topic == "coc/bridge/response/list"
    assert (response["status"], response["data"], response["transaction"]) == ("error", {}, "t")
    assert "the response is too large: the broker takes no more than 200 bytes" in response["error"]


@pytest.mark.looptime
@pytest.mark.parametrize("error", [PublishDeniedError("allow the topic"), MessageTooLargeError("raise the limit")])
async def test_rejected_response_is_logged_once_and_events_are_delivered(log_lines: Lines, error: Exception) -> None:
    async def reject(topic: str, _payload: bytes) -> None:
        if "response" in topic:
            raise error

    parts, recording = Parts(), RecordingSession(reject)
    await parts.journal.add_event(1)
    recording.incoming.put_nowait(Message(LIST, b""))
    ((topic, _),) = await responses(parts, recording, Message(LIST, b""))
    assert topic == EVENT
    assert [line["topic"] for line in log_lines if line["log_level"] == "error"] == ["coc/bridge/response/list"]


async def test_response_goes_to_default_topic_if_broker_denies_response_topic(mosquitto: StartMosquitto) -> None:
    acl = "user coc2mqtt\ntopic readwrite coc/#\ntopic write homeassistant/#\nuser viewer\ntopic readwrite #\n"
    port = mosquitto(users={"coc2mqtt": "x", "viewer": "x"}, acl=acl).port
    options = ConnectionOptions("127.0.0.1", port, "coc2mqtt_home", username="coc2mqtt", password=SecretStr("x"))
    async with (
        connected_session(options) as session,
        observing(port, username="viewer", password="x") as observer,
        running(Parts().bridge.serve(session)),
    ):
        await observer.wait_until(lambda: observer.retained("coc/bridge/health"), "the bridge")
        await observer.publish(LIST, b"", ResponseTopic="reply/me", CorrelationData=b"7")
        await observer.wait_until(lambda: observer.retained("coc/bridge/response/list"), "a response")
    (response,) = (message for message in observer.received if "response" in message.topic)
    assert response.correlation_data == b"7"
    assert all(message.topic != "reply/me" for message in observer.received)
