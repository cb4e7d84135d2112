from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events.resource import API, Snapshot
from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.client.errors import PublishDeniedError
from tests.support.bodies import clan, player, war
from tests.support.bridge_parts import Moments, Parts
from tests.support.recording_session import RecordingSession, running
from tests.support.retained import (
    ALL_OF_A_CLAN,
    API_STATUS,
    AVAILABILITY,
    BADGE,
    BRIDGE_DEVICE,
    CLAN,
    CLAN_STATE,
    DEVICE,
    EMPTIED,
    PLAYER,
    PLAYER_WATCH,
    WAR,
    WAR_STATE,
    WATCH,
    WITHOUT_WAR,
    House,
    last_said,
)

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_clan_is_shown_and_announced_and_all_of_it_is_retained(house: House) -> None:
    await house.move_in()
    recording = await house.say()
    assert recording.topics == ALL_OF_A_CLAN
    assert all(message.retain for message in recording.published)
    retained = last_said(recording)
    assert retained[AVAILABILITY] == {"state": "online"}
    assert retained[CLAN_STATE]["name"] == retained[DEVICE]["device"]["name"] == "The Order"
    assert retained[WAR_STATE]["state"] == "inWar"


async def test_availability_and_state_come_before_the_announcement(house: House) -> None:
    await house.move_in()
    await house.poll(API, {"status": "ok", "since": 1.0, "message": None, "address": None})
    topics = (await house.say()).topics
    assert topics.index(AVAILABILITY) < topics.index(CLAN_STATE) < topics.index(DEVICE)
    assert topics.index(API_STATUS) < topics.index(BRIDGE_DEVICE)


async def test_a_player_is_shown_and_announced(house: House) -> None:
    house.watch(PLAYER_WATCH)
    await house.poll(PLAYER, player())
    recording = await house.say()
    device = "homeassistant/device/coc2mqtt_home_player_900PUCPV/config"
    state = "coc/player/900PUCPV/state"
    assert recording.topics == [f"{state}/availability", f"{state}/player", device]
    await house.unwatch(PLAYER_WATCH)
    gone = await house.say()
    assert gone.topics == [
        device,
        *(f"coc/player/900PUCPV/state/{facet}" for facet in ("player", "poll", "availability")),
    ]
    assert {message.payload for message in gone.published} == {b""}


