"""Announcing and removing the devices of the watched clans and players, and the sensors of the clans' members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.resource import CLAN_PARTS, Kind
from coc2mqtt.homeassistant import is_member_tag
from coc2mqtt.mqtt.payloads.members import MembersPayload
from coc2mqtt.mqtt.payloads.models import ClanPayload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coc2mqtt.events.resource import Resource, Watch
    from coc2mqtt.homeassistant import DiscoveryMessage
    from coc2mqtt.mqtt.payloads.models import Payload
    from coc2mqtt.mqtt.publish.device_announcer import DeviceAnnouncer
    from coc2mqtt.mqtt.publish.discovery import Discovery


class WatchedDevices:
    """Asks the announcer for the devices of the watches.

    With ``discovery.member_sensors``, it also keeps the sensors of each clan equal to its members, of whom there are at
    most 50. Each of these sensors has a discovery topic of its own.
    """

    def __init__(self, discovery: Discovery, announcer: DeviceAnnouncer) -> None:
        self._discovery = discovery
        self._announcer = announcer
        # By clan: the tags of the members with a retained discovery payload, and their names, None if unknown.
        self._members: dict[str, dict[str, str | None]] = {}

    def announce(self, watch: Watch, name: str | None, states: Mapping[str, Payload]) -> None:
        """Announce the device of a clan or player.

        ``name`` is None if it is unknown. ``states`` are the payloads by facet; a missing one is unchanged.
        """
        if watch.kind is Kind.PLAYER:
            self._announcer.announce(self._discovery.player(watch, name))
            return
        clan, members = states.get("clan"), states.get("members")
        badge_url = clan.badge_url if isinstance(clan, ClanPayload) else None
        self._announcer.announce(self._discovery.clan(watch, name, badge_url=badge_url))
        if self._discovery.member_sensors:
            self._announce_members(watch.tag, name, members if isinstance(members, MembersPayload) else None)

    def on_found_member(self, clan: str, tag: str, payload: bytes) -> None:
        """Handle the discovery payload of a member's sensor that the broker retains from an earlier run."""
        sensor = self._discovery.member(clan, None, tag=tag, name=None)
        self._announcer.on_found(sensor.topic, payload, source=sensor)
        if self._discovery.member_sensors:
            self._members.setdefault(clan, {})[tag] = None
        else:
            self._remove_member(clan, tag)

    def remove(self, resource: Resource) -> str | None:
        """Remove the device of a clan or player; return a discovery topic that still has to be published, if any.

        The device of a clan's part is that of the clan, which is not removed with the part.
        """
        removals = self._removals(resource)
        if resource.kind not in CLAN_PARTS:
            for removal in removals:
                self._announcer.announce(removal)
        return next((one.topic for one in removals if self._announcer.is_pending(one.topic)), None)

    def forget(self, resource: Resource) -> None:
        """Forget the removed device of a clan or player."""
        for removal in self._removals(resource):
            self._announcer.forget(removal.topic)
        self._members.pop(resource.tag, None)

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

    def _removals(self, resource: Resource) -> list[DiscoveryMessage]:
        members = () if resource.kind is Kind.PLAYER else sorted(self._members.get(resource.tag, ()))
        return [
            self._discovery.removal(resource.kind, resource.tag),
            *(self._discovery.member_removal(resource.tag, tag) for tag in members),
        ]
