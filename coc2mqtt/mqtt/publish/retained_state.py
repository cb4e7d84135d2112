"""Everything that is retained: the state of the bridge, of the API and of each watch, and discovery."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from coc2mqtt.events.resource import API, Kind, Resource
from coc2mqtt.events.watch import MIN_INTERVAL_S, Watch
from coc2mqtt.mqtt.client.errors import MessageTooLargeError, PublishDeniedError
from coc2mqtt.mqtt.client.retrying_publisher import RetryingPublisher
from coc2mqtt.mqtt.payloads.models import ClanPayload, OnlinePayload, PollPayload, iso_time
from coc2mqtt.mqtt.payloads.state import FACETS, api_status, clan_of, facets, is_available
from coc2mqtt.mqtt.payloads.war_state import player_war
from coc2mqtt.mqtt.publish.device_announcer import DesiredDevice, DeviceAnnouncer
from coc2mqtt.mqtt.publish.discovery import Announcement
from coc2mqtt.mqtt.publish.players_by_clan import PlayersByClan
from coc2mqtt.mqtt.publish.published_state import Echoes, PublishedState
from coc2mqtt.mqtt.publish.rejected_topics import RejectedTopics
from coc2mqtt.mqtt.publish.sharded_queue import ShardedQueue
from coc2mqtt.util.containment import propagate, retry_delay

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.events.resource import Snapshot
    from coc2mqtt.journal.protocol import Journal
    from coc2mqtt.mqtt.client.connection import Session
    from coc2mqtt.mqtt.payloads.models import Payload, PlayerWarPayload
    from coc2mqtt.mqtt.publish.discovery import Discovery
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.util.containment import Contain

# A message that takes a retained one away (MQTT 3.1.1, section 3.3.1.3).
_NOTHING = b""
# Seconds: a home's recorder and its logbook keep each of them.
_POLL_SAID_EVERY = 300.0
# Each message of the availability has Home Assistant look at every entity of the device, and of the badge is a new
# picture: they are published only when they change.
_NEWS_ONLY = frozenset({"availability", "badge"})
# So long Home Assistant takes at most to take up an announcement (seconds).
_TAKEN_UP = 1.0


class RetainedState:
    """Keeps what the broker retains equal to what the journal and the list of watches say.

    What changed is only marked; what is published is read then, so it is always the latest and nothing piles up
    while there is no connection. ``watched`` finds the watch of a clan or a player, None where there is none any
    more: then its topics are emptied, its device is removed, and its snapshot is forgotten. ``polled_at`` tells when
    the API last answered for it (Unix time in seconds). ``discovery`` is None without Home Assistant. ``named`` is
    called with the name of each clan and player that is published, None where it is not known. ``contain`` guards each
    resource: after a bug, that one is left out and tried again 1 to 60 s later.
    """

    def __init__(
        self,
        journal: Journal,
        topics: Topics,
        *,
        watched: Callable[[Kind, str], Watch | None],
        polled_at: Callable[[Kind, str], float | None] = lambda *_: None,
        reachable: Callable[[], bool] = lambda: True,
        discovery: Discovery | None,
        named: Callable[[Resource, str | None], None] = lambda *_: None,
        publisher: RetryingPublisher | None = None,
        announcer: Callable[..., DeviceAnnouncer] = DeviceAnnouncer,
        contain: Contain = propagate,
    ) -> None:
        self._journal = journal
        self._topics = topics
        self._watched = watched
        self._polled_at = polled_at
        self._reachable = reachable
        self._discovery = discovery
        self._publisher = publisher or RetryingPublisher()
        self._named = named
        self._marked = ShardedQueue()
        self._contain = contain
        # How often in a row a bug kept a resource from being published.
        self._bugs: dict[Resource, int] = {}
        self.announcer = announcer(self.say, contain=contain)
        self.announcer.announced = self._announced
        # What is not watched and may yet be retained, although no snapshot tells of it.
        self._ghosts: set[Resource] = set()
        self._fighters = PlayersByClan()
        self._said: dict[Resource, PublishedState] = {}
        # Checksums of what was published of the bridge and the API; these topics alone are in it.
        self._own: dict[str, int | None] = dict.fromkeys(
            [*(topics.bridge(what) for what in ("state", "info", "watches")), topics.api_status]
        )
        self.echoes = Echoes()
        self.refusals = RejectedTopics()
        self._to_repeat: set[Resource] = set()

    def mark(self, resource: Resource) -> None:
        """Have the state of a resource published again."""
        self._marked.put(resource)

    def mark_watch(self, watch: Watch) -> None:
        """Have everything of a clan or a player published again, or emptied if it is not watched any more."""
        for kind in (Kind.CLAN, Kind.WAR) if watch.kind is Kind.CLAN else (Kind.PLAYER,):
            resource = Resource(kind, watch.tag)
            if resource in self._said and self._watch_of(resource) is None:
                self._ghosts.add(resource)  # its snapshot may go before its topics
            self.mark(resource)

    def mark_ghost(self, kind: Kind, tag: str) -> None:
        """Have everything taken away that is retained of a clan or a player who is not watched."""
        watch = Watch(kind, tag, MIN_INTERVAL_S)
        self._ghosts.update(resource for resource, _ in watch.resources())
        self.mark_watch(watch)

    def recognizes(self, topic: str, payload: bytes) -> bool | None:
        """Return whether a payload is what was published on a topic, None for a topic on which nothing was."""
        if topic in self._own:
            own = self._own[topic]
            return None if own is None else own == hash(payload)
        found = self._topics.parse_state(topic)
        if found is None:
            return self.announcer.recognizes(topic, payload)
        resource, facet = found
        published = self._published(resource)
        checksum = None if published is None or self._watch_of(resource) is None else published.checksum(facet)
        return None if checksum is None else checksum == hash(payload)

    def announces_on(self, topic: str) -> bool:
        """Return whether a topic is for the announcement of a device of this bridge."""
        return self._discovery is not None and self._discovery.device(topic) is not None

    def restore(self, topic: str) -> None:
        """Have a state or a device published again on whose topic another client has published."""
        found = self._topics.parse_state(topic)
        if topic == self._topics.api_status:
            self.mark(API)
        elif found is not None:
            resource, facet = found
            if (published := self._published(resource)) is not None:
                published.forget(facet)
                published.polled_at = None
            self.mark(resource)
        elif self._discovery is not None and (device := self._discovery.device(topic)) is not None:
            self.announcer.distrust(topic)
            self.mark(device)

    def distrust(self) -> None:
        """Have everything published again that is marked from now on, whatever was published before."""
        self._said.clear()
        self.announcer.distrust()

    def connected(self) -> None:
        """Take note of a new connection: whatever was said is to be said again."""
        self._said.clear()
        self._own = dict.fromkeys(self._own)
        self.refusals.clear()
        self._to_repeat.clear()
        self.announcer.connected()

    async def run(self, session: Session) -> None:
        """Publish whatever is marked, until cancelled; what is not done when the connection breaks off stays marked.

        What is retained of one tag is published one after another, that of several side by side.
        """
        await self._marked.run(partial(self._publish_or_skip, session))

    async def idle(self) -> None:
        """Wait until all that is marked is published."""
        await self._marked.idle()

    @property
    def waiting(self) -> int:
        """How many resources are marked and not yet published."""
        return len(self._marked)

    async def say(self, session: Session, topic: str, payload: bytes) -> bool:
        """Publish one retained message; returns whether the broker took it.

        One that it refuses is counted, logged once for its topic, and left out.
        """
        if topic in self._own:
            self._own[topic] = hash(payload)
        if session.protocol != "5":
            self.echoes.expect(topic, payload, asyncio.get_running_loop().time())
        try:
            await self._publisher.publish(session, topic, payload, retain=True)
        except (PublishDeniedError, MessageTooLargeError) as error:
            self.refusals.note(topic, error)
            return False
        self.refusals.accepted(topic)
        return True

    def mark_poll(self, watch: Watch) -> None:
        """Have published when the API last answered for a watch, unless that was said less than five minutes ago."""
        resource = Resource(watch.kind, watch.tag)
        if self._news_of_poll(resource) is not None:
            self._marked.put(resource, whole=False)

    def _news_of_poll(self, resource: Resource) -> float | None:
        """Return when the API last answered for a clan or a player where that is to be said, else None."""
        polled_at = self._polled_at(resource.kind, resource.tag)
        said = known.polled_at if (known := self._said.get(resource)) is not None else None
        # A clock that was set back must not silence it.
        if polled_at is None or (said is not None and 0 <= polled_at - said < _POLL_SAID_EVERY):
            return None
        return polled_at

    def say_refused_again(self) -> None:
        """Have all of that said once more that is in the journal, and the announcements."""
        for resource in self._to_repeat:
            self.mark(resource)
        self._to_repeat.clear()
        self.announcer.say_refused_again()

    async def _publish_or_skip(self, session: Session, resource: Resource, whole: bool) -> None:
        with self._contain("retained state", kind=resource.kind.value, tag=resource.tag):
            await self._publish(session, resource, whole)
            if self._bugs:
                self._bugs.pop(resource, None)
            return
        self._bugs[resource] = failures = self._bugs.get(resource, 0) + 1
        if (published := self._published(resource)) is not None:
            published.forget_all()  # nobody knows how much of it was published
        asyncio.get_running_loop().call_later(retry_delay(failures), self.mark, resource)

    async def _publish(self, session: Session, resource: Resource, whole: bool) -> None:
        if not whole:
            await self._say_availability(session, resource)
            await self._say_poll(session, resource)
            return
        snapshot = await self._journal.snapshot(resource)
        if resource == API:
            status = None if snapshot is None else api_status(snapshot).encode()
            if status is not None and not await self.say(session, self._topics.api_status, status):
                self._to_repeat.add(API)
            self._mark_availability()
            if self._discovery is not None:
                self.announcer.announce(self._discovery.bridge())
            return
        if resource.kind is Kind.WAR:
            self._mark_fighters(resource.tag)
        watch = self._watch_of(resource)
        if watch is None and (snapshot is not None or resource in self._ghosts):
            await self._take_away(session, resource)
        # Before the first poll there is nothing to show: a device announced now would need another announcement for its
        # name in a moment.
        elif watch is not None and snapshot is not None:
            await self._show(session, resource, snapshot, watch)

    async def _say_poll(self, session: Session, resource: Resource) -> None:
        """Say when the API last answered, and nothing else: what there is to show has not changed."""
        polled_at = self._news_of_poll(resource)
        if polled_at is None or self._watch_of(resource) is None:
            return
        self._said.setdefault(resource, PublishedState()).polled_at = polled_at
        await self._say_states(session, resource, {"poll": PollPayload(polled_at=iso_time(polled_at))})

    def _mark_availability(self) -> None:
        """Publish the availability of every clan and player again that the state of the API has changed."""
        for resource, said in self._said.items():
            if said.found is not None and not said.matches("availability", self._availability(said.found).encode()):
                self._marked.put(resource, whole=False)

    def _availability(self, found: bool) -> OnlinePayload:
        return OnlinePayload(state="online" if found and self._reachable() else "offline")

    async def _say_availability(self, session: Session, resource: Resource) -> None:
        said = self._said.get(resource)
        if said is None or said.found is None or self._watch_of(resource) is None:
            return
        await self._say_states(session, resource, {"availability": self._availability(said.found)})

    async def _show(self, session: Session, resource: Resource, snapshot: Snapshot, watch: Watch) -> None:
        if resource.kind is Kind.WAR:
            await self._say_states(session, resource, facets(resource, snapshot))
            return
        name = _name(snapshot)
        self._named(resource, name)
        polled_at = self._news_of_poll(resource)
        if polled_at is not None:
            self._said.setdefault(resource, PublishedState()).polled_at = polled_at
        war = await self._war_of(resource.tag, snapshot) if resource.kind is Kind.PLAYER else None
        self._said.setdefault(resource, PublishedState()).found = is_available(snapshot)
        states = facets(resource, snapshot, polled_at=polled_at, war=war, reachable=self._reachable())
        await self._say_states(session, resource, states)
        # Not before its state is retained: a new entity would be unknown for a moment.
        if self._discovery is None:
            return
        if resource.kind is Kind.CLAN:
            clan = states.get("clan")
            badge_url = clan.badge_url if isinstance(clan, ClanPayload) else None
            self.announcer.announce(self._discovery.clan(watch, name, badge_url=badge_url))
        else:
            self.announcer.announce(self._discovery.player(watch, name))

    async def _say_states(self, session: Session, resource: Resource, states: dict[str, Payload]) -> None:
        # What is published of a war is kept with its clan.
        subject = Resource(Kind.CLAN, resource.tag) if resource.kind is Kind.WAR else resource
        for facet, payload in states.items():
            encoded = payload.encode()
            said = self._said.setdefault(subject, PublishedState())
            if facet in _NEWS_ONLY and said.matches(facet, encoded):
                continue
            # Before it is published: with MQTT 3.1.1 it comes back, and may do so before the PUBACK.
            said.note(facet, encoded)
            taken = False
            try:
                taken = await self.say(session, self._topics.state(resource.kind, resource.tag, facet), encoded)
            finally:
                if not taken:
                    said.forget(facet)
            if not taken:
                self._to_repeat.add(resource)

    def _announced(self, wish: DesiredDevice) -> None:
        """Have a badge said again: Home Assistant forgets it with each announcement, and does not ask for it."""
        if isinstance(wish, Announcement):
            asyncio.get_running_loop().call_later(_TAKEN_UP, self._repeat_badge, Resource(Kind.CLAN, wish.tag))

    def _repeat_badge(self, clan: Resource) -> None:
        said = self._said.get(clan)
        if said is not None and said.badge is not None:
            said.forget("badge")
            self.mark(clan)

    async def _war_of(self, player_tag: str, player: Snapshot) -> PlayerWarPayload | None:
        """Return a player's part in the war of their clan, None where that is not watched or not known yet."""
        clan = clan_of(player)
        self._fighters.note(player_tag, clan)
        if clan is None:
            return None
        war = Resource(Kind.WAR, clan)
        snapshot = await self._journal.snapshot(war) if self._watch_of(war) is not None else None
        return None if snapshot is None else player_war(player_tag, clan, snapshot)

    def _mark_fighters(self, clan_tag: str) -> None:
        """Have the players published again of whose clan there is news of its war."""
        for player in self._fighters.of(clan_tag):
            self.mark(Resource(Kind.PLAYER, player))

    async def _take_away(self, session: Session, resource: Resource) -> None:
        """Empty the topics of what is not watched any more, and only then forget it: a crash before begins it anew."""
        if resource.kind is Kind.WAR and Resource(Kind.CLAN, resource.tag) in self._marked:
            self.mark(resource)  # what is to be said of the device is not known before
            return
        removal = None if self._discovery is None else self._discovery.removal(resource.kind, resource.tag)
        if removal is not None:
            # First the device is to go, or to lose the entities that read this: they cannot read nothing.
            if resource.kind is not Kind.WAR:
                self.announcer.announce(removal)
            if self.announcer.is_busy(removal.topic):
                self.announcer.when_done(removal.topic, self.mark, resource)
                return
        for facet in FACETS[resource.kind]:
            topic = self._topics.state(resource.kind, resource.tag, facet)
            await self.say(session, topic, _NOTHING)
            self.refusals.forget(topic)
        self._forget_published(resource)
        if self._watch_of(resource) is not None:
            self.mark(resource)
            return
        if resource.kind is Kind.PLAYER:
            self._fighters.note(resource.tag, None)
        self._ghosts.discard(resource)
        self._to_repeat.discard(resource)
        await self._journal.forget(resource)
        if removal is not None and resource.kind is not Kind.WAR:
            self.announcer.forget(removal.topic)
            self.refusals.forget(removal.topic)

    def _published(self, resource: Resource) -> PublishedState | None:
        """Return what was published of a resource; that of a war is kept with its clan."""
        return self._said.get(Resource(Kind.CLAN, resource.tag) if resource.kind is Kind.WAR else resource)

    def _forget_published(self, resource: Resource) -> None:
        if resource.kind is not Kind.WAR:
            self._said.pop(resource, None)
        elif (published := self._published(resource)) is not None:
            published.forget("war")

    def _watch_of(self, resource: Resource) -> Watch | None:
        """Return the watch that has a resource polled, None where nothing does any more."""
        watch = self._watched(Kind.PLAYER if resource.kind is Kind.PLAYER else Kind.CLAN, resource.tag)
        return None if watch is not None and resource.kind is Kind.WAR and not watch.war else watch


def _name(snapshot: Snapshot) -> str | None:
    name = None if snapshot.data is None else snapshot.data.get("name")
    return name if isinstance(name, str) else None
