"""Clan war leagues and raid weekends of a watched clan, from the scripted API to a real Mosquitto."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.observer import Observer, check_payload, observing

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.demo import World
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import MakeBridge, MakeSettings

pytestmark = pytest.mark.process


class States:
    """The retained states of the first clan and of one of its members, as a subscriber sees them."""

    def __init__(self, observer: Observer, clan: str, player: str) -> None:
        self.observer = observer
        self._clan, self._player = (tag.removeprefix("#") for tag in (clan, player))

    def clan(self, facet: str) -> Any:
        return self.observer.retained(f"coc/clan/{self._clan}/state/{facet}")

    def player(self) -> Any:
        return self.observer.retained(f"coc/player/{self._player}/state/player")

    async def wait(self, condition: Callable[[], object], what: str) -> None:
        await self.observer.wait_until(condition, what)

    async def poll_until(self, condition: Callable[[], object], what: str) -> None:
        await self.observer.request("poll")
        await self.wait(condition, what)


async def test_league_and_raids_are_shown_until_they_are_switched_off(
    mosquitto: StartMosquitto, world: World, bridge: MakeBridge, settings: MakeSettings
) -> None:
    broker = mosquitto()
    clan = world.clan_tags[0]
    world.set_war_log_public(clan, False)
    world.start_league(clan)
    world.start_league_battle(clan)
    world.start_raids(clan)
    lined_up = lined_up_members(world, clan)
    watch = {
        "clans": [{"tag": clan, "interval": 3600, "war_interval": 3600}],
        "players": [{"tag": lined_up[0], "interval": 3600}],
        "maintenance": {"enabled": False},
    }
    running = bridge(settings(broker.port, watch=watch))
    async with observing(broker.port) as observer:
        shown = States(observer, clan, lined_up[0])
        await running.start()
        await shown.wait(lambda: shown.clan("cwl") and shown.clan("raid") and shown.player(), "the states")
        await shown.wait(lambda: shown.player()["attacks_left"] == 6, "the player's attacks")
        assert observer.events == [], "the baseline causes no events"
        assert shown.clan("war")["war_log"] == "private"
        assert (shown.clan("cwl")["state"], shown.clan("cwl")["round"]) == ("inWar", 1)
        left = {one["tag"] for one in shown.clan("cwl")["war"]["members_with_attacks_left"]}
        assert left == set(lined_up)
        members = [one["tag"] for one in shown.clan("members")["members"]]
        assert {one["tag"] for one in shown.clan("raid")["members_not_started"]} == set(members)

        world.raid_attack(clan, lined_up[0], gained=40)
        await shown.poll_until(lambda: shown.clan("raid")["attacks"] == 1, "the raid attack")
        await shown.wait(lambda: shown.player()["raid"]["attacks_left"] == 4, "the player's raid attacks")
        assert shown.player()["attack_pending"] is True

        assert (await observer.request("watch", tag=clan, cwl=False))["data"]["cwl"] is False
        await shown.wait(lambda: shown.clan("cwl") is None and shown.player()["cwl"] is None, "the emptied league")
        assert await running.stop() == 0
        await observer.wait_for_bridge_state("offline")
        await running.start()
        await observer.wait_for_bridge_state("online")
        assert (shown.clan("cwl"), shown.clan("raid")["attacks"]) == (None, 1)
        assert (await observer.request("reset"))["data"]["restored"] == [{"kind": "clan", "tag": clan}]
        await shown.wait(lambda: shown.clan("cwl"), "the league as in the configuration")

        await observer.request("unwatch", tag=clan)
        facets = ("availability", "clan", "war", "cwl", "raid")
        await shown.wait(lambda: not any(shown.clan(facet) for facet in facets), "the emptied states")
        await shown.wait(lambda: shown.player()["attacks_left"] is None, "the player without a watched clan")
        assert await running.stop() == 0
        for message in observer.received:
            check_payload(message)


def lined_up_members(world: World, clan: str) -> list[str]:
    """Return the members in the line-up of the clan's battle in the league."""
    group = world.league_group(clan) or {}
    for tag in group["rounds"][0]["warTags"]:
        war = world.league_war(tag) or {}
        for side in (war["clan"], war["opponent"]):
            if side["tag"] == clan:
                return [member["tag"] for member in side["members"]]
    raise AssertionError("the clan has no war")
