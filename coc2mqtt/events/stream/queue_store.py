"""A stream's store: snapshots in a PollingState, events on a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from coc2mqtt.events.event import Event
    from coc2mqtt.events.resource import Resource, Snapshot
    from coc2mqtt.events.stream.polling_state import PollingState


class QueueStore:
    """Keeps snapshots in memory and hands each event to a queue; a full queue holds up the polls.

    An event stays in the state until it is acknowledged, so one that was never handed over is not lost.
    ``committed`` is called after each commit. Without ``members`` the state's member lists are left alone.
    """

    def __init__(
        self,
        state: PollingState,
        queue: asyncio.Queue[Event],
        *,
        committed: Callable[[], None] = lambda: None,
        members: bool = True,
    ) -> None:
        self._state = state
        self._queue = queue
        self._committed = committed
        self._members = members

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        """Return what was last committed of a resource."""
        return self._state.snapshot(resource)

    async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:
        """Take up the snapshot and its events in one step, then queue the events."""
        self._state.take(resource, snapshot, events, members=self._members)
        self._committed()
        for event in events:
            await self._queue.put(event)
