"""The three compared setups: cocapi alone, coc2mqtt's events with cocapi's client, and coc2mqtt alone."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cocapi import ApiConfig, CocApi
from cocapi import events as cocapi_events
from pydantic import SecretStr

from coc2mqtt import events as our_events
from coc2mqtt.clash import ClashClient
from coc2mqtt.demo import DemoServer, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAMES = ("cocapi", "coc2mqtt, CocApi", "coc2mqtt, ClashClient")
_TOKEN = "token-of-a-test"  # noqa: S105 the scripted API ignores it


@dataclass
class Setup:
    """A client of the scripted API and the events module for it."""

    world: World
    server: DemoServer
    api: Any
    events: Any

    @property
    def clan(self) -> str:
        """A clan with a public war log."""
        return self.world.clan_tags[0]

    @property
    def player(self) -> str:
        """A player."""
        return self.world.player_tags[0]

    def watchers(self, tag: str | None = None) -> list[Any]:
        """Return a watcher of each kind, for the clan and the player or for another tag."""
        queue: asyncio.Queue[Any] = asyncio.Queue()
        common = self.api, self.events.PollingState(), queue
        # With an interval of 0, cocapi's watchers poll on every call.
        return [
            self.events.ClanWatcher(*common, [tag or self.clan], interval=0),
            self.events.WarWatcher(*common, [tag or self.clan], interval=0),
            self.events.PlayerWatcher(*common, [tag or self.player], interval=0),
            self.events.MaintenanceWatcher(*common, interval=0),
        ]


@asynccontextmanager
async def open_setup(name: str) -> AsyncIterator[Setup]:
    """Open one of the setups of ``NAMES``, each with its own identical world."""
    world = World(members=10, players=1)
    async with DemoServer(world) as server:
        if name == NAMES[2]:
            async with ClashClient(
                [SecretStr(_TOKEN)], base_url=server.base_url, requests_per_second=1000, attempts=1
            ) as ours:
                yield Setup(world, server, ours, our_events)
            return
        config = ApiConfig(
            base_url=server.base_url, enable_caching=False, enable_rate_limiting=False, max_retries=1, timeout=2
        )
        async with CocApi(_TOKEN, config=config, async_mode=True) as theirs:
            yield Setup(world, server, theirs, cocapi_events if name == NAMES[0] else our_events)
