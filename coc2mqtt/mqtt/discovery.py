"""Discovery for Home Assistant, over our topics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.event import API_EVENTS, CLAN_EVENTS, PLAYER_EVENTS, WAR_EVENTS
from coc2mqtt.events.resource import API, Kind
from coc2mqtt.homeassistant import (
    BridgeTopics,
    ClanTopics,
    ControlTopics,
    DeviceKind,
    DiscoveryMessage,
    PlayerTopics,
    bridge_device,
    clan_device,
    discovery_topic,
    player_device,
    removal,
)
from coc2mqtt.mqtt.payloads import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.event import EventType
    from coc2mqtt.events.watch import Watch
    from coc2mqtt.mqtt.topics import Topics


class Discovery:
    """Builds the announcement of each device of one bridge."""

    def __init__(self, topics: Topics, *, instance: str, version: str, prefix: str) -> None:
        self._topics = topics
        self._instance = instance
        self._version = version
        self._prefix = prefix

    def bridge(self) -> DiscoveryMessage:
        """Return the announcement of the bridge."""
        topics = self._topics
        return bridge_device(
            instance=self._instance,
            version=self._version,
            topics=BridgeTopics(
                state=topics.bridge("state"),
                health=topics.bridge("health"),
                api_status=topics.api_status,
                api_events=topics.events(API.kind, API.tag),
                controls=ControlTopics(
                    bridge_state=topics.bridge("state"),
                    info=topics.bridge("info"),
                    watch=topics.request("watch"),
                    unwatch=topics.request("unwatch"),
                    poll=topics.request("poll"),
                    log_level=topics.request("log_level"),
                ),
            ),
            event_types=_words(API_EVENTS),
            discovery_prefix=self._prefix,
        )

    def clan(self, watch: Watch, name: str | None, *, badge_url: str | None = None) -> DiscoveryMessage:
        """Return the announcement of a clan; its name and its badge are None until they are known."""
        tag = watch.tag
        topics = ClanTopics(
            bridge_state=self._topics.bridge("state"),
            availability=self._topics.state(Kind.CLAN, tag, "availability"),
            poll=self._topics.state(Kind.CLAN, tag, "poll"),
            clan=self._topics.state(Kind.CLAN, tag, "clan"),
            badge=self._topics.state(Kind.CLAN, tag, "badge"),
            war=self._topics.state(Kind.WAR, tag, "war"),
            events=self._topics.events(Kind.CLAN, tag),
            poll_request=self._topics.request("poll"),
        )
        return clan_device(
            instance=self._instance,
            version=self._version,
            tag=tag,
            name=None if name is None else shorten(name),
            topics=topics,
            event_types=_words(CLAN_EVENTS),
            war_event_types=_words(WAR_EVENTS),
            war=watch.war,
            badge_url=badge_url,
            discovery_prefix=self._prefix,
        )

    def player(self, watch: Watch, name: str | None) -> DiscoveryMessage:
        """Return the announcement of a player; ``name`` is None until it is known."""
        tag = watch.tag
        topics = PlayerTopics(
            bridge_state=self._topics.bridge("state"),
            availability=self._topics.state(Kind.PLAYER, tag, "availability"),
            poll=self._topics.state(Kind.PLAYER, tag, "poll"),
            player=self._topics.state(Kind.PLAYER, tag, "player"),
            events=self._topics.events(Kind.PLAYER, tag),
            poll_request=self._topics.request("poll"),
        )
        return player_device(
            instance=self._instance,
            version=self._version,
            tag=tag,
            name=None if name is None else shorten(name),
            topics=topics,
            event_types=_words(PLAYER_EVENTS),
            discovery_prefix=self._prefix,
        )

    def removal(self, kind: Kind, tag: str) -> DiscoveryMessage:
        """Return what takes the device of a clan or a player away."""
        noun: DeviceKind = "player" if kind is Kind.PLAYER else "clan"
        return removal(discovery_topic(self._prefix, self._instance, noun, tag))


def _words(event_types: Iterable[EventType]) -> list[str]:
    return [event_type.value for event_type in event_types]
