from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.events.resource import API, Snapshot
from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.client.errors import PublishDeniedError
from coc2mqtt.mqtt.client.messages import Message
from coc2mqtt.mqtt.payloads import state
from coc2mqtt.mqtt.payloads.members import MembersPayload, members_payload
from tests.support.bodies import clan, member, no_war, player, war
from tests.support.bridge_parts import Parts, TimedSession
from tests.support.recording_session import RecordingSession, at_first, running
from tests.support.retained import (
    API_STATUS,
    AVAILABILITY,
    BADGE,
    BRIDGE_DEVICE,
    CLAN,
    CLAN_STATE,
    CLAN_TOPICS,
    DEVICE,
    EMPTIED_TOPICS,
    LAST_WAR,
    MEMBERS,
    PLAYER,
    PLAYER_WATCH,
    WAR,
    WAR_STATE,
    WATCH,
    WATCH_WITHOUT_WAR,
    RetainedStateHarness,
    retained_messages,
)

if TYPE_CHECKING:
    from pathlib import Path


async def test_polled_clan_is_published_and_announced_as_retained_messages(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    recording = await harness.publish()
    assert recording.topics == CLAN_TOPICS
    assert all(message.retain for message in recording.published)
    retained = retained_messages(recording)
    assert retained[AVAILABILITY] == {"state": "online"}
    assert retained[CLAN_STATE]["name"] == retained[DEVICE]["device"]["name"] == "The Order"
    assert retained[WAR_STATE]["state"] == "inWar"


async def test_states_are_published_before_the_discovery_payload(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    await harness.poll(API, {"status": "ok", "since": 1.0, "message": None, "address": None})
    topics = (await harness.publish()).topics
    assert topics.index(AVAILABILITY) < topics.index(CLAN_STATE) < topics.index(DEVICE)
    assert topics.index(API_STATUS) < topics.index(BRIDGE_DEVICE)


async def test_polled_player_is_published_announced_and_removed(harness: RetainedStateHarness) -> None:
    harness.watch(PLAYER_WATCH)
    await harness.poll(PLAYER, player())
    recording = await harness.publish()
    device = "homeassistant/device/coc2mqtt_home_player_900PUCPV/config"
    state = "coc/player/900PUCPV/state"
    assert recording.topics == [f"{state}/availability", f"{state}/player", device]
    harness.unwatch(PLAYER_WATCH)
    removal = await harness.publish()
    assert removal.topics == [
        device,
        *(f"coc/player/900PUCPV/state/{facet}" for facet in ("player", "poll", "availability")),
    ]
    assert {message.payload for message in removal.published} == {b""}


async def test_nothing_is_announced_without_home_assistant(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        harness = RetainedStateHarness(journal, discovery=False)
        await harness.poll_clan()
        harness.state.mark(API)
        first = await harness.publish()
        harness.unwatch(WATCH)
        assert not [topic for topic in [*first.topics, *(await harness.publish()).topics] if topic.startswith("home")]


async def test_watch_before_its_first_poll_publishes_nothing(harness: RetainedStateHarness) -> None:
    harness.watch(WATCH)
    assert (await harness.publish()).topics == []


async def test_clan_with_an_invalid_name_is_announced_by_its_tag(harness: RetainedStateHarness) -> None:
    harness.watch(WATCH)
    await harness.poll(CLAN, clan(name=5))
    assert retained_messages(await harness.publish())[DEVICE]["device"]["name"] == "#2PP"


async def test_only_marked_resources_are_published_and_equal_devices_once(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    await harness.publish()
    assert (await harness.publish()).topics == []
    await harness.poll(CLAN, clan(members=7))
    assert (await harness.publish()).topics == [CLAN_STATE]
    await harness.poll(CLAN, clan(name="Another Name"))
    assert (await harness.publish()).topics == [CLAN_STATE, DEVICE]
    harness.state.on_connected()
    harness.state.mark_watch(WATCH)
    assert (await harness.publish()).topics == CLAN_TOPICS


async def test_members_are_published_only_when_one_of_them_has_changed(harness: RetainedStateHarness) -> None:
    harness.watch(WATCH)
    await harness.poll(CLAN, clan(member("#2P2")))
    first = retained_messages(await harness.publish())
    assert [one["tag"] for one in first[MEMBERS]["members"]] == ["#2P2"]
    await harness.poll(CLAN, clan(member("#2P2"), clanPoints=7))
    assert (await harness.publish()).topics == [CLAN_STATE]
    await harness.poll(CLAN, clan(member("#2P2", donations=101), clanPoints=7))
    changed = await harness.publish()
    assert changed.topics == [CLAN_STATE, MEMBERS]
    assert retained_messages(changed)[MEMBERS]["members"][0]["donations"] == 101
    harness.state.restore(MEMBERS)
    assert MEMBERS in (await harness.publish()).topics, "another client has overwritten it"


async def test_payload_of_unchanged_members_is_not_built(
    harness: RetainedStateHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[float] = []

    def members_payload_counted(data: dict[str, Any], taken_at: float, *others: Any) -> MembersPayload:
        built.append(taken_at)
        return members_payload(data, taken_at, *others)

    monkeypatch.setattr(state, "members_payload", members_payload_counted)
    harness.watch(WATCH)
    for number in range(10):
        await harness.poll(CLAN, clan(member("#2P2", clanRank=number), clanPoints=number))
        await harness.publish()
    assert len(built) == 1
    harness.state.on_connected()
    harness.state.mark_watch(WATCH)
    assert MEMBERS in (await harness.publish()).topics, "everything is published over a new connection"


LAST_RESULT = {
    "war_id": "20261101T080000.000Z-2PP-8QQ",
    "opponent_tag": "#8QQ",
    "opponent_name": "Frost Watch",
    "result": "win",
    "stars": 3,
    "opponent_stars": 2,
    "destruction": 60,
    "opponent_destruction": 45.5,
    "team_size": 2,
    "end_time": "20261103T070000.000Z",
    "at": 1_800_000_000.0,
}


async def test_last_war_is_published_once_and_kept_while_the_next_war_changes(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    assert LAST_WAR not in (await harness.publish()).topics
    await harness.poll(WAR, war("warEnded"), last_result=LAST_RESULT)
    first = await harness.publish()
    assert first.topics == [WAR_STATE, LAST_WAR]
    assert retained_messages(first)[LAST_WAR] == {
        "war_id": "20261101T080000.000Z-2PP-8QQ",
        "result": "won",
        "team_size": 2,
        "end_time": "2026-11-03T07:00:00.000+00:00",
        "clan": {"stars": 3, "destruction": 60.0},
        "opponent": {"tag": "#8QQ", "name": "Frost Watch", "stars": 2, "destruction": 45.5},
        "updated_at": "2027-01-15T08:00:00.000+00:00",
    }
    for data, memo in ((war("preparation"), {}), (war("inWar"), {"private": True}), (no_war(), {})):
        await harness.poll(WAR, data, last_result=LAST_RESULT, **memo)
        assert (await harness.publish()).topics == [WAR_STATE]
    harness.state.restore(LAST_WAR)
    assert LAST_WAR in (await harness.publish()).topics, "another client has overwritten it"
    harness.state.on_connected()
    harness.state.mark_watch(WATCH)
    assert retained_messages(await harness.publish())[LAST_WAR]["result"] == "won"
    harness.unwatch(WATCH)
    assert (await harness.publish()).published_on(LAST_WAR) == [None]


async def test_rejected_members_are_published_with_the_next_state(harness: RetainedStateHarness) -> None:
    async def deny(topic: str, _payload: bytes) -> None:
        if topic == MEMBERS:
            raise PublishDeniedError("not authorized")

    await harness.poll_clan()
    await harness.publish_over(RecordingSession(deny).session)
    await harness.poll(CLAN, clan(clanPoints=7))
    assert MEMBERS in (await harness.publish()).topics


async def test_unwatched_clan_is_removed_with_its_device_first(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    await harness.publish()
    harness.unwatch(WATCH)
    recording = await harness.publish()
    assert recording.topics == [DEVICE, *EMPTIED_TOPICS]
    assert all(message.payload == b"" and message.retain for message in recording.published)
    assert await harness.journal.resources() == [], "deleted only after its topics were emptied"


async def test_rejected_topics_of_a_removed_clan_are_not_reported(harness: RetainedStateHarness) -> None:
    async def deny(topic: str, _payload: bytes) -> None:
        if topic in (DEVICE, CLAN_STATE):
            raise PublishDeniedError("not authorized")

    await harness.poll_clan()
    await harness.publish_over(RecordingSession(deny).session)
    assert (harness.state.publisher.rejected_topics.problem or "").startswith(
        "the broker rejects 2 of the retained messages"
    )
    harness.unwatch(WATCH)
    await harness.publish_over(RecordingSession(deny).session)
    assert harness.state.publisher.rejected_topics.problem is None


@pytest.mark.looptime
async def test_badge_is_published_once_and_again_after_each_announcement() -> None:
    parts, recording = Parts(), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        for minute in range(3):
            parts.retained.mark(CLAN)
            await asyncio.sleep(60)
            assert len(recording.published_at[BADGE]) == 2, minute
        parts.journal.snapshots[CLAN] = Snapshot(clan(name="Another Name"))
        parts.retained.mark(CLAN)
        await asyncio.sleep(60)
    assert len(recording.published_at[BADGE]) == 3
    assert 1.0 <= recording.published_at[BADGE][-1] - recording.published_at[DEVICE][-1] <= 1.5


@pytest.mark.looptime
@pytest.mark.parametrize("change", ["none", "template", "removed component"])
async def test_states_are_published_again_after_a_changed_discovery_payload(change: str) -> None:
    """Home Assistant applies the templates of a changed payload only to later messages."""
    announced = (await _discovery_payloads())[DEVICE]
    component = announced["components"]["war_state"]
    if change == "template":
        component["json_attributes_template"] = "{{ {} | tojson }}"
    elif change == "removed component":
        announced["components"]["old"] = {**component, "unique_id": "old"}
    parts, recording = Parts(), TimedSession()
    parts.journal.snapshots[WAR] = Snapshot(war("inWar"))
    recording.retained = [Message(DEVICE, orjson.dumps(announced), retain=True)]
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(60)
    for topic in (WAR_STATE, MEMBERS, AVAILABILITY):
        times = [one for one in recording.published_at[topic] if one > recording.published_at[DEVICE][-1]]
        assert len(times) == (0 if change == "none" else 1), topic
        assert all(one - recording.published_at[DEVICE][-1] >= 1.0 for one in times)
    assert len(recording.published_at[BADGE]) == 2


@pytest.mark.looptime
async def test_api_status_is_published_again_after_a_changed_discovery_payload() -> None:
    announced = (await _discovery_payloads())[BRIDGE_DEVICE]
    announced["components"]["api_status"]["name"] = "API-Status"
    parts, recording = Parts(), TimedSession()
    parts.journal.snapshots[API] = Snapshot({"status": "ok", "since": 1.0, "message": None, "address": None})
    recording.retained = [Message(BRIDGE_DEVICE, orjson.dumps(announced), retain=True)]
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(60)
    assert recording.published_at[API_STATUS][-1] - recording.published_at[BRIDGE_DEVICE][-1] >= 1.0


async def _discovery_payloads() -> dict[str, Any]:
    """Return the discovery payloads of a bridge with one clan."""
    parts, recording = Parts(), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(60)
    return {topic: recording.published_on(topic)[-1] for topic in (DEVICE, BRIDGE_DEVICE)}


async def test_clan_unwatched_before_its_first_poll_publishes_nothing(harness: RetainedStateHarness) -> None:
    harness.watch(WATCH)
    harness.unwatch(WATCH)
    assert (await harness.publish()).topics == []


async def test_device_is_removed_first_even_if_its_war_was_marked_before(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    await harness.publish()
    await harness.poll(WAR, war("warEnded"))
    harness.unwatch(WATCH)
    recording = RecordingSession()
    async with running(harness.run(recording.session)):
        await recording.wait_until(lambda: {*recording.topics} >= {*CLAN_TOPICS})
    assert recording.topics[0] == DEVICE
    assert retained_messages(recording) == {}


async def test_unwatched_war_is_emptied_after_its_sensors_are_removed(harness: RetainedStateHarness) -> None:
    await harness.poll_clan()
    await harness.publish()
    await harness.poll(WAR, war("warEnded"))
    harness.watch(WATCH_WITHOUT_WAR)
    recording = RecordingSession()
    async with running(harness.run(recording.session)):
        await recording.wait_until(lambda: LAST_WAR in recording.topics)
    assert recording.topics[:3] == [CLAN_STATE, DEVICE, WAR_STATE]
    assert recording.published_on(WAR_STATE) == [None]
    assert recording.published_on(DEVICE)[0]["components"]["war_state"] == {"platform": "sensor"}


@pytest.mark.parametrize("at", CLAN_TOPICS)
async def test_clan_unwatched_while_it_is_published_is_removed(harness: RetainedStateHarness, at: str) -> None:
    await harness.poll_clan()

    async def unwatch(topic: str, _payload: bytes) -> None:
        if topic == at and harness.watches.watches:
            harness.unwatch(WATCH)

    recording = RecordingSession(unwatch)
    async with running(harness.run(recording.session)):
        await recording.wait_until(lambda: {*recording.topics} >= {*CLAN_TOPICS} and not retained_messages(recording))
    assert retained_messages(recording) == {}


@pytest.mark.parametrize("at", CLAN_TOPICS)
async def test_change_during_a_publish_is_published_after_it(harness: RetainedStateHarness, at: str) -> None:
    await harness.poll_clan()

    async def change() -> None:
        await harness.poll(CLAN, clan(name="Another Name"))

    recording = RecordingSession(at_first(at, change))
    async with running(harness.run(recording.session)):
        # The device may be announced only once, if its first announcement had not started when the name changed.
        await recording.wait_until(lambda: visible(recording)[1:3] == ("Another Name", "Another Name"))
    assert recording.topics.count(CLAN_STATE) == 2


@pytest.mark.parametrize("at", CLAN_TOPICS)
async def test_clan_unwatched_and_watched_again_at_once_is_published(harness: RetainedStateHarness, at: str) -> None:
    await harness.poll_clan()

    async def unwatch_and_watch() -> None:
        harness.unwatch(WATCH)
        harness.watch(WATCH)
        await harness.poll(CLAN, clan(name="Another Name"))
        await harness.poll(WAR, war("warEnded"))

    recording = RecordingSession(at_first(at, unwatch_and_watch))
    async with running(harness.run(recording.session)):
        await recording.wait_until(lambda: visible(recording) == ("online", "Another Name", "Another Name", "warEnded"))


@pytest.mark.parametrize("order", [(True, False), (False, True)], ids=["full first", "poll time first"])
async def test_clan_marked_in_full_and_for_its_poll_time_is_published_in_full_once(
    harness: RetainedStateHarness, order: tuple[bool, bool]
) -> None:
    await harness.poll_clan()
    await harness.publish()
    for full in order:
        harness.state.mark(CLAN, full=full)
    harness.state.mark(WAR, full=False)
    assert (await harness.publish()).topics == [CLAN_STATE]


def visible(recording: RecordingSession) -> tuple[Any, ...]:
    """Return the availability, the clan's name, its device's name and the state of its war, as finally retained."""
    retained = retained_messages(recording)
    return (
        retained.get(AVAILABILITY, {}).get("state"),
        retained.get(CLAN_STATE, {}).get("name"),
        retained.get(DEVICE, {}).get("device", {}).get("name"),
        retained.get(WAR_STATE, {}).get("state"),
    )
