"""Announcing devices to Home Assistant by retained discovery payloads, at a rate that it can follow."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, Never, Protocol, TypeAlias

from coc2mqtt.homeassistant import DiscoveryMessage, live_components, removal, removal_step
from coc2mqtt.mqtt.publish.removed_devices import MAX_KEPT_PAYLOADS, RemovedDevices
from coc2mqtt.util.containment import propagate, retry_delay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.events.resource import Resource
    from coc2mqtt.mqtt.client.connection import Session
    from coc2mqtt.util.containment import Contain

# Between two announcements of the same device: Home Assistant can skip components of a device that is announced twice
# within a second.
MIN_REPEAT_S = 2.0
# Between announcements of different devices, so that Home Assistant does not receive dozens of devices at once.
SPACING_S = 0.1
# Home Assistant stops handling messages up to this long before the broker publishes its last will.
_HA_SHUTDOWN_S = 60.0

# Publishes a retained message over a session, and returns whether the broker accepted it.
PublishRetained: TypeAlias = "Callable[[Session, str, bytes], Awaitable[bool]]"


class DesiredDevice(Protocol):
    """The device to announce on a topic. Equal ones have equal payloads; building the payload may be expensive."""

    @property
    def topic(self) -> str:
        """The discovery topic."""

    @property
    def payload(self) -> bytes:
        """The discovery payload; an empty one removes the device."""

    def __hash__(self) -> int: ...


class _RetainedPayload(NamedTuple):
    """A payload that the broker retains, without its 20 to 30 kB.

    ``components`` are its live components by key and platform; devices of the same kind share them. ``source`` rebuilds
    the payload; it is None if the payload was found on the broker and not kept.
    """

    checksum: int
    components: tuple[tuple[str, str], ...]
    source: DesiredDevice | None


_NO_DEVICE = _RetainedPayload(hash(b""), (), None)


@dataclass(slots=True)
class _Device:
    """The announcements of one device.

    ``published_hash`` is the hash of the last DesiredDevice that was published completely since Home Assistant started,
    None if it has to be published. ``retained`` is None while it is unknown. ``published_at`` is the event loop's time.
    """

    published_hash: int | None = None
    retained: _RetainedPayload | None = None
    published_at: float | None = None


class DeviceAnnouncer:
    """Keeps the retained discovery payload of each device equal to the one last asked for.

    Requests are only stored, and published over the next connection if there is none now. A device is published at most
    every ``min_repeat`` seconds, and different devices ``spacing`` seconds apart.

    Home Assistant never deletes a device or component from its registry if it was offline when that was removed, unless
    it receives it again and then its removal. So everything that was removed while Home Assistant may have been offline
    is announced and removed again when it starts.

    ``on_forgotten`` is called with the topic of each removed device that was forgotten, see ``forget``. ``contain``
    guards each announcement: after a bug, that device is retried 1 to 60 s later without delaying others.
    """

    def __init__(
        self,
        publish: PublishRetained,
        *,
        min_repeat: float = MIN_REPEAT_S,
        spacing: float = SPACING_S,
        on_forgotten: Callable[[str], None] = lambda _: None,
        contain: Contain = propagate,
    ) -> None:
        self._publish = publish
        self._on_forgotten = on_forgotten
        self._contain = contain
        # Consecutive bugs per topic.
        self._failures: dict[str, int] = {}
        self._listeners: list[Callable[[DesiredDevice, bool], None]] = []
        self._min_repeat = min_repeat
        self._spacing = spacing
        self._devices: dict[str, _Device] = {}
        # Component lists that devices share.
        self._components: dict[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]] = {}
        # The number of found payloads that were kept, by ``keep_payload``.
        self._kept_payloads: Counter[bool] = Counter()
        self._pending: dict[str, DesiredDevice] = {}
        # The pending devices that are not announced in the background, in the same order.
        self._urgent: dict[str, None] = {}
        self._background: set[str] = set()
        # Removed devices to forget when their removal is published.
        self._to_forget: set[str] = set()
        self._on_done: dict[str, list[tuple[Callable[[Resource], None], Resource]]] = {}
        self._ha_is_online = False
        self._removed = RemovedDevices()
        # Those of them, by topic, that are to be announced and removed again.
        self._pending_removals: dict[str, DesiredDevice] = {}
        self._rejected: dict[str, DesiredDevice] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add_listener(self, on_announced: Callable[[DesiredDevice, bool], None]) -> None:
        """Call back with each device once it is published completely, or rejected by the broker.

        The second argument is whether a different payload was replaced, possibly one of an earlier run.
        """
        self._listeners.append(on_announced)

    def announce(self, device: DesiredDevice, *, background: bool = False) -> None:
        """Announce a device, or remove it; do nothing if exactly that was published last.

        A rejected removal is not repeated here. In the background, it is published only while no other device is due.
        """
        topic = device.topic
        (self._background.add if background else self._background.discard)(topic)
        state = self._devices.get(topic)
        if state is None:
            state = self._devices[topic] = _Device()
        is_removed = state.retained is _NO_DEVICE or self._removal_is_rejected(topic)
        is_published = state.published_hash == hash(device) or (is_removed and is_removal(device))
        if not is_published or self._pending.get(topic, device) != device:
            waiting = self._pending.get(topic)
            if is_removal(device) and waiting is not None and not is_removal(waiting) and state.retained is None:
                # Home Assistant warns about the removal of a device that it does not know.
                self._pending_removals[topic] = waiting
            self._add_pending(topic, device)

    def is_pending(self, topic: str) -> bool:
        """Return whether a device still has to be published."""
        return topic in self._pending

    def call_when_done(self, topic: str, callback: Callable[[Resource], None], resource: Resource) -> None:
        """Call back with a resource when a pending device is published completely; duplicates are ignored."""
        callbacks = self._on_done.setdefault(topic, [])
        if (callback, resource) not in callbacks:
            callbacks.append((callback, resource))

    def forget(self, topic: str) -> None:
        """Forget a removed device when its removal is published, but not before it could be announced again."""
        if topic in self._pending:
            self._to_forget.add(topic)
        else:
            asyncio.get_running_loop().call_later(self._min_repeat, self._drop_removed, topic)

    def on_connected(self) -> None:
        """Handle a new connection: everything has to be announced again, and Home Assistant may be offline."""
        self._forget_received_removals()
        self._ha_is_online = False
        rejected, self._rejected = self._rejected, {}
        for topic, device in rejected.items():
            if topic in self._to_forget and topic not in self._pending:
                self._add_pending(topic, device)  # nothing else asks for this removal again
        self.invalidate()

    def on_found(
        self, topic: str, payload: bytes, *, keep_payload: bool = False, source: DesiredDevice | None = None
    ) -> None:
        """Handle a discovery payload that the broker retains from an earlier run; payloads published since are newer.

        The payload is needed again only if the device or some of its components are removed. ``keep_payload`` means
        that this is about to happen. Of all others only some are kept, to limit the memory. None are kept of those
        with a ``source``, which builds an equivalent payload.
        """
        state = self._devices.setdefault(topic, _Device())
        if state.retained is not None:
            return
        maximum = MAX_KEPT_PAYLOADS if keep_payload else MAX_KEPT_PAYLOADS // 2
        if source is None and self._kept_payloads[keep_payload] < maximum:
            self._kept_payloads[keep_payload] += 1
            source = DiscoveryMessage(topic, payload)
        state.retained = self._describe(payload, source)

    def matches_published(self, topic: str, payload: bytes) -> bool | None:
        """Return whether a payload is the one that was published for a device; None if no device was announced."""
        state = self._devices.get(topic)
        if state is None or state.retained is None or state.retained is _NO_DEVICE:
            return None
        return state.retained.checksum == hash(payload)

    def invalidate(self, topic: str | None = None) -> None:
        """Publish a device, or all devices, again when next announced, even if nothing changed."""
        for state in self._devices.values() if topic is None else filter(None, [self._devices.get(topic)]):
            state.published_hash = None

    def on_ha_online(self) -> None:
        """Handle the birth message of Home Assistant: it needs all devices again, and the removals that it missed."""
        self._forget_received_removals()
        self._ha_is_online = True
        self.invalidate()
        for topic, removed in self._removed.take_all().items():
            self._pending_removals[topic] = removed.device
            if removed.background:
                self._background.add(topic)
        for topic in self._pending_removals:
            if topic not in self._devices:
                self._to_forget.add(topic)
            state = self._devices.setdefault(topic, _Device(retained=_NO_DEVICE))
            current = (state.retained or _NO_DEVICE).source or removal(topic)
            self._add_pending(topic, self._pending.get(topic, current))

    def on_ha_offline(self) -> None:
        """Handle the last will of Home Assistant."""
        self._forget_received_removals()
        self._ha_is_online = False

    def retry_rejected(self) -> None:
        """Announce all devices again whose last payload the broker rejected."""
        rejected, self._rejected = self._rejected, {}
        for topic, device in rejected.items():
            if topic in self._devices and topic not in self._pending:
                self._add_pending(topic, device)

    async def wait_idle(self) -> None:
        """Wait until nothing is pending."""
        await self._idle.wait()

    async def run(self, session: Session) -> Never:
        """Publish pending devices over one connection until cancelled."""
        while True:
            topic = await self._next_due()
            with self._contain("announcement", topic=topic):
                await self._announce(session, topic)
                self._failures.pop(topic, None)
                continue
            self._postpone(topic)

    async def _announce(self, session: Session, topic: str) -> None:
        state, device = self._devices[topic], self._pending[topic]
        goal = device.payload
        removed = self._pending_removals.pop(topic, None)
        payload = self._next_payload(topic, state, goal) if removed is None else removed.payload
        before, is_final, changed = state.retained, payload in (None, goal), False
        # Before publishing: a request during the publish must not be mistaken for a published one.
        state.published_hash = hash(device) if is_final else None
        source = device if is_final else removed or DiscoveryMessage(topic, payload or b"")
        state.retained = self._describe(payload or b"", source)
        if payload is not None:
            state.published_at = asyncio.get_running_loop().time()
            try:
                if await self._publish(session, topic, payload):
                    self._rejected.pop(topic, None)
                    # Not if Home Assistant had no such device, or has none from now on.
                    changed = bool(goal and before and before.components and before.checksum != hash(payload))
                else:
                    # The broker still has the payload before, and the next request tries again.
                    state.published_hash, state.retained = None, before
                    self._rejected[topic] = device
            except BaseException:
                state.published_hash, state.retained = None, before
                if removed is not None:
                    self._pending_removals[topic] = removed
                raise
        if self._pending[topic] is device and is_final and topic not in self._pending_removals:
            self._finish(topic, changed=changed)
        if payload is not None:
            await asyncio.sleep(self._spacing)

    def _describe(self, payload: bytes, source: DesiredDevice | None) -> _RetainedPayload:
        if not payload:
            return _NO_DEVICE
        components = live_components(payload)
        return _RetainedPayload(hash(payload), self._components.setdefault(components, components), source)

    def _postpone(self, topic: str) -> None:
        self._failures[topic] = failures = self._failures.get(topic, 0) + 1
        if (state := self._devices.get(topic)) is not None:
            # Such that it is due again after the delay.
            state.published_at = asyncio.get_running_loop().time() + retry_delay(failures) - self._min_repeat

    def _drop_removed(self, topic: str) -> None:
        if topic in self._pending:
            self._to_forget.add(topic)
            return
        state = self._devices.get(topic)
        if state is None:
            return
        is_rejected = self._removal_is_rejected(topic)
        if state.retained is _NO_DEVICE or (is_rejected and state.retained is None):
            del self._devices[topic]
            self._background.discard(topic)
            self._rejected.pop(topic, None)
            self._on_forgotten(topic)
        elif is_rejected:
            self._to_forget.add(topic)  # the broker retains the device until it accepts the removal

    def _removal_is_rejected(self, topic: str) -> bool:
        rejected = self._rejected.get(topic)
        return rejected is not None and is_removal(rejected)

    def _add_pending(self, topic: str, device: DesiredDevice) -> None:
        self._pending[topic] = device
        if topic not in self._background:
            self._urgent[topic] = None
        self._idle.clear()
        self._wake.set()

    async def _next_due(self) -> str:
        """Wait for the first device that may be published now, and return its topic."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now, soonest = loop.time(), None
            for topic in chain(self._urgent, self._pending):
                published_at = self._devices[topic].published_at
                if published_at is None or published_at + self._min_repeat <= now:
                    return topic
                soonest = min(published_at + self._min_repeat, soonest or published_at + self._min_repeat)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(soonest):
                    await self._wake.wait()

    def _next_payload(self, topic: str, state: _Device, goal: bytes) -> bytes | None:
        """Return the payload to publish next for a device, None if there is nothing to publish."""
        retained = state.retained
        if not goal and retained is _NO_DEVICE:
            return None  # Home Assistant warns about the removal of an unknown device
        payload = removal_step(() if retained is None else retained.components, goal)
        if retained is not None and retained.source is not None and (not goal or _loses_components(retained, payload)):
            now = asyncio.get_running_loop().time()
            self._removed.add(topic, retained.source, now, background=topic in self._background)
        return payload

    def _forget_received_removals(self) -> None:
        """Forget the removals that Home Assistant received, except those while it may have been shutting down."""
        if self._ha_is_online:
            self._removed.forget_until(asyncio.get_running_loop().time() - _HA_SHUTDOWN_S)

    def _finish(self, topic: str, *, changed: bool) -> None:
        device = self._pending.pop(topic)
        self._urgent.pop(topic, None)
        if topic in self._to_forget:
            self._to_forget.remove(topic)
            self.forget(topic)
        for on_announced in self._listeners:
            on_announced(device, changed)
        for callback, resource in self._on_done.pop(topic, []):
            callback(resource)
        if not self._pending:
            self._idle.set()


def _loses_components(retained: _RetainedPayload, payload: bytes) -> bool:
    """Return whether a payload is without components of the retained one; it may itself remove some of them."""
    return retained.checksum != hash(payload) and not {*retained.components} <= {*live_components(payload)}


def is_removal(device: DesiredDevice) -> bool:
    """Return whether a device is to be removed."""
    return isinstance(device, DiscoveryMessage) and not device.payload
