"""Restoring retained topics that another client has overwritten, on simulated time and with real brokers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
from coc2mqtt.mqtt.client.connection import Connection, ConnectionOptions, Message
from coc2mqtt.mqtt.client.errors import SubscribeDeniedError
from tests.support.bodies import clan
from tests.support.bridge_parts import DEVICE, Parts, TimedSession
from tests.support.connections import OFFLINE, ONLINE, STATE
from tests.support.recording_session import RecordingSession, running
from tests.support.sessions import connected_session
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, MutableMapping

    from coc2mqtt.mqtt.client.options import Protocol
    from coc2mqtt.mqtt.client.session import Session
    from tests.conftest import StartMosquitto

    Lines = list[MutableMapping[str, Any]]

INFO, WATCHES, API_STATUS = "coc/bridge/info", "coc/bridge/watches", "coc/api/state/status"
LAST_COMMAND = "coc/bridge/last_command"
CLAN_STATE, AVAILABILITY, BADGE, MEMBERS, WAR_STATE = (
    f"coc/clan/2PP/state/{facet}" for facet in ("clan", "availability", "badge", "members", "war")
)
BRIDGE_DEVICE = "homeassistant/device/coc2mqtt_home_bridge/config"
GUARDED = [
    *(STATE, INFO, WATCHES, LAST_COMMAND, API_STATUS, CLAN_STATE, AVAILABILITY, BADGE),
    *(MEMBERS, WAR_STATE, DEVICE, BRIDGE_DEVICE),
]
OVERWRITTEN = "another client published on a retained topic of this bridge, which is published again"


def serving(parts: Parts, recording: RecordingSession) -> Any:
    return running(parts.bridge.serve(recording.session))


@pytest.mark.looptime
@pytest.mark.parametrize("payload", [b"", b"foreign", OFFLINE.payload], ids=["cleared", "foreign", "offline"])
@pytest.mark.parametrize("topic", GUARDED)
async def test_foreign_value_on_own_topic_is_replaced_once_within_seconds(
    topic: str, payload: bytes, log_lines: Lines
) -> None:
    parts, recording = Parts(), TimedSession()
    async with serving(parts, recording):
        await asyncio.sleep(100)
        before = recording.published_on(topic)
        assert before
        recording.incoming.put_nowait(Message(topic, payload))
        await asyncio.sleep(5)
        assert recording.published_on(topic) == [*before, before[-1]]
        await asyncio.sleep(600)
        assert len(recording.published_on(topic)) == len(before) + 1
        assert parts.guard.restored == 1
        assert parts.guard.problem is None
    (line,) = [line for line in log_lines if line["event"] == OVERWRITTEN]
    assert line["topic"] == topic


@pytest.mark.looptime
async def test_overwritten_device_is_announced_again_after_two_seconds_or_more() -> None:
    parts, recording = Parts(), TimedSession()
    async with serving(parts, recording):
        await asyncio.sleep(100)
        cleared_at = asyncio.get_running_loop().time()
        recording.incoming.put_nowait(Message(DEVICE, b""))
        await asyncio.sleep(10)
    assert 2 <= recording.published_at[DEVICE][-1] - cleared_at <= 5


@pytest.mark.looptime
async def test_own_messages_returned_by_the_broker_are_not_replaced(log_lines: Lines) -> None:
    async def echo(topic: str, payload: bytes) -> None:
        recording.incoming.put_nowait(Message(topic, payload))

    parts, recording = Parts(), RecordingSession(echo)
    async with serving(parts, recording):
        await asyncio.sleep(100)
        for number in range(10):
            parts.journal.snapshots[Resource(Kind.CLAN, "#2PP")] = Snapshot(clan(clanPoints=number))
            parts.retained.mark_watch(Watch(Kind.CLAN, "#2PP", 60.0, members=False))
            parts.bridge.watches_changed()
            parts.bridge.info_changed()
            await asyncio.sleep(30)
    assert parts.guard.restored == 0
    assert [line for line in log_lines if line["log_level"] == "warning"] == []


@pytest.mark.looptime
@pytest.mark.parametrize(
    "message",
    [
        Message(STATE, ONLINE),
        Message(STATE, OFFLINE.payload, retain=True),
        Message("coc/clan/8QQ/state/availability", OFFLINE.payload),
        Message("coc/clan/2PP/state/unknown", b"x"),
        Message("coc/clan/nonsense/state/clan", b"x"),
        Message("homeassistant/device/coc2mqtt_garden_clan_2PP/config", b"x"),
        Message("homeassistant/device/coc2mqtt_home_clan_8QQ/config", b"x"),
    ],
    ids=["equal", "retained", "not watched", "unknown facet", "invalid tag", "other instance", "other device"],
)
async def test_unrelated_message_causes_no_publish(message: Message) -> None:
    parts, recording = Parts(), TimedSession()
    async with serving(parts, recording):
        await asyncio.sleep(100)
        before = len([topic for topic in recording.topics if "health" not in topic])
        recording.incoming.put_nowait(message)
        await asyncio.sleep(20)
        assert len([topic for topic in recording.topics if "health" not in topic]) == before
    assert parts.guard.restored == 0


@pytest.mark.looptime
@pytest.mark.parametrize("gap", [1.5, 3.0])
async def test_own_messages_returned_late_are_not_replaced(gap: float, log_lines: Lines) -> None:
    def return_message(topic: str, payload: bytes) -> None:
        recording.incoming.put_nowait(Message(topic, payload))

    async def echo(topic: str, payload: bytes) -> None:
        asyncio.get_running_loop().call_later(4, return_message, topic, payload)

    parts, recording = Parts(), RecordingSession(echo)
    recording.protocol = "3.1.1"
    async with serving(parts, recording):
        await asyncio.sleep(100)
        for number in range(5):
            parts.journal.snapshots[Resource(Kind.CLAN, "#2PP")] = Snapshot(clan(clanPoints=number))
            parts.retained.mark_watch(Watch(Kind.CLAN, "#2PP", 60.0, members=False))
            await asyncio.sleep(gap)
        await asyncio.sleep(60)
    assert parts.guard.restored == 0
    assert [line for line in log_lines if line["log_level"] == "warning"] == []


@pytest.mark.looptime
async def test_foreign_value_equal_to_an_older_own_one_is_replaced_in_a_minute() -> None:
    parts, recording = Parts(), RecordingSession()
    recording.protocol = "3.1.1"
    async with serving(parts, recording):
        await asyncio.sleep(100)
        first = recording.published[recording.topics.index(CLAN_STATE)].payload
        parts.retained.publisher.echoes.add(CLAN_STATE, first, asyncio.get_running_loop().time())
        parts.journal.snapshots[Resource(Kind.CLAN, "#2PP")] = Snapshot(clan(clanPoints=7))
        parts.retained.mark_watch(Watch(Kind.CLAN, "#2PP", 60.0, members=False))
        await asyncio.sleep(5)
        recording.incoming.put_nowait(Message(CLAN_STATE, first))
        await asyncio.sleep(40)
        assert parts.guard.restored == 1
        assert recording.published_on(CLAN_STATE)[-1] == recording.published_on(CLAN_STATE)[-2]


@pytest.mark.looptime
async def test_foreign_value_followed_by_our_own_is_not_replaced() -> None:
    parts, recording = Parts(), TimedSession()
    async with serving(parts, recording):
        await asyncio.sleep(100)
        recording.incoming.put_nowait(Message(STATE, OFFLINE.payload))
        recording.incoming.put_nowait(Message(STATE, ONLINE))
        await asyncio.sleep(20)
    assert recording.published_on(STATE) == [{"state": "online"}]


@pytest.mark.looptime
async def test_client_that_keeps_publishing_is_countered_less_often_and_reported(log_lines: Lines) -> None:
    async def keep_publishing(topic: str, _payload: bytes) -> None:
        if topic == STATE:
            await asyncio.sleep(0.1)
            recording.incoming.put_nowait(Message(STATE, OFFLINE.payload))

    parts, recording = Parts(), RecordingSession(keep_publishing)
    async with serving(parts, recording):
        await asyncio.sleep(4)
        assert parts.guard.problem is None
        await asyncio.sleep(3600)
        problem = parts.guard.problem
        assert problem is not None
        assert problem.startswith(f"another client keeps publishing on {STATE}: stop it")
        recording.incoming.put_nowait(
            Message(INFO, b'{"instance": "garden", "run_id": "x", "host": "nas", "version": "1"}')
        )
        await asyncio.sleep(1)
        assert "another coc2mqtt (instance 'garden' on nas) keeps publishing" in (parts.guard.problem or "")
    assert 8 <= len(recording.published_on(STATE)) <= 18
    assert len([line for line in log_lines if line["event"] == OVERWRITTEN]) == 1


@pytest.mark.looptime
async def test_clearing_all_topics_publishes_everything_again(log_lines: Lines) -> None:
    parts, recording = Parts(), TimedSession()
    tags = [f"#Q{a}{b}" for a in "0289P" for b in "0289PYLQGRJCUV"]
    for tag in tags:
        parts.watches.watches[Kind.CLAN, tag] = Watch(Kind.CLAN, tag, 60.0, members=False, war=False)
        parts.journal.snapshots[Resource(Kind.CLAN, tag)] = Snapshot(clan(tag=tag))
    async with serving(parts, recording):
        await asyncio.sleep(200)
        before = [message for message in recording.published if message.retain and "health" not in message.topic]
        retained = {message.topic: message.payload for message in before}
        for topic in retained:
            recording.incoming.put_nowait(Message(topic, b""))
        recording.published.clear()
        await asyncio.sleep(60)
        again = {message.topic: message.payload for message in recording.published if message.retain}
    again.pop("coc/bridge/health")
    assert again == retained
    assert len([line for line in log_lines if line["event"] == OVERWRITTEN]) == 1


@pytest.mark.looptime
async def test_denied_subscriptions_are_logged_once_and_change_nothing_else(log_lines: Lines) -> None:
    class Denying(TimedSession):
        async def subscribe(self, topic_filter: str, qos: int = 1, *, skip_own_and_retained: bool = False) -> None:
            if skip_own_and_retained:
                raise SubscribeDeniedError(f"allow {topic_filter}")
            await super().subscribe(topic_filter, qos)

    parts, recording = Parts(), Denying()
    for _ in range(3):
        async with serving(parts, recording):
            await asyncio.sleep(20)
    assert DEVICE in recording.topics
    (line,) = log_lines
    assert line["event"] == "retained topics are not guarded against other clients"
    assert (line["topic"], line["reason"]) == (STATE, f"allow {STATE}")
    assert "config/coc2mqtt.acl" in line["hint"]


# With a real Mosquitto.

PROTOCOLS: list[Protocol] = ["5", "3.1.1"]
GARDENS_DEVICE = "homeassistant/device/coc2mqtt_garden_clan_2PP/config"


class Observer:
    """Another client that records the last payload of each topic and can publish."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._changed = asyncio.Condition()
        self.last: dict[str, bytes] = {}

    async def listen(self) -> None:
        await self._session.subscribe("#")
        async for message in self._session.messages():
            async with self._changed:
                self.last[message.topic] = message.payload
                self._changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LONG_ENOUGH), self._changed:
            await self._changed.wait_for(condition)

    async def publish(self, topic: str, payload: bytes) -> None:
        await self._session.publish(topic, payload, retain=True)


