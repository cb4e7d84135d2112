"""The sensors of the members of watched clans: announced, renamed and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.client.errors import ConnectionLostError
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
    from collections.abc import AsyncIterator
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
