"""The work of a bridge over one connection, on simulated time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events.resource import Kind, Resource, Watch
from coc2mqtt.mqtt.client.errors import SubscribeDeniedError
from coc2mqtt.mqtt.client.session import Message
from tests.support.bridge_parts import DEVICE, EVENT, STATUS, Parts, TimedSession
from tests.support.recording_session import running

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    Lines = list[MutableMapping[str, Any]]


@pytest.mark.looptime
async def test_new_session_publishes_online_then_state_then_events() -> None:
    parts, recording = Parts(), TimedSession()
    await parts.journal.add_event(1)
    async with running(parts.bridge.serve(recording.session)):
        await recording.wait_until(lambda: EVENT in recording.topics)
    states = [
        "coc/bridge/watches",
        "coc/bridge/last_command",
        "coc/api/state/calendar",
        "coc/clan/+/state/+",
        "coc/player/+/state/+",
    ]
    info = ["coc/bridge/info"] * 2  # a second time because nothing arrived
    first = [*info, "coc/bridge/request/+", STATUS, "coc/bridge/state", "coc/api/state/status"]
    assert recording.subscribed == [*first, *states, "homeassistant/device/+/config"]
    assert recording.topics[:2] == ["coc/bridge/state", "coc/bridge/info"]
    assert recording.published[0].payload == b'{"state":"online"}'
    assert set(recording.topics[2:-1]) == {
        "coc/bridge/watches",
        "coc/bridge/last_command",
        "coc/bridge/health",
        "coc/api/state/status",
        *(f"coc/clan/2PP/state/{facet}" for facet in ("availability", "badge", "clan", "members", "war")),
        "homeassistant/device/coc2mqtt_home_bridge/config",
        DEVICE,
    }
    assert [message.topic for message in recording.published if not message.retain] == [EVENT]
    # A new event entity needs a moment to subscribe.
    assert recording.published_at[EVENT][0] - recording.published_at[DEVICE][0] == pytest.approx(1.0, abs=0.1)


@pytest.mark.looptime
async def test_events_are_published_at_once_without_home_assistant() -> None:
    parts, recording = Parts(home_assistant=False), TimedSession()
    await parts.journal.add_event(1)
    async with running(parts.bridge.serve(recording.session)):
        await recording.wait_until(lambda: EVENT in recording.topics)
    assert not any(topic.startswith("homeassistant/") for topic in recording.subscribed)
    assert recording.published_at[EVENT][0] - recording.published_at["coc/bridge/state"][0] < 0.1


@pytest.mark.looptime
async def test_events_are_delivered_while_states_change_faster_than_published() -> None:
    parts, recording = Parts(), TimedSession(publish_time_s=0.5)
    await parts.journal.add_event(1)

    async def change_continuously() -> None:
        while True:
            parts.retained.mark(Resource(Kind.CLAN, "#2PP"))
            parts.retained.mark(Resource(Kind.WAR, "#2PP"))
            await asyncio.sleep(0.1)

    async with running(change_continuously()), running(parts.bridge.serve(recording.session)):
        await recording.wait_until(lambda: EVENT in recording.topics)


@pytest.mark.looptime
async def test_every_session_publishes_everything_again() -> None:
    parts = Parts()
    published = []
    for _ in range(2):
        recording = TimedSession()
        async with running(parts.bridge.serve(recording.session)):
            await asyncio.sleep(2)
        published.append(sorted(message.topic for message in recording.published))
    assert published[0] == published[1]


@pytest.mark.looptime
async def test_birth_messages_republish_everything_once_after_a_delay() -> None:
    parts, recording = Parts(), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(10)
        assert len(recording.published_at[DEVICE]) == 1
        for _ in range(3):
            recording.incoming.put_nowait(Message(STATUS, b"online"))
        await asyncio.sleep(10)
        births = recording.published_at[DEVICE][1:]
        assert len(births) == 1
        assert 1.0 <= births[0] - recording.published_at["coc/bridge/state"][0] - 10.0 <= 5.1
        assert len(recording.published_on("coc/clan/2PP/state/war")) == 2
        recording.incoming.put_nowait(Message(STATUS, b"online"))
        await asyncio.sleep(10)
        assert len(recording.published_at[DEVICE]) == 3


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
async def test_other_message_than_birth_republishes_nothing(message: Message) -> None:
    parts, recording = Parts(), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        recording.incoming.put_nowait(message)
        await asyncio.sleep(10)
    assert len(recording.published_at[DEVICE]) == 1


@pytest.mark.looptime
async def test_health_is_published_every_30_s_and_watches_on_changes() -> None:
    parts, recording = Parts(), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(95)
        assert len(recording.published_at["coc/bridge/health"]) == 4
        assert len(recording.published_at["coc/bridge/watches"]) == 1
        await parts.watches.watch(Watch(Kind.PLAYER, "#2PP", 60.0))
        parts.bridge.watches_changed()
        await asyncio.sleep(1)
    listed = [
        [watch["kind"] for watch in payload["watches"]] for payload in recording.published_on("coc/bridge/watches")
    ]
    assert listed == [["clan"], ["clan", "player"]]


@pytest.mark.looptime
async def test_denied_subscription_is_logged_and_bridge_continues(log_lines: Lines) -> None:
    class Denying(TimedSession):
        async def subscribe(self, topic_filter: str, qos: int = 1, *, skip_own_and_retained: bool = False) -> None:  # noqa: ARG002
            raise SubscribeDeniedError(f"allow {topic_filter}")

    parts, recording = Parts(), Denying()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(2)
    assert DEVICE in recording.topics
    denied = ["coc/bridge/request/+", STATUS, "coc/bridge/state"]
    assert [line["reason"] for line in log_lines] == [f"allow {topic}" for topic in denied]
