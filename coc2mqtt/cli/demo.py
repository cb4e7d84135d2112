"""``coc2mqtt demo``: the scripted API, the embedded broker and the bridge in one program."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
import typer
from pydantic import SecretStr

from coc2mqtt.config.settings import FixedSettings
from coc2mqtt.demo import DemoServer, World, demo_script, play
from coc2mqtt.demo.server import EVERYTHING
from coc2mqtt.service import Service
from coc2mqtt.util.tasks import first_exception

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TOKEN = "demo"  # noqa: S105 - not a secret: the token of the scripted API
# The script plays fast. Several changes between two polls would be merged into one event.
_INTERVAL_S = 1.0
# In which all members of a clan are polled once.
_GAMES_INTERVAL_S = 10.0
# The shortest time. Some of the wars and raid weekends last longer.
_REMINDERS = {"war": ["1m"], "raid": ["1m"], "cwl": [], "games": []}
# Every month has it.
_LAST_DAY = 28


async def run_demo(
    stop: asyncio.Event,
    *,
    folder: Path,
    echo: Callable[[str], bool],
    seconds: float | None = None,
    speed: float = 1.0,
    seed: int = 1,
    port: int = 1883,
) -> None:
    """Run until ``stop`` is set, or for ``seconds``.

    ``echo`` prints a line for the user. The demo stops when it returns False or raises typer.Exit, which is raised
    again at the end. The journal is stored in ``folder``. The broker listens on ``port`` of the loopback interface, or
    on a free port if that is taken. Raises the same exceptions as ``Service.run``.
    """
    exits: list[typer.Exit] = []

    def print_or_stop(line: str) -> None:
        # An exception raised into the bridge would be reported as a bug of the bridge.
        try:
            printed = echo(line)
        except typer.Exit as error:
            exits.append(error)
            printed = False
        if not printed:
            stop.set()

    world = World(seed=seed)
    async with DemoServer(world, token=SecretStr(_TOKEN)) as server:
        service = Service(
            _settings(world, server.base_url, port, folder),
            on_published=lambda topic, payload: print_or_stop(_event_line(topic, payload)),
            on_listening=lambda actual_port: print_or_stop(_introduction(actual_port, port)),
            any_port=True,
        )
        try:
            async with asyncio.TaskGroup() as group:
                script = group.create_task(_play(server, world, seed, speed))
                timer = group.create_task(_stop_after(seconds, stop))
                await service.run(stop)
                script.cancel()
                timer.cancel()
        except BaseExceptionGroup as error:
            # The caller handles the errors of the bridge, not groups.
            raise first_exception(error) from None
    if exits:
        raise exits[0]


def _settings(world: World, base_url: str, port: int, folder: Path) -> FixedSettings:
    return FixedSettings.model_validate(
        {
            "instance": "demo",
            "api": {"base_url": base_url, "tokens": [_TOKEN]},
            "mqtt": {"port": port},
            "watch": {
                "clans": [_clan_watch(tag) for tag in world.clan_tags],
                "players": [_player_watch(tag) for tag in world.player_tags],
                "maintenance": {"interval": _INTERVAL_S},
                "clan_games": _present_games(datetime.now(UTC).day),
            },
            "journal": {"path": folder / "demo.db"},
        }
    )


def _present_games(day: int) -> dict[str, int]:
    """Return clan games that have just started, except at the end of a month."""
    first = min(max(1, day - 1), _LAST_DAY - 1)
    return {"first_day": first, "last_day": _LAST_DAY, "hour": 0}


def _player_watch(tag: str) -> dict[str, object]:
    return {"tag": tag, "interval": _INTERVAL_S, "ranked": True, "ranked_interval": _INTERVAL_S}


def _clan_watch(tag: str) -> dict[str, object]:
    intervals = ("interval", "war_interval", "cwl_interval", "raid_interval")
    options = {"cwl_standings": True, "raid_defenses": True, "games": True, "games_interval": _GAMES_INTERVAL_S}
    return {"tag": tag, "reminders": _REMINDERS, **options, **dict.fromkeys(intervals, _INTERVAL_S)}


async def _play(server: DemoServer, world: World, seed: int, speed: float) -> None:
    # A change before the first poll would be part of the baseline instead of an event.
    await server.wait_watched(resources=EVERYTHING)
    await play(world, demo_script(world, seed), speed=speed)


async def _stop_after(seconds: float | None, stop: asyncio.Event) -> None:
    if seconds is not None:
        await asyncio.sleep(seconds)
        stop.set()


def _introduction(port: int, wanted_port: int) -> str:
    taken = f" ({wanted_port} is taken)" if port != wanted_port else ""
    return (
        f"Playing a scripted game. Each event is published on the broker at 127.0.0.1:{port}{taken}.\n"
        f"Subscribe from another terminal:  mosquitto_sub -h 127.0.0.1 -p {port} -v -t 'coc/#'\n"
        "The first events appear after a few seconds. Press Ctrl-C to stop.\n"
    )


def _event_line(topic: str, payload: bytes) -> str:
    event = orjson.loads(payload)
    time = datetime.fromisoformat(event["timestamp"]).astimezone().strftime("%H:%M:%S")
    return f"{time}  {topic:<45}  {event['summary']}"
