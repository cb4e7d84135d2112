"""From the scripted API through the bridge to a real Mosquitto, as seen by a subscriber."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.demo.tour import all_changes
from tests.support.bridge_process import PASSWORD, TOKEN
from tests.support.observer import Observer, ReceivedMessage, check_payload, observing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from coc2mqtt.demo import DemoServer, ScriptedChange, World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import BridgeProcess, MakeBridge, MakeSettings
    from tests.support.broker import Mosquitto

pytestmark = pytest.mark.process


def bare(tag: str) -> str:
    return tag.removeprefix("#")


async def wait_for_baseline(observer: Observer, world: World) -> None:
    """Wait until the bridge has polled everything once."""

    def is_published() -> bool:
        clans = all(
            observer.retained(f"coc/clan/{bare(tag)}/state/{facet}")
            for tag in world.clan_tags
            for facet in ("clan", "war", "cwl", "raid")
        )
        players = all(observer.retained(f"coc/player/{bare(tag)}/state/player") for tag in world.player_tags)
        return clans and players and observer.retained("coc/api/state/status") is not None

    await observer.wait_until(is_published, "the state of everything")


def count_by_topic(changes: list[ScriptedChange]) -> Counter[str]:
    return Counter(
        f"coc/api/{change.event_type}"
        if change.kind == "api"
        else f"coc/{change.kind}/{bare(change.tag)}/{change.event_type}"
        for change in changes
    )


def matches(change: ScriptedChange, message: ReceivedMessage) -> bool:
    event = message.data
    fields = {part["field"].split(".")[0] for part in event["changes"]}
    details = dict(change.details)
    return (
        set(details.pop("fields", [])) <= fields
        and (change.event_type, change.tag) == (event["event_type"], event["tag"])
        and all(event["metadata"].get(key) == value for key, value in details.items())
    )


def is_delayed(change: ScriptedChange) -> bool:
    """Return whether the event is published only when the war result has not changed for a minute."""
    return change.event_type == "war_ended" and bool(change.details["observed"])


async def test_every_change_is_published_exactly_once_on_its_topic(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    running = bridge(settings(broker.port))
    async with observing(broker.port) as observer:
        await running.start()
        await wait_for_baseline(observer, world)
        assert observer.events == [], "the baseline causes no events"
        clan = world.clan_tags[0]
        await observer.wait_until(lambda: observer.retained(device(clan)), "the clan's device")
        # Home Assistant can miss one of two announcements within a second.
        assert len([message for message in observer.received if message.topic == device(clan)]) == 1
        assert observer.retained(device(clan))["device"]["name"] == (world.clan(clan) or {})["name"]
        expected: Counter[str] = Counter()
        delayed: list[ScriptedChange] = []
        for change_world in all_changes(world):
            before = len(world.changes)
            change_world()
            new = world.changes[before:]
            # The result of a war is published when it has not changed for a minute, or when the next state follows.
            if any(change.event_type == "war_state_changed" for change in new):
                new, delayed = [*delayed, *new], []
            delayed += [change for change in new if is_delayed(change) and change in world.changes[before:]]
            new = [change for change in new if change not in delayed]
            # Two joins between two polls are one change of the fields of the clan.
            merged = [change for change in new if change.event_type != "clan_updated"]
            merged += {change.tag: change for change in new if change.event_type == "clan_updated"}.values()
            expected += count_by_topic(merged)
            await observer.request("poll")
            # The clan that a member has left knows where they went once the other one was polled.
            while any(one.event_type == "member_moved" for one in new) and len(observer.events) < expected.total():
                await observer.request("poll")
            await observer.wait_for_events(expected.total(), f"{merged}")
            for change in merged:
                assert any(matches(change, message) for message in observer.events), change
        world.start_maintenance()
        await observer.wait_until(lambda: observer.events[-1].topic == "coc/api/maintenance_start", "the maintenance")
        await observer.wait_until(
            lambda: observer.retained("coc/api/state/status")["state"] == "maintenance", "its status"
        )
        world.end_maintenance()
        await observer.wait_until(lambda: observer.events[-1].topic == "coc/api/maintenance_end", "its end")
        expected += Counter(["coc/api/maintenance_start", "coc/api/maintenance_end"])
        for _ in range(2):
            await observer.request("poll")
        again = await replayed(observer)
        assert again == sorted((message.data for message in observer.events), key=lambda event: event["seq"])
        assert await running.stop() == 0
        await observer.wait_for_bridge_state("offline")

        assert Counter(message.topic for message in observer.events) == expected
        ids = [message.data["id"] for message in observer.events]
        seqs = [message.data["seq"] for message in observer.events]
        assert len(set(ids)) == len(ids)
        assert sorted(seqs) == list(range(1, len(seqs) + 1))
        for message in observer.received:
            check_payload(message)
            assert TOKEN.encode() not in message.payload
    assert TOKEN not in running.log


async def replayed(observer: Observer) -> list[Any]:
    """Return all events ever stored, page by page."""
    events: list[Any] = []
    next_seq: int | None = 0
    while next_seq is not None:
        page = (await observer.request("replay", since_seq=next_seq, limit=20))["data"]
        events += page["events"]
        next_seq = page["next_seq"]
    return events


async def test_watches_changed_by_commands_survive_a_restart(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    first, second = world.clan_tags
    watch = {"clans": [{"tag": first, "interval": 3600, "war_interval": 3600}], "maintenance": {"enabled": False}}
    running = bridge(settings(broker.port, watch=watch))
    async with observing(broker.port) as observer:
        await running.start()
        await observer.wait_until(lambda: observer.retained(f"coc/clan/{bare(first)}/state/clan"), "the first clan")

        response = await observer.request("watch", kind="clan", tag=second.lower(), interval=3600, war=False)
        assert response["status"] == "ok"
        assert response["data"]["tag"] == second
        await observer.wait_until(lambda: observer.retained(f"coc/clan/{bare(second)}/state/clan"), "the second clan")
        await observer.wait_until(lambda: observer.retained(device(second)), "its device")
        assert observer.retained(f"coc/clan/{bare(second)}/state/war") is None

        response = await observer.request("unwatch", tag=first)
        assert response["data"] == {"unwatched": [{"kind": "clan", "tag": first}]}
        await observer.wait_until(lambda: observer.retained(device(first)) is None, "its removal")
        topics = [f"coc/clan/{bare(first)}/state/{facet}" for facet in ("availability", "clan", "war")]
        await observer.wait_until(lambda: not any(observer.retained(topic) for topic in topics), "its emptied state")

        assert await running.stop() == 0
        await observer.wait_for_bridge_state("offline")
        world.leave(second)
        world.leave(first)
        await running.start()
        await observer.wait_until(
            lambda: observer.events and observer.events[-1].topic.endswith("member_left"), "the leave"
        )

        listed = await observer.request("list")
        assert [(one["kind"], one["tag"]) for one in listed["data"]["watches"]] == [("clan", second)]
        assert {message.topic.split("/")[2] for message in observer.events} == {bare(second)}
        assert observer.events[-1].data["metadata"]["catch_up"] is True
        assert observer.retained("coc/bridge/watches")["watches"][0]["tag"] == second


def device(tag: str) -> str:
    return f"homeassistant/device/coc2mqtt_home_clan_{bare(tag)}/config"


async def test_crash_publishes_the_will_and_later_changes_are_still_detected(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    running = bridge(settings(broker.port))
    clan = world.clan_tags[0]
    async with observing(broker.port) as observer:
        await running.start()
        await wait_for_baseline(observer, world)
        assert observer.retained("coc/bridge/state") == {"state": "online"}
        await running.stop(signal.SIGKILL)
        await observer.wait_for_bridge_state("offline")
        world.join(clan)
        await running.start()
        await observer.wait_until(
            lambda: any(event.topic.endswith("member_joined") for event in observer.events), "the join"
        )
        assert observer.retained("coc/bridge/state") == {"state": "online"}


async def test_events_are_kept_during_a_broker_outage(
    mosquitto: StartMosquitto, world: World, server: DemoServer, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    clan = world.clan_tags[0]
    watch = {"clans": [{"tag": clan, "interval": 1, "war_interval": 3600}], "maintenance": {"enabled": False}}
    running = bridge(settings(broker.port, watch=watch))
    async with observing(broker.port) as observer:
        await running.start()
        await observer.wait_until(lambda: observer.retained(f"coc/clan/{bare(clan)}/state/clan"), "the clan")
    broker.kill()
    for _ in range(3):
        world.gain_points(clan)
        polled = server.requests[f"/v1/clans/{clan}"]
        while server.requests[f"/v1/clans/{clan}"] < polled + 2:  # noqa: ASYNC110 - the server only counts
            await asyncio.sleep(0.05)
    broker.start()
    async with observing(broker.port) as observer:
        await observer.wait_until(lambda: len(observer.events) == 3, "the three changes")
        points = [event.data["changes"][0]["new_value"] for event in observer.events]
        assert points == sorted(points)
        assert [event.data["seq"] for event in observer.events] == [1, 2, 3]
        # The broker has lost its retained messages, and the bridge publishes them again.
        await observer.wait_until(lambda: observer.retained(f"coc/clan/{bare(clan)}/state/clan"), "the state")
        await observer.wait_until(lambda: observer.retained(device(clan)), "the device")


@asynccontextmanager
async def observed_bridge(broker: Mosquitto, world: World, running: BridgeProcess) -> AsyncIterator[Observer]:
    """Run a bridge that has polled everything once; finally check that all its payloads are valid."""
    async with observing(broker.port) as observer:
        await running.start()
        await wait_for_baseline(observer, world)
        yield observer
        for message in observer.received:
            check_payload(message)


async def test_retained_request_is_rejected(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    async with observing(broker.port) as publisher:
        await publisher.publish("coc/bridge/request/unwatch", world.clan_tags[0], retain=True)
    async with observed_bridge(broker, world, bridge(settings(broker.port))) as observer:
        topic = "coc/bridge/response/unwatch"
        await observer.wait_until(lambda: observer.retained(topic), "a response to the retained request")
        assert observer.retained(topic)["status"] == "error"
        assert "retain" in observer.retained(topic)["error"]
        await observer.wait_until(lambda: observer.retained("coc/bridge/watches"), "the watches")
        assert len(observer.retained("coc/bridge/watches")["watches"]) == 4, "the command was not executed"


async def test_invalid_requests_are_answered_with_an_error(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    async with observed_bridge(broker, world, bridge(settings(broker.port))) as observer:
        for payload in (b"", b"\xff", b"{", b"[1]", b'{"tag": 7}', b'{"tag": "#2PP", "colour": "red"}', b"#2PX"):
            response = await observer.request_raw("watch", payload)
            assert response["status"] == "error", payload
            assert response["error"]
        response = await observer.request_raw("dance", b"{}")
        assert "watch, unwatch, list, poll, replay, log_level, health_check" in response["error"]


async def test_response_is_published_on_the_requested_topic_unless_it_is_an_event_topic(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    async with observed_bridge(broker, world, bridge(settings(broker.port))) as observer:
        await observer.publish("coc/bridge/request/list", ResponseTopic="reply/here", CorrelationData=b"42")
        await observer.wait_until(lambda: observer.retained("reply/here"), "a response on the requested topic")
        assert any(message.correlation_data == b"42" for message in observer.received)
        event_topic = f"coc/clan/{bare(world.clan_tags[0])}/member_left"
        await observer.publish("coc/bridge/request/list", ResponseTopic=event_topic)
        await observer.wait_until(lambda: observer.retained("coc/bridge/response/list"), "one on the default topic")
        assert observer.events == []


async def test_health_log_level_and_replay_requests_are_answered(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    async with observed_bridge(broker, world, bridge(settings(broker.port))) as observer:
        health = await observer.request("health_check")
        assert health["data"]["healthy"] is True
        assert health["data"]["watches"] == 4
        assert observer.retained("coc/bridge/info")["instance"] == "home"

        assert (await observer.request("log_level", level="debug"))["data"] == {"level": "debug"}
        await observer.wait_until(lambda: observer.retained("coc/bridge/info")["log_level"] == "debug", "the new level")
        assert (await observer.request("replay", since="1h"))["data"] == {"events": [], "next_seq": None}


async def test_bridge_works_with_the_example_access_list_and_leaks_no_secret(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings, request: Any
) -> None:
    acl = (request.config.rootpath / "config" / "coc2mqtt.acl").read_text()
    broker = mosquitto(users={"coc2mqtt": PASSWORD, "viewer": "x"}, acl=acl)
    mqtt = {"host": "127.0.0.1", "port": broker.port, "username": "coc2mqtt", "password": PASSWORD}
    running = bridge(settings(broker.port, mqtt=mqtt, log={"level": "debug", "format": "json"}))
    async with observing(broker.port, username="viewer", password="x") as observer:
        await running.start()
        await wait_for_baseline(observer, world)
        world.join(world.clan_tags[0])
        assert await running.stop() == 0
        await observer.wait_for_bridge_state("offline")
        for secret in (TOKEN, PASSWORD):
            assert secret not in running.log
            assert all(secret.encode() not in message.payload for message in observer.received)
    assert [line for line in running.log.splitlines() if '"level": "error"' in line] == []
