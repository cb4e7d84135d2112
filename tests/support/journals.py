"""A bridge and the file that it remembers in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.demo import World
    from tests.support.bridge_process import BridgeProcess
    from tests.support.observer import Observer

    MakeBridge = Callable[..., BridgeProcess]
    MakeSettings = Callable[..., dict[str, Any]]


async def status_of(bridge: BridgeProcess, *, within: float = 15) -> int:
    """Wait until a bridge ends by itself, and return its exit status."""
    assert bridge._process is not None
    process, bridge._process = bridge._process, None
    try:
        async with asyncio.timeout(within):
            return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()


def watching_one_clan(world: World) -> dict[str, Any]:
    """Return the settings of a watch that polls all the time, and nothing beside it."""
    clan = {"tag": world.clan_tags[0], "interval": 1, "war": False}
    return {"clans": [clan], "maintenance": {"enabled": False}}


async def until_seen(observer: Observer, world: World) -> None:
    """Wait until the clan was seen for the first time."""
    await observer.until(lambda: observer.retained(f"coc/clan/{world.clan_tags[0][1:]}/state/clan"), "the clan")


def states(observer: Observer) -> list[str]:
    """Return what the bridge said of itself, in order."""
    return [message.data["state"] for message in observer.seen if message.topic == "coc/bridge/state"]


def kinds(observer: Observer) -> list[str]:
    """Return which events came, in order."""
    return [message.topic.split("/")[-1] for message in observer.events]
