from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.events.watch import Watch
from coc2mqtt.mqtt.client.connection import ConnectionOptions
from coc2mqtt.mqtt.client.errors import MessageTooLargeError, PublishDeniedError, SubscribeDeniedError
from coc2mqtt.mqtt.client.session import Message
from tests.support.bridge_parts import DEVICE, EVENT, STATUS, Moments, Parts
from tests.support.observer import observing
from tests.support.recording_session import RecordingSession, running
from tests.support.sessions import connected_session

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from tests.conftest import StartMosquitto

    Lines = list[MutableMapping[str, Any]]


@pytest.mark.looptime
async def test_over_a_new_connection_the_bridge_says_that_it_is_there_then_what_is_then_what_happened() -> None:
    parts, recording = Parts(), Moments()
    await parts.journal.happen(1)
    async with running(parts.bridge.serve(recording.session)):
        await recording.wait_until(lambda: EVENT in recording.topics)
    states = ["coc/bridge/watches", "coc/clan/+/state/+", "coc/player/+/state/+"]
    at_once = ["coc/bridge/info", "coc/bridge/request/+", STATUS, "coc/bridge/state", "coc/api/state/status"]
    assert recording.subscribed == [*at_once, *states, "homeassistant/device/+/config"]
    assert recording.topics[:2] == ["coc/bridge/state", "coc/bridge/info"]
    assert recording.published[0].payload == b'{"state":"online"}'
    assert set(recording.topics[2:-1]) == {
        "coc/bridge/watches",
        "coc/bridge/health",
        "coc/api/state/status",
        *(f"coc/clan/2PP/state/{facet}" for facet in ("availability", "badge", "clan", "war")),
        "homeassistant/device/coc2mqtt_home_bridge/config",
        DEVICE,
    }
    assert [message.topic for message in recording.published if not message.retain] == [EVENT]
    # An event entity that was announced a moment ago does not hear yet.
    assert recording.at[EVENT][0] - recording.at[DEVICE][0] == pytest.approx(1.0, abs=0.1)


@pytest.mark.looptime
async def test_without_home_assistant_events_do_not_wait() -> None:
    parts, recording = Parts(home_assistant=False), Moments()
    await parts.journal.happen(1)
    async with running(parts.bridge.serve(recording.session)):
        await recording.wait_until(lambda: EVENT in recording.topics)
    assert not any(topic.startswith("homeassistant/") for topic in recording.subscribed)
    assert recording.at[EVENT][0] - recording.at["coc/bridge/state"][0] < 0.1


@pytest.mark.looptime
async def test_events_are_delivered_even_where_states_change_faster_than_they_can_be_said() -> None:
    parts, recording = Parts(), Moments(takes=0.5)
    await parts.journal.happen(1)

    async def change_always() -> None:
        while True:
            parts.retained.mark(Resource(Kind.CLAN, "#2PP"))
            parts.retained.mark(Resource(Kind.WAR, "#2PP"))
            await asyncio.sleep(0.1)

    async with running(change_always()), running(parts.bridge.serve(recording.session)):
        await recording.wait_until(lambda: EVENT in recording.topics)


@pytest.mark.looptime
async def test_everything_is_said_again_over_every_connection() -> None:
    parts = Parts()
    said = []
    for _ in range(2):
        recording = Moments()
        async with running(parts.bridge.serve(recording.session)):
            await asyncio.sleep(2)
        said.append(sorted(message.topic for message in recording.published))
    assert said[0] == said[1]


@pytest.mark.looptime
async def test_when_home_assistant_starts_everything_is_announced_again_once_after_a_moment() -> None:
    parts, recording = Parts(), Moments()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(10)
        assert len(recording.at[DEVICE]) == 1
        for _ in range(3):
            recording.incoming.put_nowait(Message(STATUS, b"online"))
        await asyncio.sleep(10)
        births = recording.at[DEVICE][1:]
        assert len(births) == 1
        assert 1.0 <= births[0] - recording.at["coc/bridge/state"][0] - 10.0 <= 5.1
        assert len(recording.published_on("coc/clan/2PP/state/war")) == 2
        recording.incoming.put_nowait(Message(STATUS, b"online"))
        await asyncio.sleep(10)
        assert len(recording.at[DEVICE]) == 3


@pytest.mark.looptime
@pytest.mark.parametrize(
    "message",
    [
        Message(STATUS, b"offline"),
        Message(STATUS, b""),
        Message(STATUS, b"\xff"),
        Message(STATUS, b"online", retain=True),
        Message("homeassistant/other", b"online"),
    ],
)
async def test_anything_but_a_birth_is_no_reason_to_announce_again(message: Message) -> None:
    parts, recording = Parts(), Moments()
    async with running(parts.bridge.serve(recording.session)):
        recording.incoming.put_nowait(message)
        await asyncio.sleep(10)
    assert len(recording.at[DEVICE]) == 1


@pytest.mark.looptime
async def test_health_is_said_every_half_minute_and_the_watches_when_they_change() -> None:
    parts, recording = Parts(), Moments()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(95)
        assert len(recording.at["coc/bridge/health"]) == 4
        assert len(recording.at["coc/bridge/watches"]) == 1
        await parts.watches.watch(Watch(Kind.PLAYER, "#2PP", 60.0))
        parts.bridge.watches_changed()
        await asyncio.sleep(1)
    listed = [[watch["kind"] for watch in said["watches"]] for said in recording.published_on("coc/bridge/watches")]
    assert listed == [["clan"], ["clan", "player"]]


