"""What an earlier run, version or configuration has left with the broker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.events.resource import Kind
from coc2mqtt.homeassistant import DiscoveryMessage, parse_discovery_topic
from coc2mqtt.mqtt.client.errors import SubscribeDeniedError, SubscribeTimeoutError
from coc2mqtt.util.containment import propagate

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.events.watch import Watch
    from coc2mqtt.homeassistant import AnnouncedDevice
    from coc2mqtt.mqtt.client.inbox import Message
    from coc2mqtt.mqtt.client.session import Session
    from coc2mqtt.mqtt.publish.retained_state import RetainedState
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.util.containment import Contain

_log = structlog.get_logger()

# Not more: a house full of devices on a slow link must not break every connection anew.
_ATTEMPTS = 2
_KINDS = {"clan": Kind.CLAN, "player": Kind.PLAYER}


@dataclass(frozen=True, slots=True)
class Announcements:
    """Where the devices of an instance are announced, and whether they are to be at all."""

    prefix: str
    instance: str
    enabled: bool


class OrphanCleanup:
    """Looks through what the broker retains of this instance, and has taken away what no watch stands behind.

    The journal tells of what is not watched any more, unless it was lost, or what is retained is older than the
    journal: a broker that was restored from a backup, say. And it does not tell what a device was announced with by
    an earlier version. ``watched`` finds the watch of a clan or a player; ``empty`` tells that the broker has
    begun with nothing, as the embedded one does. ``contain`` guards the look: nothing depends on it.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        announcements: Announcements,
        retained: RetainedState,
        watched: Callable[[Kind, str], Watch | None],
        empty: bool = False,
        contain: Contain = propagate,
    ) -> None:
        self._contain = contain
        self._topics = topics
        self._announcements = announcements
        self._retained = retained
        self._watched = watched
        self._looks_left = 0 if empty else _ATTEMPTS

    async def run(self, session: Session, *, shared: bool) -> None:
        """Look once in the life of the program; ``shared`` tells that another instance has the same base topic.

        Where the broker does not let us look, nothing is taken away that the journal does not tell of.
        """
        if self._looks_left == 0:
            return
        self._looks_left -= 1
        async with asyncio.TaskGroup() as group:
            devices = f"{self._announcements.prefix}/device/+/config"
            group.create_task(self._look_again(session, devices, self._take_device))
            # What another instance retains there is not ours to take away.
            for kind in () if shared else _KINDS.values():
                states = self._topics.states(kind, "availability")
                group.create_task(self._look_again(session, states, self._take_state))
        self._looks_left = 0

    async def _look_again(self, session: Session, topic_filter: str, take: Callable[[Message], None]) -> None:
        for _ in range(_ATTEMPTS):
            with self._contain("sweep", topic=topic_filter):
                await self._look(session, topic_filter, take)
                return

    async def _look(self, session: Session, topic_filter: str, take: Callable[[Message], None]) -> None:
        def take_guarded(message: Message) -> None:
            with self._contain("sweep", topic=message.topic):
                take(message)

        try:
            await session.read_retained(topic_filter, take_guarded)
        except (SubscribeDeniedError, SubscribeTimeoutError) as error:
            _log.info("what was left with the broker earlier is not looked for", topic=topic_filter, reason=str(error))

    def _take_device(self, message: Message) -> None:
        where = self._announcements
        device = parse_discovery_topic(where.prefix, where.instance, message.topic)
        if device is None:
            return
        self._retained.announcer.found(message.topic, message.payload)
        if not where.enabled:
            self._retained.announcer.announce(DiscoveryMessage(message.topic, b""))
        elif device.tag is not None:
            self._check(device)

    def _check(self, device: AnnouncedDevice) -> None:
        kind, tag = _KINDS[device.kind], str(device.tag)
        if self._watched(kind, tag) is None:
            self._retained.mark_ghost(kind, tag)

    def _take_state(self, message: Message) -> None:
        tag = self._topics.tag(message.topic)
        kind = Kind.PLAYER if message.topic.startswith(f"{self._topics.base}/player/") else Kind.CLAN
        if tag is not None and self._watched(kind, tag) is None:
            self._retained.mark_ghost(kind, tag)
