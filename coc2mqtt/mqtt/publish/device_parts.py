"""The parts of clans' and players' devices with discovery payloads of their own.

A new part is one entry here, its name in ``homeassistant/identity.py``, and a module with its components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coc2mqtt.events.event import (
    ACTIVITY_EVENTS,
    CWL_EVENTS,
    GAMES_EVENTS,
    RAID_EVENTS,
    RANKED_EVENTS,
    REMINDER_EVENTS,
)
from coc2mqtt.events.resource import Kind, Resource, owner
from coc2mqtt.homeassistant import activity_part, cwl_part, games_part, raid_part, ranked_part, reminders_part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from coc2mqtt.events.event import EventType
    from coc2mqtt.events.resource import Watch
    from coc2mqtt.homeassistant import AnnouncedPart, PartContent, PartContext, PartName


class DevicePart(NamedTuple):
    """A part of a device: the kind of the resource that it belongs to, the facets that it reads, and its events.

    Each kind has one part at most. The part of ``Kind.CLAN`` is about the clan's members.
    """

    kind: Kind
    facets: tuple[str, ...]
    event_types: tuple[EventType, ...]
    build: Callable[[PartContext], PartContent]

    def is_shown(self, watch: Watch) -> bool:
        """Return whether a watch has this part."""
        return watch.polls(self.kind) and (self.kind is not Kind.CLAN or watch.members)


PARTS: Mapping[PartName, DevicePart] = {
    "cwl": DevicePart(Kind.CWL, ("cwl",), CWL_EVENTS, cwl_part),
    "raid": DevicePart(Kind.RAID, ("raid",), RAID_EVENTS, raid_part),
    "games": DevicePart(Kind.GAMES, ("games",), GAMES_EVENTS, games_part),
    "reminders": DevicePart(Kind.REMINDER, (), REMINDER_EVENTS, reminders_part),
    "activity": DevicePart(Kind.CLAN, ("clan", "members"), ACTIVITY_EVENTS, activity_part),
    "ranked": DevicePart(Kind.RANKED, ("ranked",), RANKED_EVENTS, ranked_part),
}
PART_OF_KIND: Mapping[Kind, PartName] = {part.kind: name for name, part in PARTS.items()}


def part_resource(part: AnnouncedPart) -> Resource:
    """Return the resource that a part belongs to."""
    return Resource(PARTS[part.part].kind, part.tag)


def parts_of(resource: Resource) -> list[Resource]:
    """Return the resources of the parts that the device of a clan or player may have."""
    parts = (Resource(part.kind, resource.tag) for part in PARTS.values())
    return [part for part in parts if owner(part) == resource]
