"""Removed devices that Home Assistant may not have deleted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coc2mqtt.homeassistant import DiscoveryMessage

if TYPE_CHECKING:
    from coc2mqtt.mqtt.publish.device_announcer import DesiredDevice

# The sensors of 200 clans with 50 members. A device that is built again when needed takes 0.5 kB.
_MAX_REMOVED = 10_000
# A device with its payload takes 20 to 30 kB.
MAX_KEPT_PAYLOADS = 200


class RemovedDevice(NamedTuple):
    """A device as it was before it or some of its components were removed, and the event loop's time of the removal.

    ``background`` is whether it is announced in the background.
    """

    device: DesiredDevice
    at: float
    background: bool


class RemovedDevices:
    """The devices that were removed, or lost components, while Home Assistant may have been offline, by topic.

    There are at most 10,000, of which 200 contain their payload. Beyond that, the oldest ones are forgotten: Home
    Assistant keeps their entities as unavailable until they are deleted by hand.
    """

    def __init__(self) -> None:
        self._rebuilt: dict[str, RemovedDevice] = {}
        self._with_payload: dict[str, RemovedDevice] = {}

    def add(self, topic: str, device: DesiredDevice, at: float, *, background: bool) -> None:
        """Add a device; if it was added before, keep that one, which may have more components."""
        earlier = self._rebuilt.pop(topic, None) or self._with_payload.pop(topic, None)
        removed = RemovedDevice(device if earlier is None else earlier.device, at, background)
        has_payload = isinstance(removed.device, DiscoveryMessage)
        group = self._with_payload if has_payload else self._rebuilt
        group[topic] = removed
        if len(group) > (MAX_KEPT_PAYLOADS if has_payload else _MAX_REMOVED):
            del group[next(iter(group))]

    def forget_until(self, time: float) -> None:
        """Forget the removals until a time of the event loop."""
        for group in (self._rebuilt, self._with_payload):
            for topic in [topic for topic, removed in group.items() if removed.at <= time]:
                del group[topic]

    def take_all(self) -> dict[str, RemovedDevice]:
        """Return all devices, and forget them."""
        taken = {**self._with_payload, **self._rebuilt}
        self._with_payload.clear()
        self._rebuilt.clear()
        return taken
