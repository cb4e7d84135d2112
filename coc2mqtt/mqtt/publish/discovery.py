"""Discovery for Home Assistant, over our topics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coc2mqtt.events.event import API_EVENTS, CLAN_EVENTS, PLAYER_EVENTS, WAR_EVENTS
from coc2mqtt.events.resource import API, Kind, Resource
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
    parse_discovery_topic,
    player_device,
    removal,
)
from coc2mqtt.mqtt.payloads.models import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coc2mqtt.events.event import EventType
    from coc2mqtt.events.watch import Watch
    from coc2mqtt.mqtt.topics import Topics


@dataclass(frozen=True, slots=True)
class Announcement:
    """The announcement of a clan or a player, as far as two of them can differ.

    It is some 20 kB and takes half a millisecond to build, so that is done only where it is to be published. What is
    equal has an equal ``payload``.
    """

    topic: str
    tag: str
    name: str | None
    war: bool
    badge_url: str | None
    build: Callable[[Announcement], bytes]

    @property
    def payload(self) -> bytes:
        """The payload to be retained, built anew each time."""
        return self.build(self)


class Discovery:
    """Builds the announcement of each device of one bridge."""

    def __init__(self, topics: Topics, *, instance: str, version: str, prefix: str) -> None:
        self._topics = topics
        self._instance = instance
        self._version = version
        self._prefix = prefix
        # One of each for all announcements.
        self._build_clan, self._build_player = self._clan, self._player

    def device(self, topic: str) -> Resource | None:
        """Return the resource whose device is announced on a topic (the API's: the bridge), None for another one."""
        device = parse_discovery_topic(self._prefix, self._instance, topic)
        if device is None:
            return None
        if device.tag is None:
            return API
        return Resource(Kind.PLAYER if device.kind == "player" else Kind.CLAN, device.tag)

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

    def clan(self, watch: Watch, name: str | None, *, badge_url: str | None = None) -> Announcement:
        """Return the announcement of a clan; its name and its badge are None until they are known."""
        topic = discovery_topic(self._prefix, self._instance, "clan", watch.tag)
        return Announcement(topic, watch.tag, name, watch.war, badge_url, self._build_clan)

    def player(self, watch: Watch, name: str | None) -> Announcement:
        """Return the announcement of a player; ``name`` is None until it is known."""
        topic = discovery_topic(self._prefix, self._instance, "player", watch.tag)
        return Announcement(topic, watch.tag, name, False, None, self._build_player)

    def _clan(self, clan: Announcement) -> bytes:
        tag, name = clan.tag, clan.name
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
            war=clan.war,
            badge_url=clan.badge_url,
            discovery_prefix=self._prefix,
        ).payload

    def _player(self, player: Announcement) -> bytes:
        tag, name = player.tag, player.name
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
        ).payload

    def removal(self, kind: Kind, tag: str) -> DiscoveryMessage:
        """Return what takes the device of a clan or a player away."""
        noun: DeviceKind = "player" if kind is Kind.PLAYER else "clan"
        return removal(discovery_topic(self._prefix, self._instance, noun, tag))


def _words(event_types: Iterable[EventType]) -> list[str]:
    return [event_type.value for event_type in event_types]
