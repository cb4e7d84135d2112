"""Everything that is retained: the state of the bridge, of the API and of each watch, and discovery."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.events.resource import API, Kind, Resource
from coc2mqtt.mqtt.errors import MessageTooLargeError, PublishDeniedError
from coc2mqtt.mqtt.patience import Patience
from coc2mqtt.mqtt.payloads import ClanPayload
from coc2mqtt.mqtt.states import FACETS, api_status, facets

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.events.resource import Snapshot
    from coc2mqtt.events.watch import Watch
    from coc2mqtt.homeassistant import DiscoveryMessage
    from coc2mqtt.journal.protocol import Journal
    from coc2mqtt.mqtt.connection import Session
    from coc2mqtt.mqtt.discovery import Discovery
    from coc2mqtt.mqtt.topics import Topics

_log = structlog.get_logger()

# A message that takes a retained one away (MQTT 3.1.1, section 3.3.1.3).
_NOTHING = b""


class RetainedState:
    """Keeps what the broker retains equal to what the journal and the list of watches say.

    What changed is only marked; what is published is read then, so it is always the latest and nothing piles up
    while there is no connection. ``watched`` finds the watch of a clan or a player, None where there is none any
    more: then its topics are emptied, its device is removed, and its snapshot is forgotten. ``discovery`` is None
    without Home Assistant.
    """

    def __init__(
        self,
        journal: Journal,
        topics: Topics,
        *,
        watched: Callable[[Kind, str], Watch | None],
        discovery: Discovery | None,
        patience: Patience | None = None,
    ) -> None:
        self._journal = journal
        self._topics = topics
        self._watched = watched
        self._discovery = discovery
        self._patience = patience or Patience()
        self._marked: dict[Resource, None] = {}
        self._wake = asyncio.Event()
        self._announced: dict[str, bytes] = {}
        self._refused: set[str] = set()
        self.denied = 0

    def mark(self, resource: Resource) -> None:
        """Have the state of a resource published again."""
        self._marked[resource] = None
        self._wake.set()

    def mark_watch(self, watch: Watch) -> None:
        """Have everything of a clan or a player published again, or emptied if it is not watched any more."""
        for kind in (Kind.CLAN, Kind.WAR) if watch.kind is Kind.CLAN else (Kind.PLAYER,):
            self.mark(Resource(kind, watch.tag))

    def announce_again(self) -> None:
        """Forget what was announced: the next time, every device is."""
        self._announced.clear()

    async def publish_marked(self, session: Session) -> None:
        """Publish what is marked now; what is not done when the connection breaks off stays marked.

        What gets marked meanwhile is left to ``run``: on a slow connection this would else never end.
        """
        for _ in range(len(self._marked)):
            resource = next(iter(self._marked))
            del self._marked[resource]
            try:
                await self._publish(session, resource)
            except BaseException:
                self._marked.setdefault(resource)
                raise

    async def run(self, session: Session) -> None:
        """Publish whatever gets marked, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.publish_marked(session)

    async def say(self, session: Session, topic: str, payload: bytes) -> bool:
        """Publish one retained message; returns whether the broker took it.

        One that it refuses is counted, logged once for its topic, and left out.
        """
        try:
            await self._patience.publish(session, topic, payload, retain=True)
        except (PublishDeniedError, MessageTooLargeError) as error:
            self.denied += 1
            if topic not in self._refused:
                self._refused.add(topic)
                _log.error("a state was not accepted", topic=topic, reason=str(error))
            return False
        if topic in self._refused:
            self._refused.discard(topic)
            _log.info("a state is accepted again", topic=topic)
        return True

    @property
    def refused(self) -> bool:
        """Whether there are topics whose last state the broker refused."""
        return bool(self._refused)

    async def _publish(self, session: Session, resource: Resource) -> None:
        snapshot = await self._journal.snapshot(resource)
        if resource == API:
            if snapshot is not None:
                await self.say(session, self._topics.api_status, api_status(snapshot).encode())
            if self._discovery is not None:
                await self._announce(session, self._discovery.bridge())
            return
        watch = self._watch_of(resource)
        if snapshot is None:
            # Before the first poll there is nothing to show: a device announced now would need another announcement
            # for its name in a moment, and Home Assistant can lose one of two that come within a second. Nor is there
            # anything to take away: it warns of the removal of a device that it does not know.
            return
        if watch is None:
            await self._take_away(session, resource)
            return
        states = facets(resource, snapshot)
        for facet, payload in states.items():
            await self.say(session, self._topics.state(resource.kind, resource.tag, facet), payload.encode())
        if self._discovery is None:
            return
        if resource.kind is Kind.CLAN:
            clan = states.get("clan")
            badge_url = clan.badge_url if isinstance(clan, ClanPayload) else None
            await self._announce(session, self._discovery.clan(watch, _name(snapshot), badge_url=badge_url))
        elif resource.kind is Kind.PLAYER:
            await self._announce(session, self._discovery.player(watch, _name(snapshot)))

    async def _take_away(self, session: Session, resource: Resource) -> None:
        """Empty the topics of what is not watched any more, and only then forget it: a crash before begins it anew."""
        if resource.kind is Kind.WAR and Resource(Kind.CLAN, resource.tag) in self._marked:
            # First the device is to lose the sensors that read the war, which cannot read nothing.
            self.mark(resource)
            return
        if resource.kind in (Kind.CLAN, Kind.PLAYER) and self._discovery is not None:
            removed = self._discovery.removal(resource.kind, resource.tag)
            await self._announce(session, removed)
            # Home Assistant's birth may have cleared it meanwhile.
            self._announced.pop(removed.topic, None)
        for facet in FACETS[resource.kind]:
            await self.say(session, self._topics.state(resource.kind, resource.tag, facet), _NOTHING)
        if self._watch_of(resource) is None:
            await self._journal.forget(resource)
        else:
            self.mark(resource)

    def _watch_of(self, resource: Resource) -> Watch | None:
        """Return the watch that has a resource polled, None where nothing does any more."""
        watch = self._watched(Kind.PLAYER if resource.kind is Kind.PLAYER else Kind.CLAN, resource.tag)
        return None if watch is not None and resource.kind is Kind.WAR and not watch.war else watch

    async def _announce(self, session: Session, device: DiscoveryMessage) -> None:
        # Home Assistant can skip components of a config that comes twice within a second.
        if self._announced.get(device.topic) != device.payload:
            # Noted before it is said: what is to be announced again meanwhile must not be taken for done.
            self._announced[device.topic] = device.payload
            await self.say(session, device.topic, device.payload)


def _name(snapshot: Snapshot) -> str | None:
    name = None if snapshot.data is None else snapshot.data.get("name")
    return name if isinstance(name, str) else None
