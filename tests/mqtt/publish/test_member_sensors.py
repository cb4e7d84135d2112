"""The sensors of the members of watched clans: announced, renamed and removed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.resource import Kind, Resource, Watch
from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.client.errors import ConnectionLostError, PublishDeniedError
from coc2mqtt.mqtt.client.messages import Message
from tests.support.bodies import clan, member, war
from tests.support.bridge_parts import orphan_cleanup
from tests.support.recording_session import RecordingSession
from tests.support.retained import (
    CLAN,
    CLAN_STATE,
    DEVICE,
    EMPTIED_TOPICS,
    MEMBERS,
    WAR,
    WATCH,
    RetainedStateHarness,
    retained_messages,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

ANN, BEN, CID = "#2P2", "#2P8", "#2P9"


def config(tag: str) -> str:
    return f"homeassistant/device/coc2mqtt_home_clan_2PP_member_{tag.removeprefix('#')}/config"


def sensors(recording: RecordingSession) -> list[str]:
    """Return the discovery topics of members on which something was published."""
    return [topic for topic in recording.topics if "_member_" in topic]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[RetainedStateHarness]:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        harness = RetainedStateHarness(journal, member_sensors=True)
        harness.watch(WATCH)
        yield harness


async def test_each_member_has_a_sensor_after_the_state_and_the_device(harness: RetainedStateHarness) -> None:
    await harness.poll(CLAN, clan(member(ANN), member(BEN)))
    recording = await harness.publish()
    assert sensors(recording) == [config(ANN), config(BEN)]
    assert recording.topics.index(MEMBERS) < recording.topics.index(DEVICE) < recording.topics.index(config(ANN))
    assert [one.retain for one in recording.published if one.topic == config(ANN)] == [True]
    await harness.poll(CLAN, clan(member(ANN, donations=101), member(BEN)))
    assert sensors(await harness.publish()) == [], "a changed value needs no announcement"


async def test_sensors_follow_members_who_join_leave_and_are_renamed(harness: RetainedStateHarness) -> None:
    await harness.poll(CLAN, clan(member(ANN), member(BEN)))
    await harness.publish()
    await harness.poll(CLAN, clan(member(ANN, name="Anna"), member(CID)))
    recording = await harness.publish()
    assert recording.published_on(config(BEN)) == [None]
    assert recording.published_on(config(ANN))[0]["components"]["member_2p2"]["name"] == "Member Anna"
    assert recording.published_on(config(CID))[0]["components"]["member_2p9"]["platform"] == "sensor"
    assert DEVICE not in recording.topics, "the device itself has not changed"
    await harness.poll(CLAN, clan(member(ANN, name="Anna"), member(BEN), member(CID)))
    assert sensors(await harness.publish()) == [config(BEN)]


async def test_sensors_of_unchanged_members_are_announced_again_when_home_assistant_starts(
    harness: RetainedStateHarness,
) -> None:
    await harness.poll(CLAN, clan(member(ANN), member(BEN)))
    await harness.publish()
    harness.state.announcer.on_ha_online()
    harness.state.mark_watch(WATCH)
    assert sensors(await harness.publish()) == [config(ANN), config(BEN)]
    await harness.poll(CLAN, clan(member(ANN), member(BEN), name="Another Name"))
    assert sensors(await harness.publish()) == [config(ANN), config(BEN)], "the name of the clan is in the payload"


async def test_unknown_members_keep_their_sensors(harness: RetainedStateHarness) -> None:
    await harness.poll(CLAN, clan(member(ANN)))
    await harness.publish()
    without_list = clan()
    del without_list["memberList"]
    await harness.poll(CLAN, without_list)
    assert sensors(await harness.publish()) == []


async def test_unwatched_clan_loses_its_sensors_before_its_states(harness: RetainedStateHarness) -> None:
    await harness.poll(CLAN, clan(member(ANN), member(BEN)))
    await harness.poll(WAR, war("inWar"))
    await harness.publish()
    harness.unwatch(WATCH)
    recording = await harness.publish()
    assert set(recording.topics[:3]) == {DEVICE, config(ANN), config(BEN)}
    assert set(recording.topics[3:]) == set(EMPTIED_TOPICS)
    assert retained_messages(recording) == {}
    harness.watch(WATCH)
    await harness.poll(CLAN, clan(member(BEN)))
    assert sensors(await harness.publish()) == [config(BEN)]


async def test_removal_of_a_sensor_is_repeated_over_the_next_connection(harness: RetainedStateHarness) -> None:
    async def break_connection(topic: str, _payload: bytes) -> None:
        if topic == config(BEN):
            raise ConnectionLostError("the broker did not acknowledge a message")

    await harness.poll(CLAN, clan(member(ANN), member(BEN)))
    await harness.publish()
    await harness.poll(CLAN, clan(member(ANN)))
    with pytest.raises(ConnectionLostError):
        await harness.publish_over(RecordingSession(break_connection).session)
    harness.state.on_connected()
    harness.state.mark_watch(WATCH)
    recording = await harness.publish()
    assert recording.published_on(config(BEN)) == [None]
    assert config(ANN) in recording.topics


async def test_overwritten_sensor_is_announced_again(harness: RetainedStateHarness) -> None:
    await harness.poll(CLAN, clan(member(ANN), member(BEN)))
    await harness.publish()
    assert harness.state.is_device_topic(config(ANN))
    assert harness.state.matches_published(config(ANN), b"") is False
    harness.state.restore(config(ANN))
    assert sensors(await harness.publish()) == [config(ANN)]


async def found_earlier(harness: RetainedStateHarness, *, member_sensors: bool = True) -> RecordingSession:
    """Clean up a broker that retains the sensors of ANN and BEN, with ANN as the only member now."""
    recording = RecordingSession()
    recording.retained = [Message(config(tag), b'{"components":{}}', retain=True) for tag in (ANN, BEN)]
    cleanup = orphan_cleanup(harness.state, harness.watches, member_sensors=member_sensors)
    await cleanup.run(recording.session, shared=False)
    await harness.poll(CLAN, clan(member(ANN)))
    await harness.publish_over(recording.session)
    return recording


async def test_sensor_of_a_member_who_left_while_the_bridge_was_stopped_is_removed(
    harness: RetainedStateHarness,
) -> None:
    recording = await found_earlier(harness)
    assert recording.published_on(config(BEN)) == [None]
    assert recording.published_on(config(ANN))[-1] is not None


async def test_sensors_of_an_earlier_run_are_removed_once_they_are_disabled(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        harness = RetainedStateHarness(journal)
        harness.watch(WATCH)
        recording = await found_earlier(harness, member_sensors=False)
    assert recording.published_on(config(ANN)) == recording.published_on(config(BEN)) == [None]
    assert CLAN_STATE in recording.topics


async def test_sensors_of_a_clan_without_a_watch_are_removed(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        recording = await found_earlier(RetainedStateHarness(journal, member_sensors=True))
    assert retained_messages(recording) == {}
    assert {config(ANN), config(BEN), DEVICE, *EMPTIED_TOPICS} <= set(recording.topics)


async def test_members_have_no_sensor_by_default(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        harness = RetainedStateHarness(journal)
        harness.watch(WATCH)
        await harness.poll(CLAN, clan(member(ANN)))
        assert sensors(await harness.publish()) == []


async def leave_while_home_assistant_is_off(harness: RetainedStateHarness, clans: list[Watch]) -> list[str]:
    """Announce fifty members of each clan, and let all of them leave; return the discovery topics of their sensors."""
    tags = ["#2" + "".join(digits) for digits in itertools.islice(itertools.product("0289PYLQ", repeat=2), 50)]
    for watch in clans:
        harness.watch(watch)
        await harness.poll(Resource(Kind.CLAN, watch.tag), clan(*map(member, tags)))
    announced = sensors(await harness.publish())
    assert len(announced) == 50 * len(clans)
    for watch in clans:
        await harness.poll(Resource(Kind.CLAN, watch.tag), clan())
    removed = await harness.publish()
    assert sorted(sensors(removed)) == sorted(announced)
    assert retained_messages(removed).keys().isdisjoint(announced)
    return announced


def check_removed(recording: RecordingSession, topics: Iterable[str]) -> None:
    """Check that each sensor was announced again and then removed, so that Home Assistant knows what to remove."""
    for topic in topics:
        shown, removed = recording.published_on(topic)
        assert shown["components"], topic
        assert removed is None


async def test_home_assistant_removes_all_sensors_of_members_who_left_while_it_was_off(
    harness: RetainedStateHarness,
) -> None:
    clans = [Watch(Kind.CLAN, f"#2P{digit}", 60.0, members=False) for digit in "PYLQG"]
    topics = await leave_while_home_assistant_is_off(harness, clans)
    harness.state.announcer.on_ha_online()
    check_removed(await harness.publish(), topics)


async def test_home_assistant_removes_all_sensors_that_were_disabled_while_it_was_off(tmp_path: Path) -> None:
    topics = [config(f"#2{first}{second}{third}") for first in "0289PY" for second in "0289PY" for third in "0289PY"]
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        harness = RetainedStateHarness(journal)
        harness.watch(WATCH)
        recording = RecordingSession()
        recording.retained = [Message(topic, b'{"components":{}}', retain=True) for topic in topics]
        cleanup = orphan_cleanup(harness.state, harness.watches)
        await cleanup.run(recording.session, shared=False)
        await harness.publish_over(recording.session)
        assert sorted(sensors(recording)) == sorted(topics)
        harness.state.announcer.on_ha_online()
        check_removed(await harness.publish(), topics)


async def test_rejected_sensors_of_members_who_left_are_not_reported(harness: RetainedStateHarness) -> None:
    async def deny(topic: str, _payload: bytes) -> None:
        if "_member_" in topic:
            raise PublishDeniedError("not authorized")

    recording = RecordingSession(deny)
    rejected = harness.state.publisher.rejected_topics
    await harness.poll(CLAN, clan(member(ANN), member(BEN)))
    await harness.publish_over(recording.session)
    assert (rejected.problem or "").startswith("the broker rejects 2 of the retained messages")
    await harness.poll(CLAN, clan(member(ANN)))
    await harness.publish_over(recording.session)
    assert (rejected.problem or "").startswith("the broker rejects 1 of the retained messages")
    await harness.poll(CLAN, clan())
    await harness.publish_over(recording.session)
    assert rejected.problem is None
    assert not rejected.any_retryable
    harness.state.retry_rejected()
    assert sensors(await harness.publish()) == [], "nothing of them is retained"


async def test_rejected_removal_of_a_sensor_is_reported_and_retried(harness: RetainedStateHarness) -> None:
    async def deny(topic: str, _payload: bytes) -> None:
        if topic == config(BEN):
            raise PublishDeniedError("not authorized")

    await harness.poll(CLAN, clan(member(ANN), member(BEN)))
    await harness.publish()
    await harness.poll(CLAN, clan(member(ANN)))
    await harness.publish_over(RecordingSession(deny).session)
    assert harness.state.publisher.rejected_topics.is_retryable(config(BEN))
    harness.state.retry_rejected()
    assert (await harness.publish()).published_on(config(BEN)) == [None]
    assert harness.state.publisher.rejected_topics.problem is None
