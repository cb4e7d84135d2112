"""The Home Assistant devices of a bridge: which topics they use and when their discovery payloads differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import orjson

from coc2mqtt.events.event import API_EVENTS, CLAN_EVENTS, CWL_EVENTS, PLAYER_EVENTS, RAID_EVENTS, WAR_EVENTS
from coc2mqtt.events.resource import API, Kind, Resource
from coc2mqtt.homeassistant import (
    BridgeTopics,
    ClanTopics,
    ControlTopics,
    CwlTopics,
    DiscoveryMessage,
    MemberTopics,
    PlayerTopics,
    RaidTopics,
    bridge_device,
    clan_device,
    cwl_part,
    discovery_topic,
    member_sensor,
    member_topic,
    parse_discovery_topic,
    parse_member_topic,
    parse_part_topic,
    part_topic,
    player_device,
    raid_part,
    removal,
)
from coc2mqtt.translations import ENGLISH
from coc2mqtt.util.text import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.event import EventType
    from coc2mqtt.events.resource import Watch
    from coc2mqtt.homeassistant import ClanPart
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.translations import Language

# The parts of a clan with discovery payloads of their own.
PARTS: dict[Kind, ClanPart] = {Kind.CWL: "cwl", Kind.RAID: "raid"}


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
    """A clan war league or a raid weekend to announce: everything that its discovery payload depends on."""

    discovery: Discovery
    kind: Kind
    clan: str
    clan_name: str | None
    standings: bool = False

    @property
    def topic(self) -> str:
        """The discovery topic."""
        return self.discovery.part_topic(Resource(self.kind, self.clan))

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

    ``member_sensors`` is whether each member of a clan gets a sensor.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        instance: str,
        version: str,
        prefix: str,
        member_sensors: bool = False,
        language: Language = ENGLISH,
    ) -> None:
        self.member_sensors = member_sensors
        self._topics = topics
        self._instance = instance
        self._version = version
        self._prefix = prefix
        self._language = language
        # By the kind of the device or part, and whether its optional components are announced; None is the bridge.
        self._platforms: dict[tuple[Kind, bool] | None, dict[str, str]] = {}

    def topic(self, kind: Literal["clan", "player"], tag: str) -> str:
        """Return the discovery topic of a clan or player."""
        return discovery_topic(self._prefix, self._instance, kind, tag)

    def member_topic(self, clan: str, tag: str) -> str:
        """Return the discovery topic of a member's sensor."""
        return member_topic(self._prefix, self._instance, clan, tag)

    def part_topic(self, part: Resource) -> str:
        """Return the discovery topic of a clan's clan war league or raid weekends."""
        return part_topic(self._prefix, self._instance, part.tag, PARTS[part.kind])

    def device_topic(self, kind: Kind, tag: str) -> str:
        """Return the discovery topic of the device that shows a player, a clan or a part of a clan."""
        return self.topic("player" if kind is Kind.PLAYER else "clan", tag)

    def device(self, topic: str) -> Resource | None:
        """Return the resource whose device, or part of it, is announced on a topic, None for any other topic.

        The bridge's device belongs to the API.
        """
        device = parse_discovery_topic(self._prefix, self._instance, topic)
        if device is None:
            part = parse_part_topic(self._prefix, self._instance, topic)
            found = part or parse_member_topic(self._prefix, self._instance, topic)
            return None if found is None else Resource(Kind.CLAN, found.clan)
        if device.tag is None:
            return API
        return Resource(Kind.PLAYER if device.kind == "player" else Kind.CLAN, device.tag)

    def part(self, topic: str) -> Resource | None:
        """Return the part of a clan that is announced on a topic of its own, None for any other topic."""
        part = parse_part_topic(self._prefix, self._instance, topic)
        kinds = {name: kind for kind, name in PARTS.items()}
        return None if part is None else Resource(kinds[part.part], part.clan)

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
        """Return the announcements of the parts of a clan that are watched."""
        return [
            PartAnnouncement(self, kind, watch.tag, name, kind is Kind.CWL and watch.cwl_standings)
            for kind in PARTS
            if watch.polls(kind)
        ]

    def part_removal(self, part: Resource) -> DiscoveryMessage:
        """Return the message that removes a part of a clan's device."""
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

        It is empty for a part that is not watched.
        """
        part = self.part(topic)
        if watch is None:
            key = None
        elif part is None:
            key = (watch.kind, watch.war)
        else:
            key = (part.kind, watch.cwl_standings)
        if part is not None and (watch is None or not watch.polls(part.kind)):
            return {}
        # All devices of a kind have the same components.
        if key not in self._platforms:
            components = orjson.loads(self._wanted(watch, topic).payload)["components"]
            self._platforms[key] = {name: component["platform"] for name, component in components.items()}
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

    def part_payload(self, part: PartAnnouncement) -> bytes:
        """Return the discovery payload of a clan war league or of raid weekends."""
        tag, name = part.clan, None if part.clan_name is None else shorten(part.clan_name)
        bridge_state, events = self._topics.bridge("state"), self._topics.events(Kind.CLAN, tag)
        availability = self._topics.state(Kind.CLAN, tag, "availability")
        state = self._topics.state(part.kind, tag, PARTS[part.kind])
        if part.kind is Kind.CWL:
            return cwl_part(
                instance=self._instance,
                version=self._version,
                tag=tag,
                name=name,
                topics=CwlTopics(bridge_state, availability, state, events),
                event_types=_values(CWL_EVENTS),
                standings=part.standings,
                discovery_prefix=self._prefix,
                language=self._language,
            ).payload
        return raid_part(
            instance=self._instance,
            version=self._version,
            tag=tag,
            name=name,
            topics=RaidTopics(bridge_state, availability, state, events),
            event_types=_values(RAID_EVENTS),
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
