"""Publishing the states of clans and players, and keeping track of the published ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.resource import PARTS, owner
from coc2mqtt.mqtt.payloads.state import FACETS
from coc2mqtt.mqtt.publish.retained_publisher import PublishedState

if TYPE_CHECKING:
    from collections.abc import ItemsView, Mapping

    from coc2mqtt.events.resource import Resource
    from coc2mqtt.mqtt.client.connection import Session
    from coc2mqtt.mqtt.payloads.models import Payload
    from coc2mqtt.mqtt.publish.retained_publisher import RetainedPublisher
    from coc2mqtt.mqtt.topics import Topics

# An empty payload deletes the retained message (MQTT 3.1.1, section 3.3.1.3).
_NO_MESSAGE = b""
# Published only when they change: Home Assistant updates every entity of the device for each availability message, and
# loads the picture again for each badge. Players, raid weekends and clan games are also built again when the clan has
# changed.
_ONLY_CHANGES = frozenset({"availability", "badge", "last_war", "player", "raid", "games"})


class StatePublisher:
    """Publishes the facets of each state that are not published yet.

    The published states are those of clans and players; the parts of a clan belong to its state.
    """

    def __init__(self, topics: Topics, publisher: RetainedPublisher) -> None:
        self._topics = topics
        self._publisher = publisher
        self._published: dict[Resource, PublishedState] = {}

    def __contains__(self, resource: Resource) -> bool:
        """Return whether a state of a clan or player is published, or was asked for."""
        return resource in self._published

    def items(self) -> ItemsView[Resource, PublishedState]:
        """Return all clans and players with their published states."""
        return self._published.items()

    def find(self, resource: Resource) -> PublishedState | None:
        """Return the published state to which a resource belongs, None if there is none."""
        return self._published.get(owner(resource))

    def of(self, resource: Resource) -> PublishedState:
        """Return the published state to which a resource belongs, a new one if there is none."""
        return self._published.setdefault(owner(resource), PublishedState())

    def clear(self) -> None:
        """Forget everything that was published."""
        self._published.clear()

    async def publish(self, session: Session, resource: Resource, states: Mapping[str, Payload]) -> bool:
        """Publish the payloads of a resource by facet; return whether the broker accepted all of them."""
        all_accepted = True
        for facet, payload in states.items():
            published = self.of(resource)
            encoded = payload.encode()
            if facet in _ONLY_CHANGES and published.matches(facet, encoded):
                continue
            # Stored before publishing: with MQTT 3.1.1 the message comes back, possibly before its PUBACK.
            published.store(facet, encoded)
            topic = self._topics.state(resource.kind, resource.tag, facet)
            accepted = False
            try:
                accepted = await self._publisher.publish(session, topic, encoded)
            finally:
                if not accepted:
                    published.forget(facet)
            all_accepted = all_accepted and accepted
        return all_accepted

    async def empty(self, session: Session, resource: Resource) -> None:
        """Empty the topics of a resource whose watch was removed."""
        for facet in FACETS[resource.kind]:
            topic = self._topics.state(resource.kind, resource.tag, facet)
            await self._publisher.publish(session, topic, _NO_MESSAGE)
            self._publisher.rejected_topics.forget(topic)
        if resource.kind not in PARTS:
            self._published.pop(resource, None)
        elif (published := self.find(resource)) is not None:
            for facet in FACETS[resource.kind]:
                published.forget(facet)
