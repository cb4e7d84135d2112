"""The retained state with lost connections, rejected messages and a real broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.events.resource import Kind, Resource, Watch
from coc2mqtt.mqtt.client.connection import ConnectionOptions
from coc2mqtt.mqtt.client.errors import ConnectionLostError, MessageTooLargeError, PublishDeniedError
from tests.support.bodies import clan
from tests.support.broker import subscribe_once
from tests.support.recording_session import RecordingSession, at_first, running
from tests.support.retained import (
    AVAILABILITY,
    BADGE,
    CLAN,
    CLAN_STATE,
    CLAN_TOPICS,
    DEVICE,
    EMPTIED_TOPICS,
    MEMBERS,
    WAR,
    WAR_STATE,
    WATCH,
    RetainedStateHarness,
    retained_messages,
)
from tests.support.sessions import connected_session
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from tests.conftest import StartMosquitto


@pytest.mark.parametrize("number", range(5))
async def test_messages_lost_with_the_connection_are_published_over_the_next(
    harness: RetainedStateHarness, number: int
) -> None:
    await harness.poll_clan()

    async def lose_connection(_topic: str, _payload: bytes) -> None:
        if len(broken.published) == number:
            raise ConnectionLostError("the broker stopped")

    broken = RecordingSession(lose_connection)
    if number == len(CLAN_TOPICS):
        await harness.publish_over(broken.session)
    else:
        with pytest.raises(ConnectionLostError):
            await harness.publish_over(broken.session)
    harness.state.on_connected()
    rest = await harness.publish()
    assert {*broken.topics, *rest.topics} == set(CLAN_TOPICS)


async def test_removal_cut_off_by_a_lost_connection_is_completed_over_the_next(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    await harness.publish()
    harness.unwatch(WATCH)

    async def lose_connection(topic: str, _payload: bytes) -> None:
        if topic == CLAN_STATE:
            raise ConnectionLostError("the broker stopped")

    with pytest.raises(ConnectionLostError):
        await harness.publish_over(RecordingSession(lose_connection).session)
    harness.state.on_connected()
    recording = RecordingSession()
    async with running(harness.run(recording.session)):
        await recording.wait_until(lambda: {*recording.topics} >= {*EMPTIED_TOPICS})
    assert DEVICE not in recording.topics, "its removal was acknowledged before"
    assert retained_messages(recording) == {}


async def test_resource_whose_publish_is_cancelled_stays_marked(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    started = asyncio.Event()

    async def wait_for_puback(_topic: str, _payload: bytes) -> None:
        started.set()
        await asyncio.Event().wait()

    async with running(harness.state.run(RecordingSession(wait_for_puback).session)):
        await asyncio.wait_for(started.wait(), LONG_ENOUGH)
    assert (await harness.publish()).topics == [WAR_STATE, AVAILABILITY, CLAN_STATE, BADGE, MEMBERS, DEVICE]


async def test_resource_marked_faster_than_published_does_not_block_others(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    others = [
        Watch(Kind.CLAN, f"#2P{letter}", 60.0, members=False) for letter in "0289PYLQGRJCUV"
    ]  # in the same shard and in others

    async def mark_again(_topic: str, _payload: bytes) -> None:
        harness.state.mark(CLAN)
        harness.state.mark(WAR)

    recording = RecordingSession(mark_again)
    async with running(harness.state.run(recording.session)):
        for watch in others:
            harness.watch(watch)
            await harness.poll(Resource(Kind.CLAN, watch.tag), clan())
        await recording.wait_until(
            lambda: {*recording.topics} >= {f"coc/clan/{watch.tag[1:]}/state/clan" for watch in others}
        )


async def test_device_requested_while_it_is_announced_is_announced_again(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()

    async def restart() -> None:
        harness.state.announcer.on_ha_online()
        harness.state.mark_watch(WATCH)

    recording = RecordingSession(at_first(DEVICE, restart))
    await harness.publish_over(recording.session)
    rest = await harness.publish()
    assert (recording.topics + rest.topics).count(DEVICE) == 2


async def test_start_of_home_assistant_during_a_removal_does_not_disturb_it(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    await harness.publish()

    starts = iter([harness.state.announcer.on_ha_online])

    async def restart(topic: str, _payload: bytes) -> None:
        if topic == DEVICE:
            next(starts, bool)()

    harness.unwatch(WATCH)
    recording = RecordingSession(restart)
    await harness.publish_over(recording.session)
    assert retained_messages(recording) == {}
    assert await harness.journal.resources() == []


async def test_unacknowledged_removal_is_repeated_over_the_next_connection(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    await harness.publish()
    harness.unwatch(WATCH)

    async def lose_connection(topic: str, _payload: bytes) -> None:
        if topic == DEVICE:
            raise ConnectionLostError("the broker stopped")

    with pytest.raises(ConnectionLostError):
        await harness.publish_over(RecordingSession(lose_connection).session)
    harness.state.on_connected()
    assert (await harness.publish()).topics == [DEVICE, *EMPTIED_TOPICS]


async def test_clan_watched_again_while_it_is_emptied_is_published_in_full(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()

    async def watch_again(topic: str, payload: bytes) -> None:
        if topic == AVAILABILITY and not payload:
            harness.watch(WATCH)

    recording = RecordingSession(watch_again)
    async with running(harness.run(recording.session)):
        await recording.wait_until(lambda: DEVICE in recording.topics)
        harness.unwatch(WATCH)
        await recording.wait_until(lambda: recording.published_on(AVAILABILITY)[-2:] == [None, {"state": "online"}])


@pytest.mark.parametrize("error", [PublishDeniedError("allow the topic"), MessageTooLargeError("raise the limit")])
async def test_rejected_message_is_logged_once_and_does_not_block_others(
    harness: RetainedStateHarness, log_lines: list[MutableMapping[str, Any]], error: Exception
) -> None:
    async def reject(topic: str, _payload: bytes) -> None:
        if topic == CLAN_STATE:
            raise error

    recording = RecordingSession(reject)
    for _ in range(3):
        await harness.poll_clan()
        await harness.publish_over(recording.session)
    assert set(recording.topics) == {AVAILABILITY, BADGE, MEMBERS, WAR_STATE, DEVICE}
    assert [(line["topic"], line["reason"]) for line in log_lines] == [(CLAN_STATE, str(error))]


async def retained_at(port: int, topic: str) -> Any:
    """Return the retained message that a new subscriber receives, None if there is none."""
    message = await subscribe_once(port, topic, "--retained-only")
    return None if message is None else orjson.loads(message)


async def test_real_broker_retains_a_watched_clan_until_it_is_unwatched(
    harness: RetainedStateHarness, mosquitto: StartMosquitto
) -> None:
    port = mosquitto().port
    await harness.poll_clan()
    async with connected_session(ConnectionOptions("127.0.0.1", port, "coc2mqtt_home")) as session:
        await harness.publish_over(session)
        found = await asyncio.gather(*(retained_at(port, topic) for topic in CLAN_TOPICS))
        assert [data is not None for data in found] == [True] * len(CLAN_TOPICS)
        assert found[1]["name"] == "The Order"
        harness.unwatch(WATCH)
        await harness.publish_over(session)
        assert await asyncio.gather(*(nothing_at(port, topic) for topic in CLAN_TOPICS)) == [True] * len(CLAN_TOPICS)


async def nothing_at(port: int, topic: str) -> bool:
    return await retained_at(port, topic) is None
