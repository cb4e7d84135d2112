"""Announcing devices to Home Assistant: one after another, and none twice in a moment."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never, Protocol, TypeAlias

from coc2mqtt.homeassistant import DiscoveryMessage, next_step
from coc2mqtt.mqtt.publish.packing import Packer
from coc2mqtt.util.containment import propagate, retry_delay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.events.resource import Resource
    from coc2mqtt.mqtt.client.connection import Session
    from coc2mqtt.util.containment import Contain

# Home Assistant can skip components of a device that is announced twice within a second.
GAP = 2.0
# So that dozens of devices do not come upon it all at once: seconds from one to the next.
PACE = 0.1
# So many devices that went while Home Assistant may have been away are remembered.
_BURIED = 200
# So long (seconds) it takes Home Assistant at most from the last message that it heeds to its last will.
_CLOSING = 60.0

_NOTHING = b""

# Publishes a retained message over a session, and returns whether it was taken.
Say: TypeAlias = "Callable[[Session, str, bytes], Awaitable[bool]]"


class DesiredDevice(Protocol):
    """A device as it is to be announced; what is equal has an equal payload, which may be costly to ask for."""

    @property
    def topic(self) -> str:
        """Where it is retained."""

    @property
    def payload(self) -> bytes:
        """What is retained; empty removes the device."""

    def __hash__(self) -> int: ...


@dataclass(slots=True)
class _Device:
    """What was said of a device; None is unknown, empty is no device.

    ``told`` is a checksum of the wish that Home Assistant was told since its birth, ``retained`` what the broker
    retains, packed, ``said_at`` the event loop's time.
    """

    told: int | None = None
    retained: bytes | None = None
    said_at: float | None = None


class DeviceAnnouncer:
    """Has the broker retain of each device what was last asked for.

    What is asked for is only noted, and said over the next connection if there is none now. A device is published at
    most every ``gap`` seconds, one device ``pace`` seconds after the other. ``announced`` is called with what was said
    last of a device, when all of it is said.

    What Home Assistant is not there to see removed it keeps in its registry for ever, unless it sees it once more and
    then removed: so what went while it may have been away is announced and removed again when it is born.

    ``contain`` guards each announcement: after a bug, that device waits for 1 to 60 s and the others go on.
    """

    def __init__(self, say: Say, *, gap: float = GAP, pace: float = PACE, contain: Contain = propagate) -> None:
        self._say = say
        self._contain = contain
        # How often in a row a bug kept a device from being announced.
        self._bugs: dict[str, int] = {}
        self.announced: Callable[[DesiredDevice], None] = lambda _: None
        self._gap = gap
        self._pace = pace
        self._devices: dict[str, _Device] = {}
        self._packer = Packer()
        self._wanted: dict[str, DesiredDevice] = {}
        self._when_done: dict[str, list[tuple[Callable[[Resource], None], Resource]]] = {}
        self._home_assistant_is_there = False
        # Packed: what went, with the time, and what of it is to be shown once more.
        self._buried: dict[str, tuple[bytes, float]] = {}
        self._owed: dict[str, bytes] = {}
        # What the broker did not take.
        self._refused: dict[str, DesiredDevice] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def announce(self, wish: DesiredDevice) -> None:
        """Have a device announced as it is now, or removed; nothing happens where just that was said last."""
        topic = wish.topic
        device = self._devices.get(topic)
        if device is None:
            device = self._devices[topic] = _Device()
        is_said = device.told == hash(wish) or (device.retained == _NOTHING and _is_removal(wish))
        if not is_said or self._wanted.get(topic, wish) != wish:
            self._want(topic, wish)

    def is_busy(self, topic: str) -> bool:
        """Return whether there is something left to say of a device."""
        return topic in self._wanted

    def when_done(self, topic: str, callback: Callable[[Resource], None], resource: Resource) -> None:
        """Call back with a resource once all is said of a device that is busy; the same callback comes once."""
        waiting = self._when_done.setdefault(topic, [])
        if (callback, resource) not in waiting:
            waiting.append((callback, resource))

    def forget(self, topic: str) -> None:
        """Forget a device that was removed, after the time that it would have to wait if it came back."""
        asyncio.get_running_loop().call_later(self._gap, self._drop, topic)

    def connected(self) -> None:
        """Take note of a new connection: all is to be said again, and whether Home Assistant is there is unknown."""
        self._forget_what_was_seen()
        self._home_assistant_is_there = False
        self._refused.clear()
        self._again()

    def found(self, topic: str, payload: bytes) -> None:
        """Take note of what the broker retains of a device of ours; what was said meanwhile is newer."""
        device = self._devices.setdefault(topic, _Device())
        if device.retained is None:
            device.retained = self._packer.pack(payload)

    def recognizes(self, topic: str, payload: bytes) -> bool | None:
        """Return whether a payload is what was published of a device, None where none was announced."""
        device = self._devices.get(topic)
        if device is None or not device.retained:
            return None
        return self._packer.unpack(device.retained) == payload

    def distrust(self, topic: str | None = None) -> None:
        """Have a device, or every one, published again when it is next announced as it is."""
        for device in self._devices.values() if topic is None else filter(None, [self._devices.get(topic)]):
            device.told = None

    def born(self) -> None:
        """Take note that Home Assistant has just started: it wants to be told everything again."""
        self._forget_what_was_seen()
        self._home_assistant_is_there = True
        self._again()
        self._owed |= {topic: packed for topic, (packed, _) in self._buried.items()}
        self._buried.clear()
        for topic in self._owed:
            device = self._devices.setdefault(topic, _Device(retained=_NOTHING))
            retained = self._packer.unpack(device.retained or _NOTHING)
            self._want(topic, self._wanted.get(topic, DiscoveryMessage(topic, retained)))

    def died(self) -> None:
        """Take note that Home Assistant has gone."""
        self._forget_what_was_seen()
        self._home_assistant_is_there = False

    def say_refused_again(self) -> None:
        """Have all announced once more that the broker did not take."""
        refused, self._refused = self._refused, {}
        for topic, wish in refused.items():
            if topic in self._devices and topic not in self._wanted:
                self._want(topic, wish)

    async def idle(self) -> None:
        """Wait until all is said."""
        await self._idle.wait()

    async def run(self, session: Session) -> Never:
        """Say over one connection what is asked for, until cancelled."""
        while True:
            topic = await self._due()
            with self._contain("announcement", topic=topic):
                await self._announce(session, topic)
                self._bugs.pop(topic, None)
                continue
            self._put_off(topic)

    async def _announce(self, session: Session, topic: str) -> None:
        device, wanted = self._devices[topic], self._wanted[topic]
        goal, old = wanted.payload, self._owed.pop(topic, None)
        payload = self._step(topic, device, goal) if old is None else self._packer.unpack(old)
        before, is_all = device.retained, payload in (None, goal)
        # Noted before it is said: what is to be announced again meanwhile must not be taken for done.
        device.told = hash(wanted) if is_all else None
        device.retained = self._packer.pack(payload or _NOTHING)
        if payload is not None:
            device.said_at = asyncio.get_running_loop().time()
            try:
                if await self._say(session, topic, payload):
                    self._refused.pop(topic, None)
                else:
                    device.told = None  # the next time that it is asked for, it is tried again
                    self._refused[topic] = wanted
            except BaseException:
                device.told, device.retained = None, before
                if old is not None:
                    self._owed[topic] = old
                raise
        if self._wanted[topic] is wanted and is_all and topic not in self._owed:
            self._done(topic)
        if payload is not None:
            await asyncio.sleep(self._pace)

    def _put_off(self, topic: str) -> None:
        self._bugs[topic] = failures = self._bugs.get(topic, 0) + 1
        if (device := self._devices.get(topic)) is not None:
            # As if it had been announced so that it may be again after the delay.
            device.said_at = asyncio.get_running_loop().time() + retry_delay(failures) - self._gap

    def _again(self) -> None:
        for device in self._devices.values():
            device.told = None

    def _drop(self, topic: str) -> None:
        if topic not in self._wanted and (device := self._devices.get(topic)) and device.retained == _NOTHING:
            del self._devices[topic]

    def _want(self, topic: str, wish: DesiredDevice) -> None:
        self._wanted[topic] = wish
        self._idle.clear()
        self._wake.set()

    async def _due(self) -> str:
        """Wait for the first device that may be announced now."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now, soonest = loop.time(), None
            for topic in self._wanted:
                said_at = self._devices[topic].said_at
                if said_at is None or said_at + self._gap <= now:
                    return topic
                soonest = min(said_at + self._gap, soonest or said_at + self._gap)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(soonest):
                    await self._wake.wait()

    def _step(self, topic: str, device: _Device, wanted: bytes) -> bytes | None:
        """Return what to say next of a device, None where there is nothing to say."""
        if wanted == device.retained == _NOTHING:
            return None  # Home Assistant warns of the removal of a device that it does not know
        step = next_step(None if device.retained is None else self._packer.unpack(device.retained), wanted)
        if device.retained and (not wanted or step != wanted):
            before, _ = self._buried.pop(topic, (device.retained, None))
            self._buried[topic] = before, asyncio.get_running_loop().time()
            if len(self._buried) > _BURIED:
                del self._buried[next(iter(self._buried))]
        return step

    def _forget_what_was_seen(self) -> None:
        """Forget what went while Home Assistant was there; the last of it may have come when it was closing down."""
        if self._home_assistant_is_there:
            long_ago = asyncio.get_running_loop().time() - _CLOSING
            self._buried = {topic: (packed, at) for topic, (packed, at) in self._buried.items() if at > long_ago}

    def _done(self, topic: str) -> None:
        self.announced(self._wanted.pop(topic))
        for callback, resource in self._when_done.pop(topic, []):
            callback(resource)
        if not self._wanted:
            self._idle.set()


def _is_removal(wish: DesiredDevice) -> bool:
    return isinstance(wish, DiscoveryMessage) and not wish.payload
