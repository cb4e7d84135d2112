from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from coc2mqtt.demo import DemoServer, World
from tests.support.bridge_process import TOKEN, BridgeProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.bridge_process import MakeBridge, MakeSettings

# Seconds. Long enough that only polls requested by a test are made.
NEVER = 3600
CLAN_INTERVALS = ("interval", "war_interval", "cwl_interval", "raid_interval")


@pytest.fixture
def world() -> World:
    return World(seed=7, members=12)


@pytest.fixture
async def server(world: World) -> AsyncIterator[DemoServer]:
    async with DemoServer(world, token=SecretStr(TOKEN)) as running:
        yield running


@pytest.fixture
def settings(world: World, server: DemoServer) -> MakeSettings:
    """Create settings for a broker port that watch everything and poll only on request."""

    def build(port: int, **changes: Any) -> dict[str, Any]:
        return {
            "api": {"base_url": server.base_url, "tokens": [TOKEN]},
            "mqtt": {"host": "127.0.0.1", "port": port},
            "watch": {
                "clans": [
                    {"tag": tag, "cwl_standings": True, "raid_defenses": True, **dict.fromkeys(CLAN_INTERVALS, NEVER)}
                    for tag in world.clan_tags
                ],
                "players": [{"tag": tag, "interval": NEVER} for tag in world.player_tags],
                "maintenance": {"interval": 1},
            },
            **changes,
        }

    return build


@pytest.fixture
async def bridge(tmp_path: Path) -> AsyncIterator[MakeBridge]:
    """Create a bridge, not yet started. It is killed after the test if it still runs; a failed test shows its log."""
    bridges: list[BridgeProcess] = []

    def make(settings: dict[str, Any], **options: Any) -> BridgeProcess:
        bridges.append(BridgeProcess(tmp_path, settings, **options))
        return bridges[-1]

    yield make
    for one in bridges:
        await one.kill_if_running()
    if bridges and bridges[0].has_started:
        sys.stdout.write(bridges[0].log)
