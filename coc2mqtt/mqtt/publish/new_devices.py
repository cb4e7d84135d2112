"""Holding back the first events of new devices until Home Assistant has set up their event entities."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coc2mqtt.mqtt.publish.device_announcer import is_removal
from coc2mqtt.util.tasks import reject_stray_cancellation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.events.resource import Kind, Watch
    from coc2mqtt.journal.protocol import JournalEntry
    from coc2mqtt.mqtt.publish.device_announcer import DesiredDevice

# Measured on Home Assistant: a new event entity misses messages in the first half second after its discovery payload.
ENTITY_SETUP_S = 1.0
# A device that is not announced within this time must not hold back its events any longer. About 150 devices that are
# added together are announced within it.
_MAX_WAIT_S = 15.0
# The events of all devices together: a new device has a few at most.
_MAX_HELD_EVENTS = 1000


class NewDevices:
    """The devices of watches that were just added, until Home Assistant has set up their entities.

    ``topic_of`` returns the discovery topic of a clan (also for its war) or a player.
    """

    def __init__(self, topic_of: Callable[[Kind, str], str]) -> None:
        self.topic_of = topic_of
        # By discovery topic; set when the device is ready.
        self._ready: dict[str, asyncio.Event] = {}

    def add(self, watch: Watch) -> None:
        """Handle a watch that was added."""
        self._ready.setdefault(self.topic_of(watch.kind, watch.tag), asyncio.Event())

    def discard(self, watch: Watch) -> None:
        """Handle a watch that was removed."""
        topic = self.topic_of(watch.kind, watch.tag)
        if (ready := self._ready.get(topic)) is not None:
            self._finish(topic, ready)

    def on_announced(self, device: DesiredDevice, _changed: bool) -> None:
        """Handle a device whose discovery payload was published or rejected."""
        ready = self._ready.get(device.topic)
        if ready is not None and not is_removal(device):
            asyncio.get_running_loop().call_later(ENTITY_SETUP_S, self._finish, device.topic, ready)

    def find(self, kind: Kind, tag: str) -> str | None:
        """Return the topic of a clan's or player's device, None if it is not a new one."""
        # Most of the time there is none, and the topic need not be built.
        topic = self.topic_of(kind, tag) if self._ready else ""
        return topic if topic in self._ready else None

    async def wait_ready(self, topic: str) -> None:
        """Wait until Home Assistant has set up a device, for at most 15 s; then it counts as known."""
        ready = self._ready.get(topic)
        if ready is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MAX_WAIT_S):
                    await ready.wait()
            self._finish(topic, ready)

    def give_up(self, topic: str) -> None:
        """Do not wait for a device any longer."""
        if (ready := self._ready.get(topic)) is not None:
            self._finish(topic, ready)

    def _finish(self, topic: str, ready: asyncio.Event) -> None:
        ready.set()
        # The watch may have been removed and added again meanwhile.
        if self._ready.get(topic) is ready:
            del self._ready[topic]


@dataclass(slots=True)
class _Held:
    """The events of one device that wait; ``released`` is set when the last one is released."""

    entries: deque[JournalEntry] = field(default_factory=deque)
    released: asyncio.Event = field(default_factory=asyncio.Event)


class EventHold:
    """Passes events on to ``put``, in order for each device; those of a new device wait without delaying others.

    Runs its tasks in ``group``, and lasts as long as one connection.
    """

    def __init__(
        self, new_devices: NewDevices, *, put: Callable[[JournalEntry], Awaitable[None]], group: asyncio.TaskGroup
    ) -> None:
        self._new_devices = new_devices
        self._put = put
        self._group = group
        # By discovery topic.
        self._held: dict[str, _Held] = {}
        self._count = 0

    async def put(self, entry: JournalEntry) -> None:
        """Pass an event on, or hold it back."""
        topic = self._topic_to_wait_for(entry)
        if topic is not None and self._count >= _MAX_HELD_EVENTS:
            self._new_devices.give_up(topic)
            if topic in self._held:
                await self._held[topic].released.wait()
            topic = None
        if topic is None:
            await self._put(entry)
            return
        if topic not in self._held:
            self._held[topic] = _Held()
            self._group.create_task(self._release(topic))
        self._held[topic].entries.append(entry)
        self._count += 1

    def _topic_to_wait_for(self, entry: JournalEntry) -> str | None:
        kind, tag = entry.kind, entry.record.tag
        if self._held:
            # Events that come while earlier ones are released must not overtake them.
            topic = self._new_devices.topic_of(kind, tag)
            if topic in self._held:
                return topic
        return self._new_devices.find(kind, tag)

    async def _release(self, topic: str) -> None:
        with reject_stray_cancellation("held events"):
            await self._new_devices.wait_ready(topic)
            held = self._held[topic]
            while held.entries:
                await self._put(held.entries.popleft())
                self._count -= 1
            del self._held[topic]
            held.released.set()
