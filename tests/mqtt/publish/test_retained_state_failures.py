"""What is retained where the connection breaks, the broker refuses, and over a real one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.events.watch import Watch
from coc2mqtt.mqtt.client.connection import ConnectionOptions
from coc2mqtt.mqtt.client.errors import ConnectionLostError, MessageTooLargeError, PublishDeniedError
from tests.support.bodies import clan
from tests.support.broker import witness
from tests.support.recording_session import RecordingSession, running
from tests.support.retained import (
    ALL_OF_A_CLAN,
    AVAILABILITY,
    BADGE,
    CLAN,
    CLAN_STATE,
    DEVICE,
    EMPTIED,
    WAR,
    WAR_STATE,
    WATCH,
    House,
    last_said,
)
from tests.support.sessions import connected
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from tests.conftest import StartMosquitto


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
    house.state.on_connected()
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
    house.state.on_connected()
    recording = RecordingSession()
    async with running(house.run(recording.session)):
        await recording.until(lambda: {*recording.topics} >= {*EMPTIED})
    assert DEVICE not in recording.topics, "that the broker had acknowledged"
    assert last_said(recording) == {}


async def test_a_cancelled_publish_stays_marked(house: House) -> None:
    await house.move_in()
    held = asyncio.Event()

    async def hold(_topic: str, _payload: bytes) -> None:
        held.set()
        await asyncio.Event().wait()

    async with running(house.state.run(RecordingSession(hold).session)):
        await asyncio.wait_for(held.wait(), LONG_ENOUGH)
    assert (await house.say()).topics == [WAR_STATE, AVAILABILITY, CLAN_STATE, BADGE, DEVICE]


async def test_what_is_marked_faster_than_it_is_published_holds_up_nothing_else(house: House) -> None:
    await house.move_in()
    others = [
        Watch(Kind.CLAN, f"#2P{letter}", 60.0) for letter in "0289PYLQGRJCUV"
    ]  # behind it in its lane, and beside

    async def mark_again(_topic: str, _payload: bytes) -> None:
        house.state.mark(CLAN)
        house.state.mark(WAR)

    recording = RecordingSession(mark_again)
    async with running(house.state.run(recording.session)):
        for watch in others:
            house.watch(watch)
            await house.poll(Resource(Kind.CLAN, watch.tag), clan())
        await recording.until(
            lambda: {*recording.topics} >= {f"coc/clan/{watch.tag[1:]}/state/clan" for watch in others}
        )


async def test_a_device_that_is_to_be_announced_again_while_it_is_announced_is(house: House) -> None:
    await house.move_in()
    born = False

    async def birth(topic: str, _payload: bytes) -> None:
        nonlocal born
        if topic == DEVICE and not born:
            born = True
            house.state.announcer.on_ha_online()
            house.state.mark_watch(WATCH)

    recording = RecordingSession(birth)
    await house.say_over(recording.session)
    rest = await house.say()
    assert (recording.topics + rest.topics).count(DEVICE) == 2


async def test_a_birth_of_home_assistant_while_a_device_is_removed_harms_nothing(house: House) -> None:
    await house.move_in()
    await house.say()

    births = iter([house.state.announcer.on_ha_online])

    async def birth(topic: str, _payload: bytes) -> None:
        if topic == DEVICE:
            next(births, bool)()

    await house.unwatch(WATCH)
    recording = RecordingSession(birth)
    await house.say_over(recording.session)
    assert last_said(recording) == {}
    assert await house.journal.resources() == []


async def test_a_removal_that_the_broker_did_not_acknowledge_is_said_again(house: House) -> None:
    await house.move_in()
    await house.say()
    await house.unwatch(WATCH)

    async def break_off(topic: str, _payload: bytes) -> None:
        if topic == DEVICE:
            raise ConnectionLostError("the broker died")

    with pytest.raises(ConnectionLostError):
        await house.say_over(RecordingSession(break_off).session)
    house.state.on_connected()
    assert (await house.say()).topics == [DEVICE, *EMPTIED]


async def test_a_clan_that_is_watched_again_while_it_is_emptied_is_shown_whole(house: House) -> None:
    await house.move_in()

    async def return_at_once(topic: str, payload: bytes) -> None:
        if topic == AVAILABILITY and not payload:
            house.watch(WATCH)

    recording = RecordingSession(return_at_once)
    async with running(house.run(recording.session)):
        await recording.until(lambda: DEVICE in recording.topics)
        await house.unwatch(WATCH)
        await recording.until(lambda: recording.said_on(AVAILABILITY)[-2:] == [None, {"state": "online"}])


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
    assert set(recording.topics) == {AVAILABILITY, BADGE, WAR_STATE, DEVICE}
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
        assert [data is not None for data in found] == [True] * 5
        assert found[1]["name"] == "The Order"
        await house.unwatch(WATCH)
        await house.say_over(session)
        assert await asyncio.gather(*(nothing_at(port, topic) for topic in ALL_OF_A_CLAN)) == [True] * 5


async def nothing_at(port: int, topic: str) -> bool:
    return await retained_at(port, topic) is None
