"""Discovery for Home Assistant, over our topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.event import CLAN_EVENTS, WAR_EVENTS
from coc2mqtt.events.resource import Kind
from coc2mqtt.homeassistant import (
    BridgeTopics,
    ClanTopics,
    DiscoveryMessage,
    bridge_device,
    clan_device,
    discovery_topic,
    removal,
)
from coc2mqtt.mqtt.payloads import shorten

if TYPE_CHECKING:
    from coc2mqtt.events.watch import Watch
    from coc2mqtt.mqtt.topics import Topics

_CLAN_EVENT_TYPES = [event_type.value for event_type in (*CLAN_EVENTS, *WAR_EVENTS)]


class Discovery:
    """Builds the announcement of each device of one bridge."""

    def __init__(self, topics: Topics, *, instance: str, version: str, prefix: str) -> None:
        self._topics = topics
        self._instance = instance
        self._version = version
        self._prefix = prefix

    def bridge(self) -> DiscoveryMessage:
        """Return the announcement of the bridge."""
        topics = BridgeTopics(state=self._topics.bridge("state"), api_status=self._topics.api_status)
        return bridge_device(
            instance=self._instance, version=self._version, topics=topics, discovery_prefix=self._prefix
        )

    def clan(self, watch: Watch, name: str | None) -> DiscoveryMessage:
        """Return the announcement of a clan; ``name`` is None until it is known."""
        tag = watch.tag
        topics = ClanTopics(
            bridge_state=self._topics.bridge("state"),
            availability=self._topics.state(Kind.CLAN, tag, "availability"),
            clan=self._topics.state(Kind.CLAN, tag, "clan"),
            war=self._topics.state(Kind.WAR, tag, "war"),
            events=self._topics.events(Kind.CLAN, tag),
        )
        return clan_device(
            instance=self._instance,
            version=self._version,
            tag=tag,
            name=None if name is None else shorten(name),
            topics=topics,
            event_types=_CLAN_EVENT_TYPES,
            war=watch.war,
            discovery_prefix=self._prefix,
        )

    def clan_removal(self, tag: str) -> DiscoveryMessage:
        """Return what takes a clan's device away."""
        return removal(discovery_topic(self._prefix, self._instance, "clan", tag))
