"""The Home Assistant devices of a bridge: which topics they use and when their discovery payloads differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from coc2mqtt.events.event import API_EVENTS, CLAN_EVENTS, PLAYER_EVENTS, WAR_EVENTS
from coc2mqtt.events.resource import API, Kind, Resource, owner
from coc2mqtt.homeassistant import (
    BridgeTopics,
    ClanTopics,
    ControlTopics,
    DiscoveryMessage,
    MemberTopics,
    PartTopics,
    PlayerTopics,
    bridge_device,
    clan_device,
    discovery_topic,
    live_components,
    member_sensor,
    member_topic,
    parse_discovery_topic,
    parse_member_topic,
    parse_part_topic,
    part_message,
    part_topic,
    player_device,
    removal,
)
from coc2mqtt.mqtt.publish.device_parts import PART_OF_KIND, PARTS, part_resource
from coc2mqtt.translations import ENGLISH
from coc2mqtt.util.text import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.event import EventType
    from coc2mqtt.events.resource import Watch
    from coc2mqtt.homeassistant import PartName
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.translations import Language


@dataclass(frozen=True, slots=True)
class Announcement:
    """A clan or player device to announce: everything that its discovery payload depends on.

    The payload has 20 to 30 kB and takes half a millisecond to build, so it is built only to be published. Equal
    announcements have equal payloads.
    """

    discovery: Discovery
    kind: Literal["clan", "player"]
    tag: str
    name: str | None
    war: bool = False
    badge_url: str | None = None

    @property
    def topic(self) -> str:
        """The discovery topic."""
        return self.discovery.topic(self.kind, self.tag)

    @property
    def payload(self) -> bytes:
        """The discovery payload, built on each access."""
        return self.discovery.payload(self)


@dataclass(frozen=True, slots=True)
class PartAnnouncement:
    """A part of a device to announce: everything that its discovery payload depends on.

    ``tag`` and ``name`` are those of the clan or player.
    """

    discovery: Discovery
    part: PartName
    tag: str
    name: str | None
    standings: bool = False

    @property
    def resource(self) -> Resource:
        """The resource that the part belongs to."""
        return Resource(PARTS[self.part].kind, self.tag)

    @property
    def topic(self) -> str:
        """The discovery topic."""
        return self.discovery.part_topic(self.resource)

    @property
    def payload(self) -> bytes:
        """The discovery payload, built on each access."""
        return self.discovery.part_payload(self)


@dataclass(frozen=True, slots=True)
class MemberAnnouncement:
    """A sensor of a clan's member to announce: everything that its discovery payload depends on."""

    discovery: Discovery
    clan: str
    clan_name: str | None
    tag: str
    name: str | None

    @property
    def topic(self) -> str:
        """The discovery topic."""
        return self.discovery.member_topic(self.clan, self.tag)

    @property
    def payload(self) -> bytes:
        """The discovery payload, built on each access."""
        return self.discovery.member_payload(self)


