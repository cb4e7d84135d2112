"""The frame of the parts of a clan's or player's device that have discovery payloads of their own.

Together with them, the payload of a clan would be too large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from coc2mqtt.homeassistant.discovery import DeviceDiscovery, DiscoveryMessage, known, online, origin
from coc2mqtt.homeassistant.entities import EntityFactory, event_entity, triggers
from coc2mqtt.homeassistant.identity import DISCOVERY_PREFIX, Identity, part_device, part_topic
from coc2mqtt.homeassistant.watched import watched_device
from coc2mqtt.translations import ENGLISH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from coc2mqtt.homeassistant.components import Availability, Component, Event
    from coc2mqtt.homeassistant.identity import PartName
    from coc2mqtt.translations import Language


@dataclass(frozen=True, slots=True)
class PartTopics:
    """The retained states that the entities of a part read, by facet, and the filter of the clan's or player's events.

    ``availability`` is the topic of the clan or player.
    """

    bridge_state: str
    availability: str
    states: Mapping[str, str]
    events: str


class PartContent(NamedTuple):
    """The components of a part, and the availability of those that do not override it."""

    availability: tuple[Availability, ...]
    components: dict[str, Component]


@dataclass(frozen=True, slots=True)
class PartContext:
    """The inputs of the components of a part; ``standings`` is an option of a clan war league."""

    identity: Identity
    topics: PartTopics
    event_types: Sequence[str]
    standings: bool
    language: Language

    @property
    def bridge(self) -> Availability:
        """The availability of the bridge."""
        return online(self.topics.bridge_state)

    @property
    def subject(self) -> Availability:
        """The availability of the clan or player."""
        return online(self.topics.availability)

    def known(self, facet: str, *path: str) -> tuple[Availability, ...]:
        """Return the availability of entities that need a value in the state of a facet."""
        return (self.bridge, self.subject, known(self.topics.states[facet], *path))

    def entity(self, facet: str, availability: tuple[Availability, ...] | None = None) -> EntityFactory:
        """Return the factory of entities that read the state of a facet; None is the availability of the part."""
        return EntityFactory(self.identity, self.topics.states[facet], availability=availability)

    def event(self, key: str, name: str, icon: str) -> Event:
        """Return the event entity of the part."""
        return event_entity(
            self.identity,
            key,
            name=name,
            icon=icon,
            topic=self.topics.events,
            event_types=self.event_types,
            # Shows its last event even if the clan or player has become unavailable.
            availability=(self.bridge,),
        )

    def triggers(self) -> dict[str, Component]:
        """Return the device triggers of the part."""
        return {**triggers(self.topics.events, self.event_types)}


def part_message(
    part: PartName,
    build: Callable[[PartContext], PartContent],
    *,
    instance: str,
    version: str,
    tag: str,
    name: str | None,
    topics: PartTopics,
    event_types: Sequence[str],
    standings: bool = False,
    discovery_prefix: str = DISCOVERY_PREFIX,
    language: Language = ENGLISH,
) -> DiscoveryMessage:
    """Return the discovery message of a part, whose content ``build`` returns.

    ``tag`` is normalised. ``name`` is that of the clan or player, None until it is known.
    """
    kind = part_device(part)
    identity = Identity.of_watched(instance, kind, tag)
    content = build(PartContext(identity, topics, event_types, standings, language))
    payload = DeviceDiscovery(
        device=watched_device(identity, instance, kind, tag=tag, name=name),
        origin=origin(version),
        availability=content.availability,
        components=content.components,
    )
    return DiscoveryMessage(part_topic(discovery_prefix, instance, tag, part), payload.translate(language).encode())
