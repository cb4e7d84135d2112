"""From the scripted API through the bridge to a real Mosquitto, as a subscriber sees it."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.bridge_process import PASSWORD, TOKEN
from tests.support.observer import Observer, Seen, check_payload, observing

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.demo import DemoServer, ScriptedChange, World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import BridgeProcess

    MakeBridge = Callable[[dict[str, Any]], BridgeProcess]
    MakeSettings = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.process


def bare(tag: str) -> str:
    return tag.removeprefix("#")


async def until_baseline(observer: Observer, world: World) -> None:
    """Wait until the bridge has seen everything once."""

    def known() -> bool:
        clans = all(
            observer.retained(f"coc/clan/{bare(tag)}/state/{facet}")
            for tag in world.clan_tags
            for facet in ("clan", "war")
        )
        players = all(observer.retained(f"coc/player/{bare(tag)}/state/player") for tag in world.player_tags)
        return clans and players and observer.retained("coc/api/state/status") is not None

    await observer.until(known, "the state of everything")


def happenings(world: World) -> list[Callable[[], object]]:
    """One of everything that can happen, in an order in which it can."""
    clan, other = world.clan_tags
    player, second = world.player_tags
    return [
        lambda: world.join(clan),
        lambda: world.promote(clan),
        lambda: world.donate(clan),
        lambda: world.declare_war(clan),
        lambda: world.rename_member(clan),
        lambda: world.upgrade_member_town_hall(clan),
        lambda: world.begin_battle(clan),
        lambda: world.attack(clan, "clan"),
        lambda: world.attack(clan, "opponent"),
        lambda: world.gain_points(clan),
        lambda: (world.attack(clan), world.attack(clan), world.attack(clan)),
        lambda: world.end_war(clan),
        lambda: world.demote(clan),
        lambda: world.clear_war(clan),
        lambda: world.declare_war(clan),
        lambda: world.reset_season(clan),
        lambda: world.begin_battle(clan),
        lambda: world.attack(clan),
        lambda: world.replace_war(clan),
        lambda: world.leave(clan),
        lambda: world.set_war_log_public(clan, False),
        lambda: world.set_war_log_public(clan, True),
        lambda: (world.join(other), world.join(other)),
        lambda: world.upgrade_troop(player),
        lambda: world.upgrade_spell(player),
        lambda: world.upgrade_hero(player),
        lambda: world.upgrade_equipment(player),
        lambda: world.upgrade_town_hall(player),
        lambda: world.upgrade_builder_hall(second),
        lambda: world.rename_player(second),
        lambda: world.change_league(second),
        lambda: world.change_labels(second),
        lambda: world.win_trophies(second),
        lambda: world.upgrade_town_hall_weapon(player),
        lambda: world.boost_super_troop(player),
        lambda: world.end_super_troop(player),
        lambda: world.wear_equipment(player),
        lambda: world.complete_achievement(second),
        lambda: world.change_war_preference(second),
        lambda: world.leave_clan(second),
        lambda: world.join_clan(second),
    ]


def expected(changes: list[ScriptedChange]) -> Counter[str]:
    """Count the changes by topic, several of a clan's own fields at a time being one event."""
    return Counter(
        f"coc/api/{change.event_type}"
        if change.kind == "api"
        else f"coc/{change.kind}/{bare(change.tag)}/{change.event_type}"
        for change in changes
    )


def fits(change: ScriptedChange, message: Seen) -> bool:
    event = message.data
    fields = {part["field"].split(".")[0] for part in event["changes"]}
    details = dict(change.details)
    return (
        set(details.pop("fields", [])) <= fields
        and (change.event_type, change.tag) == (event["event_type"], event["tag"])
        and all(event["metadata"].get(key) == value for key, value in details.items())
    )


def waits(change: ScriptedChange) -> bool:
    return change.event_type == "war_ended" and bool(change.details["observed"])


