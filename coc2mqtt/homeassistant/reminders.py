"""The reminders of a clan in the clan's device, with a discovery payload of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.homeassistant.parts import PartContent

if TYPE_CHECKING:
    from coc2mqtt.homeassistant.parts import PartContext


def reminders_part(part: PartContext) -> PartContent:
    """Return the event entity and the device triggers of a clan's reminders."""
    return PartContent(
        (part.bridge, part.subject),
        {"reminders": part.event("reminders", "Reminders", "mdi:alarm"), **part.triggers()},
    )