@pytest.mark.looptime
async def test_a_subscription_that_is_not_granted_is_said_and_the_rest_goes_on(log_lines: Lines) -> None:
    class Denying(Moments):
        async def subscribe(self, topic_filter: str, qos: int = 1, *, skip_own_and_retained: bool = False) -> None:  # noqa: ARG002
            raise SubscribeDeniedError(f"allow {topic_filter}")

    parts, recording = Parts(), Denying()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(2)
    assert DEVICE in recording.topics
    denied = ["coc/bridge/request/+", STATUS, "coc/bridge/state"]
    assert [line["reason"] for line in log_lines] == [f"allow {topic}" for topic in denied]


async def answers(parts: Parts, recording: RecordingSession, request: Message) -> list[tuple[str, Any]]:
    """Return where and how a request is answered."""
    before = len(recording.published)
    async with running(parts.bridge.serve(recording.session)):
        recording.incoming.put_nowait(request)
        await asyncio.sleep(2)
    said = [message for message in recording.published[before:] if not message.retain]
    assert all(message.correlation_data == request.correlation_data for message in said)
    return [(message.topic, message.data) for message in said]


LIST = "coc/bridge/request/list"


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("request_topic", "answer_topic", "status"),
    [
        (LIST, "coc/bridge/response/list", "ok"),
        ("coc/bridge/request/dance", "coc/bridge/response/dance", "error"),
        ("coc/bridge/request/DANCE", "coc/bridge/response/unknown", "error"),
        ("coc/bridge/request/a#b\0", "coc/bridge/response/unknown", "error"),
    ],
)
async def test_every_request_is_answered(request_topic: str, answer_topic: str, status: str) -> None:
    ((topic, said),) = await answers(Parts(), Moments(), Message(request_topic, b""))
    assert (topic, said["status"]) == (answer_topic, status)


@pytest.mark.looptime
async def test_a_retained_request_is_answered_and_not_executed() -> None:
    parts = Parts()
    request = Message("coc/bridge/request/unwatch", b"#2PP", retain=True)
    ((topic, said),) = await answers(parts, Moments(), request)
    assert (topic, said["status"]) == ("coc/bridge/response/unwatch", "error")
    assert parts.watches.done == []


@pytest.mark.looptime
@pytest.mark.parametrize("base", ["coc", "games/coc"])
@pytest.mark.parametrize(
    "wished", ["reply/me", "coc2/x", "x", "{base}/bridge/response/list", "{base}/bridge/response/mine/and/mine", "été"]
)
async def test_an_answer_goes_where_it_is_wished_for(base: str, wished: str) -> None:
    wished = wished.format(base=base)
    request = Message(f"{base}/bridge/request/list", b"", response_topic=wished, correlation_data=b"\0\xff")
    ((topic, _),) = await answers(Parts(base=base), Moments(), request)
    assert topic == wished


@pytest.mark.looptime
@pytest.mark.parametrize("base", ["coc", "games/coc"])
@pytest.mark.parametrize(
    "wished",
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
async def test_where_an_answer_could_be_taken_for_something_else_it_goes_to_its_usual_topic(
    base: str, wished: str
) -> None:
    request = Message(f"{base}/bridge/request/list", b"", response_topic=wished.format(base=base))
    ((topic, _),) = await answers(Parts(base=base), Moments(), request)
    assert topic == f"{base}/bridge/response/list"


@pytest.mark.looptime
async def test_an_answer_that_is_too_large_is_replaced_by_one_that_says_so() -> None:
    async def limit(topic: str, payload: bytes) -> None:
        if "response" in topic and len(payload) > 200:
            raise MessageTooLargeError("the broker takes no more than 200 bytes")

    request = Message(LIST, b'{"transaction":"t"}', correlation_data=b"x")
    ((topic, said),) = await answers(Parts(), RecordingSession(limit), request)
    assert topic == "coc/bridge/response/list"
    assert (said["status"], said["data"], said["transaction"]) == ("error", {}, "t")
    assert "the answer is too large: the broker takes no more than 200 bytes" in said["error"]


@pytest.mark.looptime
@pytest.mark.parametrize("error", [PublishDeniedError("allow the topic"), MessageTooLargeError("raise the limit")])
async def test_an_answer_that_the_broker_never_takes_is_said_and_ends_nothing(
    log_lines: Lines, error: Exception
) -> None:
    async def refuse(topic: str, _payload: bytes) -> None:
        if "response" in topic:
            raise error

    parts, recording = Parts(), RecordingSession(refuse)
    await parts.journal.happen(1)
    recording.incoming.put_nowait(Message(LIST, b""))
    ((topic, _),) = await answers(parts, recording, Message(LIST, b""))
    assert topic == EVENT
    assert [line["topic"] for line in log_lines if line["log_level"] == "error"] == [
        "coc/bridge/response/list"
    ]  # once, however often it is asked


async def test_where_the_broker_denies_the_wished_topic_the_answer_comes_on_the_usual_one(
    mosquitto: StartMosquitto,
) -> None:
    acl = "user coc2mqtt\ntopic readwrite coc/#\ntopic write homeassistant/#\nuser viewer\ntopic readwrite #\n"
    port = mosquitto(users={"coc2mqtt": "x", "viewer": "x"}, acl=acl).port
    options = ConnectionOptions("127.0.0.1", port, "coc2mqtt_home", username="coc2mqtt", password=SecretStr("x"))
    async with (
        connected_session(options) as session,
        observing(port, username="viewer", password="x") as observer,
        running(Parts().bridge.serve(session)),
    ):
        await observer.until(lambda: observer.retained("coc/bridge/health"), "the bridge")
        await observer.publish(LIST, b"", ResponseTopic="reply/me", CorrelationData=b"7")
        await observer.until(lambda: observer.retained("coc/bridge/response/list"), "an answer")
    (answer,) = (message for message in observer.seen if "response" in message.topic)
    assert answer.correlation_data == b"7"
    assert all(message.topic != "reply/me" for message in observer.seen)
