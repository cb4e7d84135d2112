"""The retained states of a clan's clan war leagues and raid weekends, and of the players who take part in them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.events.resource import Kind, Resource, default_watch
from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.client.connection import ConnectionOptions
from coc2mqtt.mqtt.client.errors import ConnectionLostError, PublishDeniedError
from tests.support.bodies import clan, member, no_war, player
from tests.support.broker import subscribe_once
from tests.support.leagues import DAY, HOUR, OWN, LeagueReplay, ScriptedLeague
from tests.support.raids import Weekend
from tests.support.recording_session import RecordingSession, running
from tests.support.retained import (
    AVAILABILITY,
    CLAN,
    CLAN_STATE,
    DEVICE,
    EMPTIED_TOPICS,
    MEMBERS,
    PLAYER,
    PLAYER_WATCH,
    WAR,
    WAR_STATE,
    RetainedStateHarness,
    retained_messages,
)
from tests.support.sessions import connected_session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartMosquitto

Json = dict[str, Any]

CWL, RAID = Resource(Kind.CWL, "#2PP"), Resource(Kind.RAID, "#2PP")
CWL_STATE, RAID_STATE = (f"coc/clan/2PP/state/{facet}" for facet in ("cwl", "raid"))
PLAYER_STATE = "coc/player/900PUCPV/state/player"
ALL = default_watch(Kind.CLAN, "#2PP")
WITHOUT_CWL, WITHOUT_RAIDS = replace(ALL, cwl=False), replace(ALL, raids=False)
PARTS = [(CWL, CWL_STATE, WITHOUT_CWL), (RAID, RAID_STATE, WITHOUT_RAIDS)]
ANN, BEN = member("#2P2", name="Ann"), member("#2P8", name="Ben")


def league(*, battle: bool = True) -> tuple[Json, Json]:
    """Return the data and the memo of a league in the first preparation, or in the first battle."""
    script = ScriptedLeague(clans=4)
    script.own(1).lineups[script.own_side(1)].append((0.0, [PLAYER.tag, *script.own(1).lineup(0, 0.0)[1:]]))
    replay = LeagueReplay(script)
    replay.poll_at(0)
    if battle:
        replay.poll_at(DAY + HOUR)
    return replay.accepted, replay.snapshot.memo


def weekend(*attackers: str) -> Json:
    """Return the data of a weekend in which these members have attacked once."""
    raids = Weekend()
    raids.raid("#8QQ")
    for number, attacker in enumerate(attackers, 1):
        raids.attack(attacker, 10 * number)
    return {"season": raids.season}


async def poll_everything(harness: RetainedStateHarness) -> None:
    harness.watch(ALL)
    await harness.poll(CLAN, clan(ANN, BEN))
    await harness.poll(WAR, no_war(), private=True)
    data, memo = league()
    await harness.poll(CWL, data, **memo)
    await harness.poll(RAID, weekend("#2P2"))


async def test_league_and_raids_are_published_even_with_a_private_war_log(harness: RetainedStateHarness) -> None:
    await poll_everything(harness)
    recording = await harness.publish()
    assert all(message.retain for message in recording.published)
    retained = retained_messages(recording)
    assert retained[WAR_STATE]["war_log"] == "private"
    assert (retained[CWL_STATE]["state"], retained[CWL_STATE]["war"]["round"]) == ("inWar", 1)
    assert retained[RAID_STATE]["attacks"] == 1
    assert recording.topics.index(CLAN_STATE) < recording.topics.index(CWL_STATE) < recording.topics.index(DEVICE)


@pytest.mark.parametrize(("resource", "topic", "without"), PARTS, ids=["cwl", "raid"])
async def test_part_that_is_switched_off_is_emptied_and_its_snapshot_deleted(
    harness: RetainedStateHarness, resource: Resource, topic: str, without: Any
) -> None:
    await poll_everything(harness)
    await harness.publish()
    harness.watch(without)
    recording = await harness.publish()
    assert recording.published_on(topic) == [None]
    emptied = [one.topic for one in recording.published if not one.payload]
    assert emptied == [f"homeassistant/device/coc2mqtt_home_clan_2PP_{resource.kind}/config", topic]
    assert set(await harness.journal.resources()) == {CLAN, WAR, CWL, RAID} - {resource}
    await harness.poll(resource, league()[0] if resource == CWL else weekend(), **(league()[1]))
    harness.watch(ALL)
    assert topic in retained_messages(await harness.publish()), "switched on again"


async def test_unwatched_clan_is_emptied_with_all_its_parts_after_its_device(harness: RetainedStateHarness) -> None:
    await poll_everything(harness)
    await harness.publish()
    await harness.poll(RAID, weekend("#2P2", "#2P8"))  # marked before the clan
    harness.unwatch(ALL)
    recording = RecordingSession()
    async with running(harness.run(recording.session)):
        await recording.wait_until(lambda: {*recording.topics} >= {*EMPTIED_TOPICS, CWL_STATE, RAID_STATE})
    assert recording.topics[0] == DEVICE
    assert retained_messages(recording) == {}
    assert await harness.journal.resources() == []


async def test_emptying_a_part_that_was_interrupted_is_completed_over_the_next_connection(
    harness: RetainedStateHarness,
) -> None:
    await poll_everything(harness)
    await harness.publish()
    harness.watch(WITHOUT_CWL)

    async def lose_connection(topic: str, _payload: bytes) -> None:
        if topic == CWL_STATE:
            raise ConnectionLostError("the broker stopped")

    with pytest.raises(ConnectionLostError):
        await harness.publish_over(RecordingSession(lose_connection).session)
    assert CWL in await harness.journal.resources()
    harness.state.on_connected()
    assert (await harness.publish()).published_on(CWL_STATE) == [None]
    assert CWL not in await harness.journal.resources()


async def test_part_that_was_switched_off_before_a_restart_is_emptied(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        await poll_everything(RetainedStateHarness(journal))
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        later = RetainedStateHarness(journal)
        later.watch(replace(ALL, cwl=False, raids=False))
        recording = await later.publish()
        assert retained_messages(recording).keys() & {CWL_STATE, RAID_STATE} == set()
        assert recording.published_on(CWL_STATE) == recording.published_on(RAID_STATE) == [None]
        assert set(await journal.resources()) == {CLAN, WAR}


async def test_states_are_the_same_after_a_restart(tmp_path: Path) -> None:
    shown = []
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        harness = RetainedStateHarness(journal)
        await poll_everything(harness)
        shown.append(retained_messages(await harness.publish()))
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        later = RetainedStateHarness(journal)
        later.watch(ALL)
        shown.append(retained_messages(await later.publish()))
    assert shown[0] == shown[1]
    assert {CWL_STATE, RAID_STATE} <= shown[0].keys()


async def test_raid_is_published_again_when_the_members_of_its_clan_change(harness: RetainedStateHarness) -> None:
    def not_started(recording: RecordingSession) -> list[Any]:
        return [[one["name"] for one in state["members_not_started"]] for state in recording.published_on(RAID_STATE)]

    await poll_everything(harness)
    assert not_started(await harness.publish()) == [["Ben"]]
    await harness.poll(CLAN, clan(ANN, {**BEN, "donations": 101}))
    assert (await harness.publish()).topics == [CLAN_STATE, MEMBERS]
    await harness.poll(CLAN, clan(ANN, BEN, member("#2P9", name="Cid")))
    assert not_started(await harness.publish()) == [["Ben", "Cid"]]
    await harness.poll(CLAN, clan(ANN))
    assert not_started(await harness.publish()) == [[]]
    harness.watch(WITHOUT_RAIDS)
    await harness.publish()
    await harness.poll(CLAN, clan(ANN, BEN))
    assert RAID_STATE not in (await harness.publish()).topics


async def test_members_who_have_not_started_are_null_until_the_clan_is_known(harness: RetainedStateHarness) -> None:
    harness.watch(ALL)
    await harness.poll(RAID, weekend("#2P2"))
    assert retained_messages(await harness.publish())[RAID_STATE]["members_not_started"] is None
    await harness.poll(CLAN, clan(ANN, BEN))
    assert retained_messages(await harness.publish())[RAID_STATE]["members_not_started"] == [
        {"tag": "#2P8", "name": "Ben"}
    ]


async def test_player_is_published_again_when_league_or_raid_of_their_clan_changes(
    harness: RetainedStateHarness,
) -> None:
    async def publish() -> Json:
        states = (await harness.publish()).published_on(PLAYER_STATE)
        assert len(states) == 1
        return dict(states[0])

    harness.watch(ALL)
    harness.watch(PLAYER_WATCH)
    await harness.poll(PLAYER, player(clan={"tag": OWN, "name": "The Order"}))
    alone = await publish()
    assert [alone[key] for key in ("war", "cwl", "raid", "attacks_left", "attack_pending")] == [None] * 5
    data, memo = league(battle=False)
    await harness.poll(CWL, data, **memo)
    drawn = await publish()
    assert (drawn["attacks_left"], drawn["attack_pending"], drawn["cwl"]["state"]) == (1, False, "preparation")
    data, memo = league()
    await harness.poll(CWL, data, **memo)
    battle = await publish()
    assert (battle["attacks_left"], battle["attack_pending"], battle["raid"]) == (1, True, None)
    await harness.poll(RAID, weekend())
    raiding = await publish()
    assert (raiding["attacks_left"], raiding["raid"]["attacks_left"]) == (6, 5)
    await harness.poll(RAID, weekend(PLAYER.tag))
    assert (await publish())["raid"]["attacks_left"] == 4
    harness.watch(replace(ALL, cwl=False))
    off = await publish()
    assert (off["cwl"], off["attacks_left"]) == (None, 4)
    harness.unwatch(ALL)
    await asyncio.sleep(0)
    gone = (await harness.publish()).published_on(PLAYER_STATE)[-1]
    assert (gone["cwl"], gone["raid"], gone["attacks_left"]) == (None, None, None)


async def test_overwritten_and_rejected_states_are_published_again(harness: RetainedStateHarness) -> None:
    async def deny(topic: str, _payload: bytes) -> None:
        if topic in (CWL_STATE, RAID_STATE):
            raise PublishDeniedError("not authorized")

    await poll_everything(harness)
    await harness.publish_over(RecordingSession(deny).session)
    harness.state.retry_rejected()
    first = await harness.publish()
    assert {CWL_STATE, RAID_STATE} <= set(first.topics)
    for topic in (CWL_STATE, RAID_STATE):
        payload = next(one.payload for one in first.published if one.topic == topic)
        assert harness.state.matches_published(topic, payload)
        assert harness.state.matches_published(topic, b"{}") is False
        harness.state.restore(topic)
        assert (await harness.publish()).topics == [topic]


async def test_real_broker_retains_league_and_raids_until_they_are_switched_off(
    harness: RetainedStateHarness, mosquitto: StartMosquitto
) -> None:
    port = mosquitto().port

    async def retained() -> list[Any]:
        topics = (AVAILABILITY, CWL_STATE, RAID_STATE)
        found = await asyncio.gather(*(subscribe_once(port, topic, "--retained-only") for topic in topics))
        return [None if message is None else orjson.loads(message)["state"] for message in found]

    await poll_everything(harness)
    async with connected_session(ConnectionOptions("127.0.0.1", port, "coc2mqtt_home")) as session:
        await harness.publish_over(session)
        assert await retained() == ["online", "inWar", "ongoing"]
        harness.watch(WITHOUT_CWL)
        await harness.publish_over(session)
        assert await retained() == ["online", None, "ongoing"]
        harness.unwatch(ALL)
        await harness.publish_over(session)
        assert await retained() == [None, None, None]