@asynccontextmanager
async def observing(port: int) -> AsyncIterator[Observer]:
    async with connected_session(ConnectionOptions("127.0.0.1", port, "other"), "5") as session:
        observer = Observer(session)
        async with running(observer.listen()):
            yield observer


def connection(parts: Parts, port: int, name: str, protocol: Protocol) -> Connection:
    options = ConnectionOptions("127.0.0.1", port, f"coc2mqtt-{name}", protocol=protocol, will=OFFLINE)
    return Connection(options, on_session=parts.bridge.serve, offline_messages=[OFFLINE])


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_overwritten_topics_are_restored_on_a_real_broker(
    mosquitto: StartMosquitto, protocol: Protocol, log_lines: Lines
) -> None:
    port = mosquitto().port
    parts = Parts()
    topics = [STATE, AVAILABILITY, WAR_STATE, DEVICE, API_STATUS]
    async with observing(port) as observer, running(connection(parts, port, "home", protocol).run()):
        await observer.until(lambda: set(topics) <= observer.last.keys())
        before = {topic: observer.last[topic] for topic in topics}
        await asyncio.sleep(0.2)
        assert parts.guard.restored == 0, "its own messages were recognized"
        foreign = {topic: OFFLINE.payload if topic in (STATE, AVAILABILITY) else b"" for topic in topics}
        for topic, payload in foreign.items():
            await observer.publish(topic, payload)
        await observer.until(lambda: foreign.items() <= observer.last.items())
        await observer.until(lambda: before.items() <= observer.last.items())
        assert parts.guard.restored == len(topics)
    assert len([line for line in log_lines if line["event"] == OVERWRITTEN]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_bridge_stays_online_when_another_with_its_base_topic_stops(
    mosquitto: StartMosquitto, protocol: Protocol
) -> None:
    port = mosquitto().port
    stays, stops = Parts(), Parts(instance="garden")
    async with observing(port) as observer, running(connection(stays, port, "home", protocol).run()):
        await observer.until(lambda: DEVICE in observer.last)
        async with running(connection(stops, port, "garden", protocol).run()):
            await observer.until(lambda: GARDENS_DEVICE in observer.last)
        await observer.until(lambda: observer.last[STATE] == OFFLINE.payload)
        await observer.until(lambda: observer.last[STATE] == ONLINE)
        assert observer.last[AVAILABILITY] == ONLINE
        assert stays.guard.restored < 20
