"""The clan war league and the raid weekend of a clan in Home Assistant: announced, removed and restored."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.client.errors import ConnectionLostError
from coc2mqtt.mqtt.client.messages import Message
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.topics import Topics
from tests.support.bodies import clan
from tests.support.bridge_parts import Parts, TimedSession, orphan_cleanup
from tests.support.recording_session import RecordingSession, running
from tests.support.retained import BADGE, CLAN, CLAN_STATE, DEVICE, RetainedStateHarness, retained_messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CWL, RAID = Resource(Kind.CWL, "#2PP"), Resource(Kind.RAID, "#2PP")
CWL_STATE, RAID_STATE = "coc/clan/2PP/state/cwl", "coc/clan/2PP/state/raid"
CWL_PART, RAID_PART = (f"homeassistant/device/coc2mqtt_home_clan_2PP_{part}/config" for part in ("cwl", "raid"))
DISCOVERY = Discovery(Topics(), instance="home", version="1", prefix="homeassistant")
NO_LEAGUE: dict[str, Any] = {"group": None, "wars": {}}
NO_RAID: dict[str, Any] = {"season": None}
WATCH = Watch(Kind.CLAN, "#2PP", 60.0, members=False, war=False, cwl=True, cwl_standings=True, raids=True)


def watch(**options: Any) -> Watch:
    return Watch(Kind.CLAN, "#2PP", 60.0, members=False, war=False, **options)


def parts(recording: RecordingSession) -> list[str]:
    """Return the discovery topics of parts on which something was published."""
    return [topic for topic in recording.topics if topic in {CWL_PART, RAID_PART}]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[RetainedStateHarness]:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        harness = RetainedStateHarness(journal)
        harness.watch(WATCH)
        yield harness


async def poll(harness: RetainedStateHarness, *, parts: bool = True) -> None:
    await harness.poll(CLAN, clan())
    if parts:
        await harness.poll(CWL, NO_LEAGUE)
        await harness.poll(RAID, NO_RAID)


async def test_parts_are_announced_after_the_device(harness: RetainedStateHarness) -> None:
    await poll(harness)
    recording = await harness.publish()
    topics = recording.topics
    assert topics.index(CLAN_STATE) < topics.index(DEVICE) < topics.index(CWL_PART) < topics.index(RAID_PART)
    assert {one.retain for one in recording.published if one.topic in {CWL_PART, RAID_PART}} == {True}
    await harness.poll(CLAN, clan(clanPoints=1))
    assert parts(await harness.publish()) == [], "a changed value needs no announcement"
    await harness.poll(CLAN, clan(name="Chaos"))
    renamed = await harness.publish()
    assert renamed.published_on(CWL_PART)[0]["device"]["name"] == "Chaos"
    assert parts(renamed) == [CWL_PART, RAID_PART]


@pytest.mark.parametrize(
    ("options", "announced"), [({}, []), ({"cwl": True}, [CWL_PART]), ({"raids": True}, [RAID_PART])]
)
async def test_only_watched_parts_are_announced(
    harness: RetainedStateHarness, options: dict[str, Any], announced: list[str]
) -> None:
    harness.watch(watch(**options))
    await poll(harness, parts=False)
    assert parts(await harness.publish()) == announced


async def test_part_that_is_not_watched_any_more_is_removed_before_its_state(harness: RetainedStateHarness) -> None:
    await poll(harness)
    await harness.publish()
    harness.watch(watch(raids=True))
    recording = await harness.publish()
    assert recording.published_on(CWL_PART) == [None]
    assert recording.topics.index(CWL_PART) < recording.topics.index(CWL_STATE)
    assert recording.published_on(CWL_STATE) == [None]
    assert parts(recording) == [CWL_PART], "the other part stays"
    assert await harness.journal.snapshot(CWL) is None
    harness.watch(WATCH)
    await harness.poll(CWL, NO_LEAGUE)
    again = await harness.publish()
    assert parts(again) == [CWL_PART]
    assert retained_messages(again)[CWL_PART]["components"]["cwl"]["platform"] == "event"


async def test_part_without_any_poll_is_removed_when_it_is_not_watched_any_more(harness: RetainedStateHarness) -> None:
    await poll(harness, parts=False)
    assert parts(await harness.publish()) == [CWL_PART, RAID_PART]
    harness.watch(watch())
    recording = await harness.publish()
    assert recording.published_on(CWL_PART) == recording.published_on(RAID_PART) == [None]


async def test_entity_of_the_table_is_removed_without_standings(harness: RetainedStateHarness) -> None:
    await poll(harness)
    await harness.publish()
    harness.watch(watch(cwl=True, raids=True))
    recording = await harness.publish()
    assert parts(recording) == [CWL_PART]
    assert recording.published_on(CWL_PART)[-1]["components"]["cwl_position"] == {"platform": "sensor"}


async def test_unwatched_clan_loses_its_parts_before_its_states(harness: RetainedStateHarness) -> None:
    await poll(harness)
    await harness.publish()
    harness.unwatch(WATCH)
    recording = await harness.publish()
    assert set(recording.topics[:3]) == {DEVICE, CWL_PART, RAID_PART}
    assert {CWL_STATE, RAID_STATE, CLAN_STATE} <= set(recording.topics[3:])
    assert len(parts(recording)) == 2, "Home Assistant warns about the removal of an unknown device"
    assert retained_messages(recording) == {}
    harness.watch(WATCH)
    await poll(harness)
    assert parts(await harness.publish()) == [CWL_PART, RAID_PART]


async def test_removal_of_a_part_is_repeated_over_the_next_connection(harness: RetainedStateHarness) -> None:
    async def break_connection(topic: str, _payload: bytes) -> None:
        if topic == CWL_PART:
            raise ConnectionLostError("the broker did not acknowledge a message")

    await poll(harness)
    await harness.publish()
    harness.watch(watch(raids=True))
    with pytest.raises(ConnectionLostError):
        await harness.publish_over(RecordingSession(break_connection).session)
    harness.state.on_connected()
    harness.state.mark_watch(watch(raids=True))
    recording = await harness.publish()
    assert retained_messages(recording).keys() & {CWL_PART, CWL_STATE} == set()
    assert recording.published_on(CWL_PART) == recording.published_on(CWL_STATE) == [None]
    assert RAID_PART in recording.topics


async def test_overwritten_part_is_announced_again(harness: RetainedStateHarness) -> None:
    await poll(harness)
    await harness.publish()
    assert harness.state.is_device_topic(CWL_PART)
    assert harness.state.matches_published(CWL_PART, b"") is False
    harness.state.restore(CWL_PART)
    assert parts(await harness.publish()) == [CWL_PART]


async def found_earlier(
    harness: RetainedStateHarness, *, enabled: bool = True, payload: bytes = b'{"components":{}}'
) -> RecordingSession:
    """Clean up a broker that retains both parts of the clan."""
    recording = RecordingSession()
    recording.retained = [Message(topic, payload, retain=True) for topic in (CWL_PART, RAID_PART)]
    cleanup = orphan_cleanup(harness.state, harness.watches, home_assistant=enabled)
    await cleanup.run(recording.session, shared=False)
    await harness.publish_over(recording.session)
    return recording


async def test_part_that_was_disabled_while_the_bridge_was_stopped_is_removed(harness: RetainedStateHarness) -> None:
    harness.watch(watch(raids=True))
    await harness.poll(CLAN, clan())
    recording = await found_earlier(harness)
    assert recording.published_on(CWL_PART) == [None]
    assert recording.published_on(CWL_STATE) == [None]
    assert recording.published_on(RAID_PART)[-1] is not None


async def test_part_in_the_journal_is_removed_even_if_it_was_not_found(harness: RetainedStateHarness) -> None:
    await harness.poll(CLAN, clan())
    await harness.poll(CWL, NO_LEAGUE)
    harness.watch(watch(raids=True))
    recording = await harness.publish()
    assert recording.published_on(CWL_PART) == [None]


async def test_parts_of_a_clan_without_a_watch_are_removed(harness: RetainedStateHarness) -> None:
    harness.unwatch(WATCH)
    await harness.publish()
    recording = await found_earlier(harness)
    assert retained_messages(recording) == {}
    assert {DEVICE, CWL_PART, RAID_PART, CWL_STATE, RAID_STATE, CLAN_STATE} <= set(recording.topics)
    assert len(parts(recording)) == 2


async def test_parts_are_removed_once_discovery_is_disabled(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        harness = RetainedStateHarness(journal, discovery=False)
        harness.watch(WATCH)
        await poll(harness)
        recording = await found_earlier(harness, enabled=False)
    assert recording.published_on(CWL_PART) == recording.published_on(RAID_PART) == [None]
    assert CWL_STATE in recording.topics


async def test_component_that_an_earlier_version_announced_is_removed(harness: RetainedStateHarness) -> None:
    await poll(harness)
    old = {"platform": "sensor", "unique_id": "old"}
    payload = orjson.dumps({"components": {"old": old}})
    assert harness.state.will_remove_components(CWL_PART, payload)
    recording = await found_earlier(harness, payload=payload)
    published = recording.published_on(CWL_PART)
    assert [one["components"].get("old") for one in published] == [{"platform": "sensor"}, None]
    assert not harness.state.will_remove_components(CWL_PART, orjson.dumps(published[-1]))


@pytest.mark.looptime
@pytest.mark.parametrize("is_changed", [True, False])
async def test_only_the_state_of_a_part_is_published_again_after_a_changed_payload(is_changed: bool) -> None:
    """Home Assistant applies the templates of a changed payload only to later messages."""
    payload = orjson.loads(DISCOVERY.parts(WATCH, "The Order")[0].payload)
    if is_changed:
        payload["components"]["cwl_state"]["name"] = "CKL-Phase"
    parts, recording = Parts(), TimedSession()
    parts.watches.watches[WATCH.kind, WATCH.tag] = WATCH
    parts.journal.snapshots[CWL] = Snapshot(NO_LEAGUE)
    recording.retained = [Message(CWL_PART, orjson.dumps(payload), retain=True)]
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(60)
    [announced] = recording.published_at[CWL_PART]
    again = [at for at in recording.published_at[CWL_STATE] if at > announced]
    assert len(again) == (1 if is_changed else 0)
    assert all(at - announced >= 1.0 for at in again)
    assert len(recording.published_at[BADGE]) == 2, "the badge follows only the device of the clan"
