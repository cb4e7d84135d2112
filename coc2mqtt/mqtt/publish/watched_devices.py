"""Announcing and removing the devices of the watched clans and players, and the sensors of the clans' members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.homeassistant import is_member_tag
from coc2mqtt.mqtt.payloads.members import MembersPayload
from coc2mqtt.mqtt.payloads.models import ClanPayload
from coc2mqtt.mqtt.publish.device_parts import PART_OF_KIND, PARTS, parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coc2mqtt.events.resource import Watch
    from coc2mqtt.homeassistant import DiscoveryMessage
    from coc2mqtt.mqtt.payloads.models import Payload
    from coc2mqtt.mqtt.publish.device_announcer import DeviceAnnouncer
    from coc2mqtt.mqtt.publish.discovery import Discovery


class WatchedDevices:
    """Asks the announcer for the devices of the watches.

    Some parts of a device, such as the clan war league of a clan, have discovery topics of their own. With
    ``discovery.member_sensors``, it also keeps the sensors of each clan equal to its members, of whom there are at most
    50. Each of these sensors has a discovery topic of its own, too.
    """

    def __init__(self, discovery: Discovery, announcer: DeviceAnnouncer) -> None:
        self._discovery = discovery
        self._announcer = announcer
        # By clan: the tags of the members with a retained discovery payload, and their names, None if unknown.
        self._members: dict[str, dict[str, str | None]] = {}
        # The resources of the parts with a retained discovery payload; that of the members' activity is the clan.
        self._parts: set[Resource] = set()

    def announce(self, watch: Watch, name: str | None, states: Mapping[str, Payload]) -> None:
        """Announce the device of a clan or player.

        ``name`` is None if it is unknown. ``states`` are the payloads by facet; a missing one is unchanged.
        """
        if watch.kind is Kind.PLAYER:
            self._announcer.announce(self._discovery.player(watch, name))
            self._announce_parts(watch, name)
            return
        clan, members = states.get("clan"), states.get("members")
        badge_url = clan.badge_url if isinstance(clan, ClanPayload) else None
        self._announcer.announce(self._discovery.clan(watch, name, badge_url=badge_url))
        self._announce_parts(watch, name)
        if self._discovery.member_sensors:
            self._announce_members(watch.tag, name, members if isinstance(members, MembersPayload) else None)

    def has_part(self, part: Resource) -> bool:
        """Return whether the part of a device that belongs to a resource was announced, by this or an earlier run."""
        return part in self._parts

    def on_found_part(self, part: Resource) -> None:
        """Handle a part of a device that an earlier run has announced."""
        self._parts.add(part)

    def on_found_member(self, clan: str, tag: str, payload: bytes) -> None:
        """Handle the discovery payload of a member's sensor that the broker retains from an earlier run."""
        sensor = self._discovery.member(clan, None, tag=tag, name=None)
        self._announcer.on_found(sensor.topic, payload, source=sensor)
        if self._discovery.member_sensors:
            self._members.setdefault(clan, {})[tag] = None
        else:
            self._remove_member(clan, tag)

    def remove(self, resource: Resource, *, may_exist: bool) -> str | None:
        """Remove the device of a clan or player, or a part of it with a discovery topic of its own.

        Return a discovery topic that still has to be published, if any. The entities of a war are removed with a new
        payload of its clan. ``may_exist`` tells whether an earlier run may have announced a part that was not found.
        """
        removals = self._removals(resource, may_exist=may_exist)
        if resource.kind is not Kind.WAR:
            for removal in removals:
                self._announcer.announce(removal)
        topics = (self._discovery.device_topic(resource.kind, resource.tag), *(one.topic for one in removals))
        return next(filter(self._announcer.is_pending, topics), None)

    def forget(self, resource: Resource) -> None:
        """Forget the removed device of a clan or player, or a removed part."""
        for removal in self._removals(resource, may_exist=True):
            # The parts are forgotten after the clan or player, one by one.
            if self._discovery.part(removal.topic) in {None, resource}:
                self._announcer.forget(removal.topic)
        self._parts.discard(resource)
        if resource.kind is Kind.CLAN:
            self._members.pop(resource.tag, None)

    def _announce_parts(self, watch: Watch, name: str | None) -> None:
        for part in self._discovery.parts(watch, name):
            self._parts.add(part.resource)
            # In the background: a part must not delay the devices of other clans.
            self._announcer.announce(part, background=True)
        # The parts with a resource of their own are removed with it.
        own = Resource(watch.kind, watch.tag)
        if own in self._parts and not PARTS[PART_OF_KIND[own.kind]].is_shown(watch):
            removal = self._discovery.part_removal(own)
            self._announcer.announce(removal, background=True)
            self._announcer.forget(removal.topic)
            self._parts.discard(own)

    def _announce_members(self, clan: str, clan_name: str | None, members: MembersPayload | None) -> None:
        names = self._members.get(clan, {})
        if members is not None:
            if members.members is None:
                return  # unknown
            before = names
            names = {member.tag: member.name for member in members.members if member.tag and is_member_tag(member.tag)}
            for tag in sorted(before.keys() - names.keys()):
                self._remove_member(clan, tag)
            self._members[clan] = names
        for tag, name in names.items():
            # In the background: the fifty sensors of a clan must not delay the devices of other clans.
            self._announcer.announce(self._discovery.member(clan, clan_name, tag=tag, name=name), background=True)

    def _remove_member(self, clan: str, tag: str) -> None:
        removal = self._discovery.member_removal(clan, tag)
        self._announcer.announce(removal, background=True)
        self._announcer.forget(removal.topic)

    def _removals(self, resource: Resource, *, may_exist: bool) -> list[DiscoveryMessage]:
        discovery, tag = self._discovery, resource.tag
        if resource.kind not in (Kind.CLAN, Kind.PLAYER, Kind.WAR):
            return [discovery.part_removal(resource)] if may_exist or self.has_part(resource) else []
        return [
            discovery.removal(resource.kind, tag),
            *(discovery.part_removal(part) for part in parts_of(resource) if self.has_part(part)),
            *(discovery.member_removal(tag, member) for member in sorted(self._members.get(tag, ()))),
        ]