async def test_without_home_assistant_nothing_is_announced(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        house = House(journal, discovery=False)
        await house.move_in()
        house.state.mark(API)
        first = await house.say()
        await house.unwatch(WATCH)
        assert not [topic for topic in [*first.topics, *(await house.say()).topics] if topic.startswith("home")]


async def test_before_the_first_poll_nothing_is_said(house: House) -> None:
    house.watch(WATCH)
    assert (await house.say()).topics == []


async def test_a_clan_whose_name_is_no_text_is_announced_by_its_tag(house: House) -> None:
    house.watch(WATCH)
    await house.poll(CLAN, clan(name=5))
    assert last_said(await house.say())[DEVICE]["device"]["name"] == "#2PP"


async def test_only_what_is_marked_is_published_and_no_announcement_twice(house: House) -> None:
    await house.move_in()
    await house.say()
    assert (await house.say()).topics == []
    await house.poll(CLAN, clan(members=7))
    assert (await house.say()).topics == [CLAN_STATE]
    await house.poll(CLAN, clan(name="Another Name"))
    assert (await house.say()).topics == [CLAN_STATE, DEVICE]
    house.state.on_connected()
    house.state.mark_watch(WATCH)
    assert (await house.say()).topics == ALL_OF_A_CLAN


async def test_an_unwatched_clan_is_taken_away_its_device_first(house: House) -> None:
    await house.move_in()
    await house.say()
    await house.unwatch(WATCH)
    recording = await house.say()
    assert recording.topics == [DEVICE, *EMPTIED]
    assert all(message.payload == b"" and message.retain for message in recording.published)
    assert await house.journal.resources() == [], "only now is it forgotten"


async def test_refused_topics_of_a_removed_device_are_no_problem_any_more(house: House) -> None:
    async def deny(topic: str, _payload: bytes) -> None:
        if topic in (DEVICE, CLAN_STATE):
            raise PublishDeniedError("not authorized")

    await house.move_in()
    await house.say_over(RecordingSession(deny).session)
    assert (house.state.publisher.rejected_topics.problem or "").startswith(
        "the broker rejects 2 of the retained messages"
    )
    await house.unwatch(WATCH)
    await house.say_over(RecordingSession(deny).session)
    assert house.state.publisher.rejected_topics.problem is None


@pytest.mark.looptime
async def test_a_badge_is_said_once_and_again_after_each_announcement_because_it_is_forgotten_then() -> None:
    parts, recording = Parts(), Moments()
    async with running(parts.bridge.serve(recording.session)):
        for minute in range(3):
            parts.retained.mark(CLAN)
            await asyncio.sleep(60)
            assert len(recording.at[BADGE]) == 2, minute
        parts.journal.snapshots[CLAN] = Snapshot(clan(name="Another Name"))
        parts.retained.mark(CLAN)
        await asyncio.sleep(60)
    assert len(recording.at[BADGE]) == 3
    assert 1.0 <= recording.at[BADGE][-1] - recording.at[DEVICE][-1] <= 1.5


async def test_nothing_is_said_of_a_clan_that_was_never_seen(house: House) -> None:
    house.watch(WATCH)
    await house.unwatch(WATCH)
    assert (await house.say()).topics == []


async def test_the_device_goes_first_even_where_its_war_was_marked_before(house: House) -> None:
    await house.move_in()
    await house.say()
    await house.poll(WAR, war("warEnded"))
    await house.unwatch(WATCH)
    recording = RecordingSession()
    async with running(house.run(recording.session)):
        await recording.until(lambda: {*recording.topics} >= {*ALL_OF_A_CLAN})
    assert recording.topics[0] == DEVICE
    assert last_said(recording) == {}


async def test_a_war_that_is_not_watched_any_more_is_emptied_after_its_sensors_are_taken_back(house: House) -> None:
    await house.move_in()
    await house.say()
    await house.poll(WAR, war("warEnded"))
    house.watch(WITHOUT_WAR)
    recording = RecordingSession()
    async with running(house.run(recording.session)):
        await recording.until(lambda: WAR_STATE in recording.topics)
    assert recording.topics == [CLAN_STATE, DEVICE, WAR_STATE]
    assert recording.said_on(WAR_STATE) == [None]
    assert recording.said_on(DEVICE)[0]["components"]["war_state"] == {"platform": "sensor"}


@pytest.mark.parametrize("at", ALL_OF_A_CLAN)
async def test_a_clan_that_is_unwatched_while_it_is_published_is_taken_away(house: House, at: str) -> None:
    await house.move_in()

    async def unwatch(topic: str, _payload: bytes) -> None:
        if topic == at and house.watches.watches:
            await house.unwatch(WATCH)

    recording = RecordingSession(unwatch)
    async with running(house.run(recording.session)):
        await recording.until(lambda: {*recording.topics} >= {*ALL_OF_A_CLAN} and not last_said(recording))
    assert last_said(recording) == {}


@pytest.mark.parametrize("at", ALL_OF_A_CLAN)
async def test_a_change_while_the_one_before_is_published_is_published_after_it(house: House, at: str) -> None:
    await house.move_in()
    changed = False

    async def change(topic: str, _payload: bytes) -> None:
        nonlocal changed
        if topic == at and not changed:
            changed = True
            await house.poll(CLAN, clan(name="Another Name"))

    recording = RecordingSession(change)
    async with running(house.run(recording.session)):
        # Its device may be announced once, if that had not begun when the name changed.
        await recording.until(lambda: shown(recording)[1:3] == ("Another Name", "Another Name"))
    assert recording.topics.count(CLAN_STATE) == 2


@pytest.mark.parametrize("at", ALL_OF_A_CLAN)
async def test_a_clan_that_is_unwatched_and_watched_again_at_once_is_shown(house: House, at: str) -> None:
    await house.move_in()
    again = False

    async def leave_and_return(topic: str, _payload: bytes) -> None:
        nonlocal again
        if topic == at and not again:
            again = True
            await house.unwatch(WATCH)
            house.watch(WATCH)
            await house.poll(CLAN, clan(name="Another Name"))
            await house.poll(WAR, war("warEnded"))

    recording = RecordingSession(leave_and_return)
    async with running(house.run(recording.session)):
        await recording.until(lambda: shown(recording) == ("online", "Another Name", "Another Name", "warEnded"))


@pytest.mark.parametrize("order", [(True, False), (False, True)], ids=["full first", "poll time first"])
async def test_clan_marked_in_full_and_for_its_poll_time_is_published_in_full_once(
    house: House, order: tuple[bool, bool]
) -> None:
    await house.move_in()
    await house.say()
    for full in order:
        house.state.mark(CLAN, full=full)
    house.state.mark(WAR, full=False)
    assert (await house.say()).topics == [CLAN_STATE]


def shown(recording: RecordingSession) -> tuple[Any, ...]:
    """Return what a user sees in the end: availability, the clan's name, its device's name, the state of its war."""
    retained = last_said(recording)
    return (
        retained.get(AVAILABILITY, {}).get("state"),
        retained.get(CLAN_STATE, {}).get("name"),
        retained.get(DEVICE, {}).get("device", {}).get("name"),
        retained.get(WAR_STATE, {}).get("state"),
    )


async def test_unreachable_api_makes_every_watch_unavailable_and_nothing_else(house: House) -> None:
    await house.move_in()
    house.watch(PLAYER_WATCH)
    await house.poll(PLAYER, player())
    await house.poll(API, {"status": "ok", "since": 1.0, "message": None, "address": None})
    await house.say()
    player_availability = "coc/player/900PUCPV/state/availability"
    for reachable, status, shown in ((False, "unreachable", "offline"), (True, "ok", "online")):
        house.api_reachable = reachable
        await house.poll(API, {"status": status, "since": 2.0, "message": None, "address": None})
        recording = await house.say()
        assert sorted(recording.topics) == sorted([API_STATUS, AVAILABILITY, player_availability])
        assert last_said(recording)[AVAILABILITY] == last_said(recording)[player_availability] == {"state": shown}


async def test_clan_polled_or_unknown_while_the_api_is_unreachable_is_unavailable(house: House) -> None:
    house.api_reachable = False
    await house.move_in()
    assert last_said(await house.say())[AVAILABILITY] == {"state": "offline"}
    await house.poll(CLAN, clan(), unavailable=True)
    await house.say()
    house.api_reachable = True
    await house.poll(API, {"status": "ok", "since": 2.0, "message": None, "address": None})
    assert AVAILABILITY not in (await house.say()).topics, "the clan is still not found"
