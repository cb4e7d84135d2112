"""The setup: the scripted game, a broker, the bridge as a process, and Home Assistant."""

from __future__ import annotations

import contextlib
import signal
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import SecretStr

from coc2mqtt.demo import DemoServer, World
from coc2mqtt.homeassistant.identity import object_id
from tests.home.home_assistant import Home
from tests.support.bridge_process import TOKEN, BridgeProcess
from tests.support.broker import Mosquitto, free_port
from tests.support.journal_files import age_events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import datetime

    from tests.home.lab import Lab

INSTANCE = "demo"
# Intervals in seconds. Resources with the slow one are polled only on request.
FAST, SLOW = 1.0, 3600.0


class Setup:
    """All programs, running; ``clan`` is at war with a public war log, ``private_clan`` has a private one.

    ``clan`` also raids, and is in a league of ``league_clans`` clans, with the second round in preparation during the
    battle of the first one. ``private_clan`` is in no league and has never raided.

    ``player``, of an unwatched clan, is polled every second. ``attacker``, who has attacks left in the war of ``clan``,
    is polled every hour. ``other_player`` is not watched at first.
    """

    league_clans = 4

    def __init__(self, world: World, server: DemoServer, broker: Mosquitto, bridge: BridgeProcess, home: Home) -> None:
        self.world, self.server, self.broker, self.bridge, self.home = world, server, broker, bridge, home
        self.clan, self.private_clan = world.clan_tags
        self.player, self.other_player = world.player_tags
        self.attacker = _find_attacker(world)
        self.restarts: dict[str, Callable[[], Awaitable[None]]] = {
            "Home Assistant": self.restart_home,
            "broker": self.restart_broker,
            "bridge": self.restart_bridge,
        }

    async def restart_home(self) -> None:
        """Stop Home Assistant and start it with its configuration."""
        await self.home.stop()
        await self.home.start(keep=True)

    async def restart_broker(self) -> None:
        """Kill the broker and restart it without its retained messages."""
        self.broker.restart()

    async def restart_bridge(self) -> None:
        """Stop the bridge and start it again."""
        await self.stop_bridge()
        await self.bridge.start()

    async def stop_bridge(self) -> None:
        """Stop the bridge."""
        await self.bridge.stop(signal.SIGTERM)

    async def let_days_pass(self, days: int) -> None:
        """Restart the bridge as if it had been stopped for some days: its kept events become older."""
        await self.stop_bridge()
        journal = Path(yaml.safe_load(self.bridge.config.read_text())["journal"]["path"])
        age_events(journal, timedelta(days=days, minutes=1).total_seconds())
        await self.bridge.start()

    async def configure_home_assistant(self, **options: Any) -> None:
        """Restart the bridge with these settings in the section ``homeassistant`` of its configuration."""
        await self.stop_bridge()
        settings = yaml.safe_load(self.bridge.config.read_text())
        settings["homeassistant"] |= options
        self.bridge.config.write_text(yaml.safe_dump(settings))
        await self.bridge.start()

    def device(self, tag: str) -> str:
        """Return the identifier of a clan's or a player's device."""
        return object_id(INSTANCE, "clan" if tag in self.world.clan_tags else "player", tag)

    async def bridge_entity(self, key: str) -> str:
        """Return the entity id of an entity of the bridge."""
        return str((await self.home.entities())[f"{object_id(INSTANCE, 'bridge')}_{key}"]["entity_id"])

    def bystander(self) -> str:
        """Return a member of the clan who is neither its leader nor watched."""
        clan = self.world.clan(self.clan)
        assert clan is not None
        members = (one for one in clan["memberList"] if one["role"] != "leader" and one["tag"] != self.attacker)
        return str(next(members)["tag"])

    def example_tags(self) -> dict[str, str]:
        """Return the tag of an unwatched clan and of an unwatched player by the tag in the examples of ``config``."""
        player = self.world.player(self.player)
        assert player is not None
        return {"#2PP": player["clan"]["tag"], "#900PUCPV": self.other_player}

    def set_raid_end(self, end: datetime) -> None:
        """Change the end of the raid weekend."""
        weekend = self.world._population.watched_clan(self.clan).raids.last
        assert weekend is not None
        weekend.end = end
        self.world._log.touch("raid", self.clan)

    def rename_clan(self, name: str) -> None:
        """Rename the clan."""
        self.world._population.watched_clan(self.clan).name = name
        self.world._log.touch("clan", self.clan)


@contextlib.asynccontextmanager
async def running_setup(
    lab: Lab, program: str, folder: Path, *, old: bool, language: str = "en"
) -> AsyncIterator[Setup]:
    """Start everything except the bridge, with the clan in a battle; ``language`` is that of the bridge."""
    world = World(seed=3, clans=2, members=12, players=2)
    world.declare_war(world.clan_tags[0], preparation=timedelta(0))
    world.start_battle(world.clan_tags[0])
    world.attack(world.clan_tags[0], "clan")
    world.attack(world.clan_tags[0], "opponent")
    _play_parts(world, world.clan_tags[0])
    async with DemoServer(world, port=free_port(), token=SecretStr(TOKEN)) as server:
        with Mosquitto(program, folder, "max_queued_messages 0") as broker:
            bridge = BridgeProcess(folder, _settings(world, server, broker, language))
            home = Home(lab, broker.port, old=old)
            await home.start(keep=False)
            try:
                yield Setup(world, server, broker, bridge, home)
            finally:
                await home.stop()
                await bridge.kill_if_running()


def _play_parts(world: World, clan: str) -> None:
    """Start a league and a raid weekend, in which the member of ``_find_attacker`` does not attack."""
    world.start_league(clan, clans=Setup.league_clans, preparation=timedelta(0))
    world.start_league_battle(clan)
    world.draw_round(clan)
    world.league_attack(clan, "clan")
    world.start_raids(clan, timedelta(days=2))
    raider = next(one["tag"] for one in _members(world) if one["tag"] != _find_attacker(world))
    for _ in range(3):
        world.raid_attack(clan, raider, gained=None)


def _members(world: World) -> list[dict[str, Any]]:
    clan = world.clan(world.clan_tags[0])
    assert clan is not None
    members: list[dict[str, Any]] = clan["memberList"]
    return members


def _find_attacker(world: World) -> str:
    """Return a member of the clan who has not attacked."""
    war = world.current_war(world.clan_tags[0])
    assert war is not None
    return next(str(member["tag"]) for member in war["clan"]["members"] if "attacks" not in member)


def _settings(world: World, server: DemoServer, broker: Mosquitto, language: str) -> dict[str, Any]:
    return {
        "instance": INSTANCE,
        "api": {"base_url": server.base_url, "tokens": [TOKEN], "requests_per_second": 100},
        "mqtt": {"host": broker.host, "port": broker.port},
        "homeassistant": {"language": language},
        "watch": {
            "clans": [
                {
                    "tag": tag,
                    "interval": FAST,
                    "war_interval": FAST,
                    "cwl_interval": FAST,
                    "cwl_standings": True,
                    "raid_interval": FAST,
                }
                for tag in world.clan_tags
            ],
            "players": [
                {"tag": world.player_tags[0], "interval": FAST},
                {"tag": _find_attacker(world), "interval": SLOW},
            ],
            "maintenance": {"interval": FAST},
        },
        "log": {"level": "info"},
    }