class Discovery:
    """Builds the discovery payloads of the devices of one bridge.

    ``member_sensors`` is whether each member of a clan gets a sensor, ``calendar`` whether the game's calendar is
    watched.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        instance: str,
        version: str,
        prefix: str,
        member_sensors: bool = False,
        calendar: bool = True,
        language: Language = ENGLISH,
    ) -> None:
        self.member_sensors = member_sensors
        self._calendar = calendar
        self._topics = topics
        self._instance = instance
        self._version = version
        self._prefix = prefix
        self._language = language
        # By the device or part, and whether its optional components are announced; None is the bridge.
        self._platforms: dict[tuple[Kind | PartName, bool] | None, dict[str, str]] = {}

    def topic(self, kind: Literal["clan", "player"], tag: str) -> str:
        """Return the discovery topic of a clan or player."""
        return discovery_topic(self._prefix, self._instance, kind, tag)

    def member_topic(self, clan: str, tag: str) -> str:
        """Return the discovery topic of a member's sensor."""
        return member_topic(self._prefix, self._instance, clan, tag)

    def part_topic(self, part: Resource) -> str:
        """Return the discovery topic of the part of a device that belongs to a resource."""
        return part_topic(self._prefix, self._instance, part.tag, PART_OF_KIND[part.kind])

    def device_topic(self, kind: Kind, tag: str) -> str:
        """Return the discovery topic of the device that shows a player, a clan or a part of them."""
        return self.topic("player" if owner(Resource(kind, tag)).kind is Kind.PLAYER else "clan", tag)

    def device(self, topic: str) -> Resource | None:
        """Return the resource whose device, or part of it, is announced on a topic, None for any other topic.

        The bridge's device belongs to the API.
        """
        device = parse_discovery_topic(self._prefix, self._instance, topic)
        if device is None:
            if (part := self.part(topic)) is not None:
                return owner(part)
            member = parse_member_topic(self._prefix, self._instance, topic)
            return None if member is None else Resource(Kind.CLAN, member.clan)
        if device.tag is None:
            return API
        return Resource(Kind.PLAYER if device.kind == "player" else Kind.CLAN, device.tag)

    def part(self, topic: str) -> Resource | None:
        """Return the resource whose part of a device is announced on a topic, None for any other topic.

        That of the activity of a clan's members is the clan.
        """
        found = parse_part_topic(self._prefix, self._instance, topic)
        return None if found is None else part_resource(found)

    def bridge(self) -> DiscoveryMessage:
        """Return the discovery message of the bridge."""
        topics = self._topics
        return bridge_device(
            instance=self._instance,
            version=self._version,
            topics=BridgeTopics(
                state=topics.bridge("state"),
                health=topics.bridge("health"),
                api_status=topics.api_status,
                api_events=topics.events(API.kind, API.tag),
                calendar=topics.api_calendar if self._calendar else None,
                controls=ControlTopics(
                    last_command=topics.bridge("last_command"),
                    info=topics.bridge("info"),
                    watch=topics.request("watch"),
                    unwatch=topics.request("unwatch"),
                    poll=topics.request("poll"),
                    log_level=topics.request("log_level"),
                ),
            ),
            event_types=_values(API_EVENTS),
            discovery_prefix=self._prefix,
            language=self._language,
        )

    def clan(self, watch: Watch, name: str | None, *, badge_url: str | None = None) -> Announcement:
        """Return the announcement of a clan; ``name`` and ``badge_url`` are None until they are known."""
        return Announcement(self, "clan", watch.tag, name, watch.war, badge_url)

    def player(self, watch: Watch, name: str | None) -> Announcement:
        """Return the announcement of a player; ``name`` is None until it is known."""
        return Announcement(self, "player", watch.tag, name)

    def parts(self, watch: Watch, name: str | None) -> list[PartAnnouncement]:
        """Return the announcements of the parts of a clan or player that are watched."""
        return [
            PartAnnouncement(self, part, watch.tag, name, part == "cwl" and watch.cwl_standings)
            for part, about in PARTS.items()
            if about.is_shown(watch)
        ]

    def part_removal(self, part: Resource) -> DiscoveryMessage:
        """Return the message that removes the part of a device that belongs to a resource."""
        return removal(self.part_topic(part))

    def removal(self, kind: Kind, tag: str) -> DiscoveryMessage:
        """Return the message that removes the device of a clan or player."""
        return removal(self.device_topic(kind, tag))

    def member(self, clan: str, clan_name: str | None, *, tag: str, name: str | None) -> MemberAnnouncement:
        """Return the announcement of the sensor of a clan's member."""
        return MemberAnnouncement(self, clan, clan_name, tag, name)

    def member_removal(self, clan: str, tag: str) -> DiscoveryMessage:
        """Return the message that removes the sensor of a clan's member."""
        return removal(self.member_topic(clan, tag))

    def platforms(self, watch: Watch | None, topic: str) -> dict[str, str]:
        """Return the platform of each component on a discovery topic of a watch, or of the bridge for None.

        Those that the payload removes are not among them. It is empty for a part that is not watched.
        """
        found = parse_part_topic(self._prefix, self._instance, topic)
        key: tuple[Kind | PartName, bool] | None = None
        if found is not None:
            if watch is None or not PARTS[found.part].is_shown(watch):
                return {}
            key = (found.part, watch.cwl_standings)
        elif watch is not None:
            key = (watch.kind, watch.war)
        # All devices of a kind have the same components.
        if key not in self._platforms:
            self._platforms[key] = dict(live_components(self._wanted(watch, topic).payload))
        return self._platforms[key]

    def _wanted(self, watch: Watch | None, topic: str) -> DiscoveryMessage | Announcement | PartAnnouncement:
        if watch is None:
            return self.bridge()
        device = self.player(watch, None) if watch.kind is Kind.PLAYER else self.clan(watch, None)
        return next((part for part in self.parts(watch, None) if part.topic == topic), device)

    def payload(self, announcement: Announcement) -> bytes:
        """Return the discovery payload of a clan or player."""
        return self._clan_payload(announcement) if announcement.kind == "clan" else self._player_payload(announcement)

    def _clan_payload(self, clan: Announcement) -> bytes:
        tag, name = clan.tag, clan.name
        topics = ClanTopics(
            bridge_state=self._topics.bridge("state"),
            availability=self._topics.state(Kind.CLAN, tag, "availability"),
            poll=self._topics.state(Kind.CLAN, tag, "poll"),
            clan=self._topics.state(Kind.CLAN, tag, "clan"),
            members=self._topics.state(Kind.CLAN, tag, "members"),
            badge=self._topics.state(Kind.CLAN, tag, "badge"),
            war=self._topics.state(Kind.WAR, tag, "war"),
            last_war=self._topics.state(Kind.WAR, tag, "last_war"),
            events=self._topics.events(Kind.CLAN, tag),
            poll_request=self._topics.request("poll"),
        )
        return clan_device(
            instance=self._instance,
            version=self._version,
            tag=tag,
            name=None if name is None else shorten(name),
            topics=topics,
            event_types=_values(CLAN_EVENTS),
            war_event_types=_values(WAR_EVENTS),
            war=clan.war,
            badge_url=clan.badge_url,
            discovery_prefix=self._prefix,
            language=self._language,
        ).payload

    def part_payload(self, announced: PartAnnouncement) -> bytes:
        """Return the discovery payload of a part of a device."""
        part, (kind, tag) = PARTS[announced.part], owner(announced.resource)
        return part_message(
            announced.part,
            part.build,
            instance=self._instance,
            version=self._version,
            tag=tag,
            name=None if announced.name is None else shorten(announced.name),
            topics=PartTopics(
                bridge_state=self._topics.bridge("state"),
                availability=self._topics.state(kind, tag, "availability"),
                states={facet: self._topics.state(part.kind, tag, facet) for facet in part.facets},
                events=self._topics.events(kind, tag),
            ),
            event_types=_values(part.event_types),
            standings=announced.standings,
            discovery_prefix=self._prefix,
            language=self._language,
        ).payload

    def member_payload(self, member: MemberAnnouncement) -> bytes:
        """Return the discovery payload of a member's sensor."""
        clan = member.clan
        return member_sensor(
            instance=self._instance,
            version=self._version,
            clan_tag=clan,
            clan_name=None if member.clan_name is None else shorten(member.clan_name),
            tag=member.tag,
            name=member.name,
            topics=MemberTopics(
                bridge_state=self._topics.bridge("state"),
                availability=self._topics.state(Kind.CLAN, clan, "availability"),
                members=self._topics.state(Kind.CLAN, clan, "members"),
            ),
            discovery_prefix=self._prefix,
            language=self._language,
        ).payload

    def _player_payload(self, player: Announcement) -> bytes:
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
            event_types=_values(PLAYER_EVENTS),
            discovery_prefix=self._prefix,
            language=self._language,
        ).payload


def _values(event_types: Iterable[EventType]) -> list[str]:
    return [event_type.value for event_type in event_types]
