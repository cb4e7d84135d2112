"""``coc2mqtt demo``: the scripted API, the embedded broker and the bridge in one program."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

import orjson
import typer
from pydantic import SecretStr

from coc2mqtt.config.settings import FixedSettings
from coc2mqtt.demo import DemoServer, World, demo_script, play
from coc2mqtt.service import Service
from coc2mqtt.util.exceptions import first_exception

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TOKEN = "demo"  # noqa: S105 - the scripted API's, and no secret
# The story moves fast: what changes within a second would blur.
_INTERVAL = 1.0


async def run_demo(
    stop: asyncio.Event,
    *,
    folder: Path,
    say: Callable[[str], bool],
    seconds: float | None = None,
    speed: float = 1.0,
    seed: int = 1,
    port: int = 1883,
) -> None:
    """Run until ``stop`` is set, or for ``seconds``; ``say`` is called with each line for the user.

    When ``say`` returns False or raises typer.Exit, the demo stops; the latter is raised in the end.

    The journal is in ``folder``. The broker listens on ``port`` of the loopback interface, or on a free port if that
    one is taken. Raises what the bridge raises.
    """
    failures: list[typer.Exit] = []

    def tell(line: str) -> None:
        # Nothing is raised into the bridge, which is not to blame.
        try:
            heard = say(line)
        except typer.Exit as failure:
            failures.append(failure)
            heard = False
        if not heard:
            stop.set()

    world = World(seed=seed)
    async with DemoServer(world, token=SecretStr(_TOKEN)) as server:
        service = Service(
            _settings(world, server.base_url, port, folder),
            on_published=lambda topic, payload: tell(_line(topic, payload)),
            on_listening=lambda taken: tell(_introduction(taken, port)),
            any_port=True,
        )
        try:
            async with asyncio.TaskGroup() as group:
                story = group.create_task(play(world, demo_script(world, seed), speed=speed))
                ending = group.create_task(_end(stop, seconds))
                await service.run(stop)
                story.cancel()
                ending.cancel()
        except BaseExceptionGroup as errors:
            # What ends the bridge ends the demo, and is told as the bridge's own.
            raise first_exception(errors) from None
    if failures:
        raise failures[0]


def _settings(world: World, base_url: str, port: int, folder: Path) -> FixedSettings:
    return FixedSettings.model_validate(
        {
            "instance": "demo",
            "api": {"base_url": base_url, "tokens": [_TOKEN]},
            "mqtt": {"port": port},
            "watch": {
                "clans": [{"tag": tag, "interval": _INTERVAL, "war_interval": _INTERVAL} for tag in world.clan_tags],
                "players": [{"tag": tag, "interval": _INTERVAL} for tag in world.player_tags],
                "maintenance": {"interval": _INTERVAL},
            },
            "journal": {"path": folder / "demo.db"},
        }
    )


async def _end(stop: asyncio.Event, seconds: float | None) -> None:
    if seconds is not None:
        await asyncio.sleep(seconds)
        stop.set()


def _introduction(port: int, wanted: int) -> str:
    taken = f" ({wanted} is taken)" if port != wanted else ""
    return (
        f"A scripted game is played, and each event is published on the broker at 127.0.0.1:{port}{taken}.\n"
        f"Watch it from another terminal:  mosquitto_sub -h 127.0.0.1 -p {port} -v -t 'coc/#'\n"
        "The first events come after a few seconds; Ctrl-C ends it.\n"
    )


def _line(topic: str, payload: bytes) -> str:
    event = orjson.loads(payload)
    time = datetime.fromisoformat(event["timestamp"]).astimezone().strftime("%H:%M:%S")
    return f"{time}  {topic:<45}  {event['summary']}"
