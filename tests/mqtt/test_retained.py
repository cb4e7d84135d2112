from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.events.resource import API, Kind, Resource, Snapshot
from coc2mqtt.events.watch import Watch
from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.announcer import Announcer
from coc2mqtt.mqtt.connection import ConnectionOptions
from coc2mqtt.mqtt.discovery import Discovery
from coc2mqtt.mqtt.errors import ConnectionLostError, MessageTooLargeError, PublishDeniedError
from coc2mqtt.mqtt.retained import RetainedState
from coc2mqtt.mqtt.topics import Topics
from tests.brokers import witness
from tests.events.builders import clan, player, war
from tests.mqtt.recording import RecordingSession, running
from tests.mqtt.sessions import connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping
    from pathlib import Path

    from coc2mqtt.mqtt.session import Session
    from tests.conftest import StartMosquitto

CLAN, WAR = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP")
PLAYER = Resource(Kind.PLAYER, "#900PUCPV")
WATCH, PLAYER_WATCH = Watch(Kind.CLAN, "#2PP", 60.0), Watch(Kind.PLAYER, "#900PUCPV", 60.0)
WITHOUT_WAR = Watch(Kind.CLAN, "#2PP", 60.0, war=False)
AVAILABILITY, CLAN_STATE, WAR_STATE, POLL = (
    f"coc/clan/2PP/state/{facet}" for facet in ("availability", "clan", "war", "poll")
)
DEVICE, BRIDGE_DEVICE = (f"homeassistant/device/coc2mqtt_home_{what}/config" for what in ("clan_2PP", "bridge"))
API_STATUS = "coc/api/state/status"
ALL_OF_A_CLAN = [AVAILABILITY, CLAN_STATE, WAR_STATE, DEVICE]
EMPTIED = [CLAN_STATE, POLL, AVAILABILITY, WAR_STATE]


class House:
    """A journal, what is watched, and the retained state of both, as a service puts them together."""

    def __init__(self, journal: SqliteJournal, *, discovery: bool = True) -> None:
        self.journal = journal
        self.watches: dict[tuple[Kind, str], Watch] = {}
        self.state = RetainedState(
            journal,
            Topics(),
            watched=lambda kind, tag: self.watches.get((kind, tag)),
            discovery=Discovery(Topics(), instance="home", version="1", prefix="homeassistant") if discovery else None,
            announcer=partial(Announcer, gap=0.0, pace=0.0),
        )

    async def poll(self, resource: Resource, data: dict[str, Any] | None, **memo: Any) -> None:
        await self.journal.commit(resource, Snapshot(data, memo, 1_800_000_000.0), [])
        self.state.mark(resource)

    def watch(self, watch: Watch) -> None:
        self.watches[watch.kind, watch.tag] = watch
        self.state.mark_watch(watch)

    async def unwatch(self, watch: Watch) -> None:
        del self.watches[watch.kind, watch.tag]
        self.state.mark_watch(watch)

    async def move_in(self) -> None:
        self.watch(WATCH)
        await self.poll(CLAN, clan())
        await self.poll(WAR, war("inWar"))

    async def say(self) -> RecordingSession:
        """Publish what is marked, and return what that was."""
        recording = RecordingSession()
        await self.say_over(recording.session)
        return recording

    async def say_over(self, session: Session) -> None:
        await self.state.publish_marked(session)
        async with running(self.state.announcer.run(session)):
            await asyncio.wait_for(self.state.announcer.idle(), 10)
        # What waited for a device to be removed.
        await self.state.publish_marked(session)

    async def run(self, session: Session) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.state.run(session))
            group.create_task(self.state.announcer.run(session))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        yield House(journal)


def last_said(recording: RecordingSession) -> dict[str, Any]:
    """Return what a broker retains after all that: what was emptied is not there."""
    kept = {message.topic: message.data if message.payload else None for message in recording.published}
    return {topic: data for topic, data in kept.items() if data is not None}


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
    house.state.connected()
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
        if topic == at and house.watches:
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
        await recording.until(lambda: recording.topics.count(CLAN_STATE) == 2 and recording.topics.count(DEVICE) == 2)
    assert last_said(recording)[CLAN_STATE]["name"] == "Another Name"
    assert last_said(recording)[DEVICE]["device"]["name"] == "Another Name"


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


def shown(recording: RecordingSession) -> tuple[Any, ...]:
    """Return what a user sees in the end: availability, the clan's name, its device's name, the state of its war."""
    retained = last_said(recording)
    return (
        retained.get(AVAILABILITY, {}).get("state"),
        retained.get(CLAN_STATE, {}).get("name"),
        retained.get(DEVICE, {}).get("device", {}).get("name"),
        retained.get(WAR_STATE, {}).get("state"),
    )