async def test_every_change_arrives_once_on_its_topic_and_nothing_else(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    running = bridge(settings(broker.port))
    async with observing(broker.port) as observer:
        await running.start()
        await until_baseline(observer, world)
        assert observer.events == [], "the first look at anything is silent"
        clan = world.clan_tags[0]
        await observer.until(lambda: observer.retained(device(clan)), "the clan's device")
        # Home Assistant can lose one of two announcements that come within a second.
        assert len([message for message in observer.seen if message.topic == device(clan)]) == 1
        assert observer.retained(device(clan))["device"]["name"] == (world.clan(clan) or {})["name"]
        promised: Counter[str] = Counter()
        settling: list[ScriptedChange] = []
        for happen in happenings(world):
            before = len(world.changes)
            happen()
            new = world.changes[before:]
            # The result of a war waits for a minute that it stays the same, or until another state follows.
            if any(change.event_type == "war_state_changed" for change in new):
                new, settling = [*settling, *new], []
            settling += [change for change in new if waits(change) and change in world.changes[before:]]
            new = [change for change in new if change not in settling]
            # Two joins at once are one change of the clan's own fields.
            merged = [change for change in new if change.event_type != "clan_updated"]
            merged += [change for change in new if change.event_type == "clan_updated"][-1:]
            promised += expected(merged)
            await observer.request("poll")
            await observer.until_events(promised.total(), f"{merged}")
            for change in merged:
                assert any(fits(change, message) for message in observer.events), change
        world.begin_maintenance()
        await observer.until(lambda: observer.events[-1].topic == "coc/api/maintenance_start", "maintenance")
        await observer.until(lambda: observer.retained("coc/api/state/status")["state"] == "maintenance", "its state")
        world.end_maintenance()
        await observer.until(lambda: observer.events[-1].topic == "coc/api/maintenance_end", "its end")
        promised += Counter(["coc/api/maintenance_start", "coc/api/maintenance_end"])
        for _ in range(2):
            await observer.request("poll")
        again = await replayed(observer)
        assert again == sorted((message.data for message in observer.events), key=lambda event: event["seq"])
        assert await running.end() == 0
        await observer.until(lambda: observer.retained("coc/bridge/state") == {"state": "offline"}, "offline")

        assert Counter(message.topic for message in observer.events) == promised
        ids = [message.data["id"] for message in observer.events]
        seqs = [message.data["seq"] for message in observer.events]
        assert len(set(ids)) == len(ids)
        assert sorted(seqs) == list(range(1, len(seqs) + 1))
        for message in observer.seen:
            check_payload(message)
            assert TOKEN.encode() not in message.payload
    assert TOKEN not in running.log


async def replayed(observer: Observer) -> list[Any]:
    """Return all events that there ever were, page by page."""
    events: list[Any] = []
    next_seq: int | None = 0
    while next_seq is not None:
        page = (await observer.request("replay", since_seq=next_seq, limit=20))["data"]
        events += page["events"]
        next_seq = page["next_seq"]
    return events


async def test_watches_made_by_commands_take_effect_and_survive_a_restart(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    first, second = world.clan_tags
    watch = {"clans": [{"tag": first, "interval": 3600, "war_interval": 3600}], "maintenance": {"enabled": False}}
    running = bridge(settings(broker.port, watch=watch))
    async with observing(broker.port) as observer:
        await running.start()
        await observer.until(lambda: observer.retained(f"coc/clan/{bare(first)}/state/clan"), "the first clan")

        answer = await observer.request("watch", kind="clan", tag=second.lower(), interval=3600, war=False)
        assert answer["status"] == "ok"
        assert answer["data"]["tag"] == second
        await observer.until(lambda: observer.retained(f"coc/clan/{bare(second)}/state/clan"), "the second clan")
        await observer.until(lambda: observer.retained(device(second)), "its device")
        assert observer.retained(f"coc/clan/{bare(second)}/state/war") is None

        answer = await observer.request("unwatch", tag=first)
        assert answer["data"] == {"unwatched": [{"kind": "clan", "tag": first}]}
        await observer.until(lambda: observer.retained(device(first)) is None, "its removal")
        topics = [f"coc/clan/{bare(first)}/state/{facet}" for facet in ("availability", "clan", "war")]
        await observer.until(lambda: not any(observer.retained(topic) for topic in topics), "its emptied state")

        assert await running.end() == 0
        await observer.until(lambda: observer.retained("coc/bridge/state") == {"state": "offline"}, "offline")
        world.leave(second)
        world.leave(first)
        await running.start()
        await observer.until(lambda: observer.events and observer.events[-1].topic.endswith("member_left"), "the leave")

        listed = await observer.request("list")
        assert [(one["kind"], one["tag"]) for one in listed["data"]["watches"]] == [("clan", second)]
        assert {message.topic.split("/")[2] for message in observer.events} == {bare(second)}
        assert observer.events[-1].data["metadata"]["catch_up"] is True
        assert observer.retained("coc/bridge/watches")["watches"][0]["tag"] == second


def device(tag: str) -> str:
    return f"homeassistant/device/coc2mqtt_home_clan_{bare(tag)}/config"


async def test_the_will_says_offline_after_a_crash_and_nothing_that_was_seen_is_lost(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    running = bridge(settings(broker.port))
    clan = world.clan_tags[0]
    async with observing(broker.port) as observer:
        await running.start()
        await until_baseline(observer, world)
        assert observer.retained("coc/bridge/state") == {"state": "online"}
        await running.end(signal.SIGKILL)
        await observer.until(lambda: observer.retained("coc/bridge/state") == {"state": "offline"}, "the will")
        world.join(clan)
        await running.start()
        await observer.until(
            lambda: any(event.topic.endswith("member_joined") for event in observer.events), "the join"
        )
        assert observer.retained("coc/bridge/state") == {"state": "online"}


async def test_events_wait_for_a_broker_that_is_away(
    mosquitto: StartMosquitto, world: World, server: DemoServer, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    clan = world.clan_tags[0]
    watch = {"clans": [{"tag": clan, "interval": 1, "war_interval": 3600}], "maintenance": {"enabled": False}}
    running = bridge(settings(broker.port, watch=watch))
    async with observing(broker.port) as observer:
        await running.start()
        await observer.until(lambda: observer.retained(f"coc/clan/{bare(clan)}/state/clan"), "the clan")
    broker.kill()
    for _ in range(3):
        world.gain_points(clan)
        polled = server.requests[f"/v1/clans/{clan}"]
        while server.requests[f"/v1/clans/{clan}"] < polled + 2:  # noqa: ASYNC110 - the server only counts
            await asyncio.sleep(0.05)
    broker.start()
    async with observing(broker.port) as observer:
        await observer.until(lambda: len(observer.events) == 3, "the three changes")
        points = [event.data["changes"][0]["new_value"] for event in observer.events]
        assert points == sorted(points)
        assert [event.data["seq"] for event in observer.events] == [1, 2, 3]
        # It has forgotten everything, and everything is there again.
        await observer.until(lambda: observer.retained(f"coc/clan/{bare(clan)}/state/clan"), "the state")
        await observer.until(lambda: observer.retained(device(clan)), "the device")


async def test_every_request_is_answered(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    running = bridge(settings(broker.port))
    async with observing(broker.port) as observer:
        await observer.publish("coc/bridge/request/unwatch", world.clan_tags[0], retain=True)
        await running.start()
        await until_baseline(observer, world)

        def answer(command: str) -> Any:
            return observer.retained(f"coc/bridge/response/{command}")

        await observer.until(lambda: answer("unwatch"), "an answer to the retained request")
        assert answer("unwatch")["status"] == "error"
        assert "retain" in answer("unwatch")["error"]
        await observer.until(lambda: observer.retained("coc/bridge/watches"), "the watches")
        assert len(observer.retained("coc/bridge/watches")["watches"]) == 4, "it was not executed"

        for payload in (b"", b"\xff", b"{", b"[1]", b'{"tag": 7}', b'{"tag": "#2PP", "colour": "red"}', b"#2PX"):
            refusal = await observer.answer_to("watch", payload)
            assert refusal["status"] == "error", payload
            assert refusal["error"]

        await observer.publish("coc/bridge/request/dance", b"{}")
        await observer.until(lambda: answer("dance"), "an answer to an unknown command")
        assert "watch, unwatch, list, poll, replay, log_level, health_check" in answer("dance")["error"]

        await observer.publish("coc/bridge/request/list", ResponseTopic="reply/here", CorrelationData=b"42")
        await observer.until(lambda: observer.retained("reply/here"), "an answer where it was asked for")
        assert observer.seen[-1].correlation_data == b"42" or any(m.correlation_data == b"42" for m in observer.seen)
        await observer.publish(
            "coc/bridge/request/list", ResponseTopic=f"coc/clan/{bare(world.clan_tags[0])}/member_left"
        )
        await observer.until(lambda: answer("list"), "an answer on the usual topic")
        assert observer.events == []

        health = await observer.request("health_check")
        assert health["data"]["healthy"] is True
        assert health["data"]["watches"] == 4
        assert observer.retained("coc/bridge/info")["instance"] == "home"

        assert (await observer.request("log_level", level="debug"))["data"] == {"level": "debug"}
        await observer.until(lambda: observer.retained("coc/bridge/info")["log_level"] == "debug", "the new level")
        assert (await observer.request("replay", since="1h"))["data"] == {"events": [], "next_seq": None}
        for message in observer.seen:
            check_payload(message)


async def test_the_access_list_lets_the_bridge_do_what_it_needs_and_no_secret_is_told(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings, request: Any
) -> None:
    acl = (request.config.rootpath / "config" / "coc2mqtt.acl").read_text()
    broker = mosquitto(users={"coc2mqtt": PASSWORD, "viewer": "x"}, acl=acl)
    mqtt = {"host": "127.0.0.1", "port": broker.port, "username": "coc2mqtt", "password": PASSWORD}
    running = bridge(settings(broker.port, mqtt=mqtt, log={"level": "debug", "format": "json"}))
    async with observing(broker.port, username="viewer", password="x") as observer:
        await running.start()
        await until_baseline(observer, world)
        world.join(world.clan_tags[0])
        assert await running.end() == 0
        await observer.until(lambda: observer.retained("coc/bridge/state") == {"state": "offline"}, "offline")
        for secret in (TOKEN, PASSWORD):
            assert secret not in running.log
            assert all(secret.encode() not in message.payload for message in observer.seen)
    assert "not accepted" not in running.log
    assert "not granted" not in running.log
