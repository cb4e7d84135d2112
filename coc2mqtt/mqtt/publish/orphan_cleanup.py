"""Reading retained messages of an earlier run, version or configuration, and removing those that are orphans."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.events.resource import Kind, owner
from coc2mqtt.homeassistant import parse_discovery_topic, parse_member_topic, parse_part_topic, removal
from coc2mqtt.mqtt.client.errors import SubscribeDeniedError, SubscribeTimeoutError
from coc2mqtt.mqtt.publish.device_parts import part_resource
from coc2mqtt.util.containment import propagate

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.mqtt.client.messages import Message
    from coc2mqtt.mqtt.client.session import Session
    from coc2mqtt.mqtt.publish.retained_state import PolledWatches, RetainedState
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.util.containment import Contain

_log = structlog.get_logger()

# Not more: thousands of devices on a slow link must not break every connection again.
_MAX_ATTEMPTS = 2
_KINDS = {"clan": Kind.CLAN, "player": Kind.PLAYER}
_CLEANUP_SKIPPED = "cannot read retained topics, skipping cleanup"
_CLEANUP_SKIPPED_HINT = "let this user read them on the broker, as in config/coc2mqtt.acl"


@dataclass(frozen=True, slots=True)
class DiscoveryOptions:
    """The discovery prefix and the instance name of the devices, and whether devices are announced at all.

    ``member_sensors`` is whether the members of a clan have sensors.
    """

    prefix: str
    instance: str
    enabled: bool
    member_sensors: bool = False


class OrphanCleanup:
    """Reads the retained messages of this instance once, and removes those of clans and players without a watch.

    The journal knows most of them. This finds those that it does not know: the journal was deleted, or is newer than
    the retained messages because the broker was restored from a backup. It also finds the discovery payloads of earlier
    versions, whose components may have to be removed. ``on_last_command`` is called with the last command of the
    earlier run. ``broker_starts_empty`` disables it all, for the embedded broker. ``contain`` guards each step, because
    nothing depends on the cleanup.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        discovery: DiscoveryOptions,
        retained: RetainedState,
        watches: PolledWatches,
        on_last_command: Callable[[bytes], None] = lambda _: None,
        broker_starts_empty: bool = False,
        contain: Contain = propagate,
    ) -> None:
        self._contain = contain
        self._topics = topics
        self._discovery = discovery
        self._retained = retained
        self._watches = watches
        self._on_last_command = on_last_command
        self._attempts_left = 0 if broker_starts_empty else _MAX_ATTEMPTS

    async def run(self, session: Session, *, shared: bool) -> None:
        """Clean up over a connection, unless that was done over an earlier one.

        ``shared`` means that another instance uses the same base topic: its states are neither read nor removed. If the
        broker denies the subscription, only the topics that the journal knows are removed.
        """
        if self._attempts_left == 0:
            return
        self._attempts_left -= 1
        async with asyncio.TaskGroup() as group:
            # The devices last: behind those of hundreds of watches, small messages would arrive too late.
            if not shared:
                last_command = self._topics.bridge("last_command")
                group.create_task(self._read_contained(session, last_command, self._on_last_command_message))
                for kind in _KINDS.values():
                    states = self._topics.states(kind, "availability")
                    group.create_task(self._read_contained(session, states, self._on_state))
            devices = f"{self._discovery.prefix}/device/+/config"
            group.create_task(self._read_contained(session, devices, self._on_device))
        self._attempts_left = 0

    async def _read_contained(self, session: Session, topic_filter: str, on_message: Callable[[Message], None]) -> None:
        for _ in range(_MAX_ATTEMPTS):
            with self._contain("orphan cleanup", topic=topic_filter):
                await self._read(session, topic_filter, on_message)
                return

    async def _read(self, session: Session, topic_filter: str, on_message: Callable[[Message], None]) -> None:
        def on_message_contained(message: Message) -> None:
            with self._contain("orphan cleanup", topic=message.topic):
                on_message(message)

        try:
            await session.read_retained(topic_filter, on_message_contained)
        except (SubscribeDeniedError, SubscribeTimeoutError) as error:
            _log.info(_CLEANUP_SKIPPED, topic=topic_filter, reason=str(error), hint=_CLEANUP_SKIPPED_HINT)

    def _on_device(self, message: Message) -> None:
        discovery, announcer = self._discovery, self._retained.announcer
        device = parse_discovery_topic(discovery.prefix, discovery.instance, message.topic)
        if device is None:
            self._on_part(message)
            self._on_member(message)
            return
        keep_payload = self._retained.will_remove_components(message.topic, message.payload)
        announcer.on_found(message.topic, message.payload, keep_payload=keep_payload)
        if not discovery.enabled:
            announcer.announce(removal(message.topic))
        elif device.tag is not None and self._watches.find(_KINDS[device.kind], device.tag) is None:
            self._retained.mark_orphan(_KINDS[device.kind], device.tag)

    def _on_part(self, message: Message) -> None:
        """Handle the retained discovery payload of a part of a device."""
        discovery, announcer = self._discovery, self._retained.announcer
        found = parse_part_topic(discovery.prefix, discovery.instance, message.topic)
        if found is None:
            return
        keep_payload = self._retained.will_remove_components(message.topic, message.payload)
        announcer.on_found(message.topic, message.payload, keep_payload=keep_payload)
        if not discovery.enabled:
            announcer.announce(removal(message.topic))
            return
        part = part_resource(found)
        self._retained.on_found_part(part)
        if self._watches.find(owner(part).kind, part.tag) is None:
            self._retained.mark_orphan(owner(part).kind, part.tag)

    def _on_member(self, message: Message) -> None:
        """Handle the retained discovery payload of a member's sensor."""
        discovery, announcer = self._discovery, self._retained.announcer
        member = parse_member_topic(discovery.prefix, discovery.instance, message.topic)
        if member is None:
            return
        if not discovery.enabled:
            announcer.on_found(message.topic, message.payload)
            announcer.announce(removal(message.topic))
            return
        self._retained.on_found_member(member.clan, member.tag, message.payload)
        if discovery.member_sensors and self._watches.find(Kind.CLAN, member.clan) is None:
            self._retained.mark_orphan(Kind.CLAN, member.clan)

    def _on_last_command_message(self, message: Message) -> None:
        self._on_last_command(message.payload)

    def _on_state(self, message: Message) -> None:
        tag = self._topics.parse_tag(message.topic)
        kind = Kind.PLAYER if message.topic.startswith(f"{self._topics.base}/player/") else Kind.CLAN
        if tag is not None and self._watches.find(kind, tag) is None:
            self._retained.mark_orphan(kind, tag)