@pytest.mark.parametrize("number", range(5))
async def test_what_was_not_published_when_the_connection_broke_is_published_over_the_next(
    house: House, number: int
) -> None:
    await house.move_in()

    async def break_off(_topic: str, _payload: bytes) -> None:
        if len(broken.published) == number:
            raise ConnectionLostError("the broker died")

    broken = RecordingSession(break_off)
    if number == len(ALL_OF_A_CLAN):
        await house.say_over(broken.session)
    else:
        with pytest.raises(ConnectionLostError):
            await house.say_over(broken.session)
    house.state.connected()
    rest = await house.say()
    assert {*broken.topics, *rest.topics} == set(ALL_OF_A_CLAN)


async def test_a_removal_that_the_connection_broke_off_is_done_over_the_next(house: House) -> None:
    await house.move_in()
    await house.say()
    await house.unwatch(WATCH)

    async def break_off(topic: str, _payload: bytes) -> None:
        if topic == CLAN_STATE:
            raise ConnectionLostError("the broker died")

    with pytest.raises(ConnectionLostError):
        await house.say_over(RecordingSession(break_off).session)
    house.state.connected()
    recording = RecordingSession()
    async with running(house.run(recording.session)):
        await recording.until(lambda: {*recording.topics} >= {*ALL_OF_A_CLAN})
    assert recording.topics[0] == DEVICE
    assert last_said(recording) == {}


async def test_a_cancelled_publish_stays_marked(house: House) -> None:
    await house.move_in()
    held = asyncio.Event()

    async def hold(_topic: str, _payload: bytes) -> None:
        held.set()
        await asyncio.Event().wait()

    async with running(house.state.publish_marked(RecordingSession(hold).session)):
        await asyncio.wait_for(held.wait(), 10)
    assert (await house.say()).topics == [WAR_STATE, AVAILABILITY, CLAN_STATE, DEVICE]


async def test_marking_faster_than_publishing_does_not_go_on_for_ever(house: House) -> None:
    await house.move_in()

    async def mark_again(_topic: str, _payload: bytes) -> None:
        house.state.mark(CLAN)
        house.state.mark(WAR)

    recording = RecordingSession(mark_again)
    await asyncio.wait_for(house.state.publish_marked(recording.session), 10)
    assert set(recording.topics) == {AVAILABILITY, CLAN_STATE, WAR_STATE}
    assert (await house.say()).topics != []


async def test_a_device_that_is_to_be_announced_again_while_it_is_announced_is(house: House) -> None:
    await house.move_in()
    born = False

    async def birth(topic: str, _payload: bytes) -> None:
        nonlocal born
        if topic == DEVICE and not born:
            born = True
            house.state.announcer.born()
            house.state.mark_watch(WATCH)

    recording = RecordingSession(birth)
    await house.say_over(recording.session)
    rest = await house.say()
    assert (recording.topics + rest.topics).count(DEVICE) == 2


async def test_a_birth_of_home_assistant_while_a_device_is_removed_harms_nothing(house: House) -> None:
    await house.move_in()
    await house.say()

    async def birth(topic: str, _payload: bytes) -> None:
        if topic == DEVICE:
            house.state.announcer.born()

    await house.unwatch(WATCH)
    recording = RecordingSession(birth)
    await house.say_over(recording.session)
    assert last_said(recording) == {}
    assert await house.journal.resources() == []


@pytest.mark.parametrize("error", [PublishDeniedError("allow the topic"), MessageTooLargeError("raise the limit")])
async def test_what_the_broker_refuses_is_said_once_and_holds_up_nothing(
    house: House, log_lines: list[MutableMapping[str, Any]], error: Exception
) -> None:
    async def refuse(topic: str, _payload: bytes) -> None:
        if topic == CLAN_STATE:
            raise error

    recording = RecordingSession(refuse)
    for _ in range(3):
        await house.move_in()
        await house.say_over(recording.session)
    assert set(recording.topics) == {AVAILABILITY, WAR_STATE, DEVICE}
    assert [(line["topic"], line["reason"]) for line in log_lines] == [(CLAN_STATE, str(error))]


async def retained_at(port: int, topic: str) -> Any:
    """Return what a client that comes now is given as retained, None where there is nothing."""
    said = await witness(port, topic, "--retained-only")
    return None if said is None else orjson.loads(said)


async def test_a_real_broker_retains_a_watched_clan_and_forgets_an_unwatched_one(
    house: House, mosquitto: StartMosquitto
) -> None:
    port = mosquitto().port
    await house.move_in()
    async with connected(ConnectionOptions("127.0.0.1", port, "coc2mqtt_home")) as session:
        await house.say_over(session)
        found = await asyncio.gather(*(retained_at(port, topic) for topic in ALL_OF_A_CLAN))
        assert [data is not None for data in found] == [True] * 4
        assert found[1]["name"] == "The Order"
        await house.unwatch(WATCH)
        await house.say_over(session)
        assert await asyncio.gather(*(nothing_at(port, topic) for topic in ALL_OF_A_CLAN)) == [True] * 4


async def nothing_at(port: int, topic: str) -> bool:
    return await retained_at(port, topic) is None
