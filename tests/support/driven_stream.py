"""A stream whose polls a test requests one by one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from coc2mqtt.events import Event, EventStream
from coc2mqtt.events.resource import Kind
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from tests.events.conftest import Bench, Until

LONG = 3600.0


class DrivenStream:
    """A stream that watches the bench's clan, and polls it only when the test requests it."""

    def __init__(self, bench: Bench, until: Until, **options: object) -> None:
        self.bench = bench
        self._until = until
        self.stream = EventStream(bench.api, **options)  # type: ignore[arg-type]  # as users pass them
        self.stream.watch_clans([bench.clan], interval=LONG)

    async def wait_for_baseline(self) -> None:
        """Wait until the clan was polled once."""
        await self._until(lambda: self.stream._state.get_clan(self.bench.clan))

    async def join_member(self) -> str:
        """Add a member to the clan, poll it, and return the member's tag."""
        tag = str(self.bench.world.join(self.bench.clan)[-1].details["member_tag"])
        self.stream._engine.poll_now(Kind.CLAN, self.bench.clan)
        await self._until(lambda: str(self.stream._state.get_members(self.bench.clan)).count(tag))
        return tag

    async def take(self, number: int) -> list[Event]:
        """Return the next events, all of them acknowledged."""
        events: list[Event] = []
        async with asyncio.timeout(LONG_ENOUGH):
            async for event in self.stream:
                if len(events) == number:
                    break
                events.append(event)
        return events
