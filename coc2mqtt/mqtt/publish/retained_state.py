"""The retained state of the API, of every clan and player, and of their devices in Home Assistant."""

from __future__ import annotations

import asyncio
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from coc2mqtt.events.resource import API, MIN_INTERVAL_S, PARTS, Kind, Resource, Watch, owner, resources_of
from coc2mqtt.homeassistant import live_components
from coc2mqtt.mqtt.payloads.members import members_hash, names_hash
from coc2mqtt.mqtt.payloads.models import OnlinePayload, PollPayload, iso_time
from coc2mqtt.mqtt.payloads.player import PlayerParts
from coc2mqtt.mqtt.payloads.state import FACETS, is_available, state_payloads
from coc2mqtt.mqtt.publish.api_publisher import ApiPublisher
from coc2mqtt.mqtt.publish.device_announcer import DesiredDevice, DeviceAnnouncer
from coc2mqtt.mqtt.publish.discovery import MemberAnnouncement
from coc2mqtt.mqtt.publish.player_parts import PlayerPartsReader
from coc2mqtt.mqtt.publish.retained_publisher import RetainedPublisher
from coc2mqtt.mqtt.publish.sharded_queue import ShardedQueue
from coc2mqtt.mqtt.publish.state_publisher import StatePublisher
from coc2mqtt.mqtt.publish.watched_devices import WatchedDevices
from coc2mqtt.util.containment import propagate, retry_delay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from coc2mqtt.events.resource import Snapshot
    from coc2mqtt.journal.protocol import Journal
    from coc2mqtt.mqtt.client.connection import Session
    from coc2mqtt.mqtt.client.retrying_publisher import RetryingPublisher
    from coc2mqtt.mqtt.payloads.models import Payload
    from coc2mqtt.mqtt.publish.discovery import Discovery
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.util.containment import Contain

# Resources published concurrently: enough that the round trip to the broker does not limit the throughput.
_SHARDS = 8
# Home Assistant's recorder and logbook store every poll time, so it is not published more often.
_POLL_TIME_INTERVAL_S = 300.0
# Home Assistant needs up to this long to set up the entities of an announced device.
_DEVICE_SETUP_S = 1.0
# Their states show members whom the API does not list there.
_NEEDS_ROSTER = (Kind.RAID, Kind.GAMES)
# The state of a player shows their part in these.
_SHOWN_BY_PLAYERS = (Kind.CLAN, Kind.WAR, Kind.CWL, Kind.RAID)


class PolledWatches(Protocol):
    """The current watches, and when they were polled."""

    def find(self, kind: Kind, tag: str) -> Watch | None:
        """Return the watch of a clan or player, None if it is not watched."""

    def polled_at(self, kind: Kind, tag: str) -> float | None:
        """Return when the API last responded for a watch (Unix time in seconds), None before its first response."""


class RetainedState:
    """Keeps the retained messages equal to the journal and the watches.

    Changed resources are only marked. Their snapshots are read when they are published, so the latest one is published
    and nothing accumulates without a connection. When the watch of a clan or player is removed, its topics are emptied,
    its device is removed and its snapshot is deleted.

    ``discovery`` is None without Home Assistant, ``calendar`` whether the game's calendar is watched. ``on_name`` is
    called with the name of each published clan and player, None if it is unknown. ``contain`` guards each resource:
    after a bug, it is skipped and retried 1 to 60 s later.
    """

    def __init__(
        self,
        journal: Journal,
        topics: Topics,
        *,
        watches: PolledWatches,
        discovery: Discovery | None,
        api_reachable: Callable[[], bool] = lambda: True,
        on_name: Callable[[Resource, str | None], None] = lambda *_: None,
        publisher: RetryingPublisher | None = None,
        announcer: Callable[..., DeviceAnnouncer] = DeviceAnnouncer,
        contain: Contain = propagate,
        calendar: bool = True,
    ) -> None:
        self._journal = journal
        self._topics = topics
        self._watches = watches
        self._discovery = discovery
        self._api_reachable = api_reachable
        self._on_name = on_name
        self._contain = contain
        self.publisher = RetainedPublisher(topics, publisher)
        self.announcer = announcer(
            self.publisher.publish, on_forgotten=self.publisher.rejected_topics.forget, contain=contain
        )
        self.announcer.add_listener(self._on_announced)
        self._devices = None if discovery is None else WatchedDevices(discovery, self.announcer)
        # Resources in the queue: whether to publish everything, or only the availability and the poll time.
        self._marked: dict[Resource, bool] = {}
        self._queue: ShardedQueue[Resource] = ShardedQueue(_SHARDS, tag_of=attrgetter("tag"))
        # Consecutive bugs per resource.
        self._failures: dict[Resource, int] = {}
        # Resources without a watch that may be retained although the journal has no snapshot of them.
        self._orphans: set[Resource] = set()
        self._rejected: set[Resource] = set()
        self._api = ApiPublisher(journal, topics, self.publisher, calendar=calendar)
        self._states = StatePublisher(topics, self.publisher)
        self._player_parts = PlayerPartsReader(journal, self._watch_of)

    def mark(self, resource: Resource, *, full: bool = True) -> None:
        """Publish a resource again: all of it, or only its availability and poll time."""
        if resource not in self._marked:
            self._queue.put_nowait(resource)
        self._marked[resource] = full or self._marked.get(resource, False)

    def mark_watch(self, watch: Watch) -> None:
        """Publish all resources of a watch again, or remove them if the watch was removed."""
        for resource in resources_of(Resource(watch.kind, watch.tag)):
            is_retained = resource in self._states or (self._devices is not None and self._devices.has_part(resource))
            if is_retained and self._watch_of(resource) is None:
                self._orphans.add(resource)  # its snapshot may be deleted before its topics
            self.mark(resource)

    def mark_orphan(self, kind: Kind, tag: str) -> None:
        """Remove everything that is retained for a clan or player without a watch."""
        self._orphans.update(resources_of(Resource(kind, tag)))
        self.mark_watch(Watch(kind, tag, MIN_INTERVAL_S))

    def mark_poll(self, watch: Watch) -> None:
        """Publish the poll time of a watch, unless the published one is less than five minutes older."""
        resource = Resource(watch.kind, watch.tag)
        if self._new_poll_time(resource) is not None:
            self.mark(resource, full=False)

    def on_connected(self) -> None:
        """Handle a new connection: everything has to be published again."""
        self._states.clear()
        self._rejected.clear()
        self.publisher.on_connected()
        self.announcer.on_connected()

    async def run(self, session: Session) -> None:
        """Publish marked resources over one connection until cancelled; unfinished ones stay marked.

        Resources of one tag are published in order, those of different tags concurrently.
        """
        await self._queue.run(partial(self._publish_marked, session))

    async def wait_idle(self) -> None:
        """Wait until all marked resources are published."""
        await self._queue.wait_idle()

    @property
    def marked_count(self) -> int:
        """The number of resources that wait to be published."""
        return len(self._marked)

    def matches_published(self, topic: str, payload: bytes) -> bool | None:
        """Return whether a payload is the last one published on a topic; None if nothing was published on it."""
        if self.publisher.remembers(topic):
            return self.publisher.matches_published(topic, payload)
        state = self._topics.parse_state(topic)
        if state is None:
            return self.announcer.matches_published(topic, payload)
        resource, facet = state
        published = self._states.find(resource)
        checksum = None if published is None or self._watch_of(resource) is None else published.checksum(facet)
        return None if checksum is None else checksum == hash(payload)

    def is_device_topic(self, topic: str) -> bool:
        """Return whether a topic is the discovery topic of a device of this bridge."""
        return self._discovery is not None and self._discovery.device(topic) is not None

    def on_found_member(self, clan: str, tag: str, payload: bytes) -> None:
        """Handle the discovery payload of a sensor of a clan's member that the broker retains from an earlier run."""
        if self._devices is not None:
            self._devices.on_found_member(clan, tag, payload)

    def on_found_part(self, part: Resource) -> None:
        """Handle the discovery payload of a part of a device that an earlier run has announced."""
        if self._devices is not None:
            self._devices.on_found_part(part)
        if self._watch_of(part) is None:
            self._orphans.add(part)
            self.mark(part)
        elif part.kind is Kind.CLAN:
            self.mark(part)  # the members, whom the part is about, may not be watched

    def will_remove_components(self, topic: str, payload: bytes) -> bool:
        """Return whether a device with this retained discovery payload, or a component of it, is to be removed."""
        device = None if self._discovery is None else self._discovery.device(topic)
        if self._discovery is None or device is None:
            return True
        watch = None if device == API else self._watch_of(device)
        if watch is None and device != API:
            return True
        platforms = self._discovery.platforms(watch, topic)
        return any(platforms.get(key) != platform for key, platform in live_components(payload))

    def restore(self, topic: str) -> None:
        """Publish the state or device on a topic again, after another client published on it."""
        state = self._topics.parse_state(topic)
        if topic in (self._topics.api_status, self._topics.api_calendar):
            self.publisher.forget(topic)
            self.mark(API)
        elif state is not None:
            resource, facet = state
            if (published := self._states.find(resource)) is not None:
                published.forget(facet)
                published.polled_at = None
            self.mark(resource)
        elif self._discovery is not None and (device := self._discovery.device(topic)) is not None:
            self.announcer.invalidate(topic)
            self.mark(device)

    def invalidate(self) -> None:
        """Publish everything that is marked from now on, even if it was published before."""
        self._states.clear()
        self.announcer.invalidate()

    def retry_rejected(self) -> None:
        """Publish the states and devices again that the broker rejected."""
        for resource in self._rejected:
            self.mark(resource)
        self._rejected.clear()
        self.announcer.retry_rejected()

    async def _publish_marked(self, session: Session, resource: Resource) -> None:
        full = self._marked.pop(resource)
        try:
            with self._contain("retained state", kind=resource.kind.value, tag=resource.tag):
                if full:
                    await self._publish_all(session, resource)
                else:
                    await self._publish_availability(session, resource)
                    await self._publish_poll_time(session, resource)
                if self._failures:
                    self._failures.pop(resource, None)
                return
        except BaseException:
            self.mark(resource, full=full)
            raise
        self._failures[resource] = failures = self._failures.get(resource, 0) + 1
        if (published := self._states.find(resource)) is not None:
            published.forget_all()  # how much of it was published is unknown
        asyncio.get_running_loop().call_later(retry_delay(failures), self.mark, resource)

    async def _publish_all(self, session: Session, resource: Resource) -> None:
        if resource == API:
            await self._publish_api(session)
            return
        snapshot = await self._journal.snapshot(resource)
        if resource.kind in _SHOWN_BY_PLAYERS:
            for player in self._player_parts.players_of(resource.tag):
                self.mark(player)
        watch = self._watch_of(resource)
        if watch is None and (snapshot is not None or resource in self._orphans):
            await self._remove(session, resource, is_stored=snapshot is not None)
        # Nothing is published before the first poll: a device would be announced by its tag and a moment later again.
        elif watch is not None and snapshot is not None:
            if resource.kind in PARTS:
                roster = await self._roster(resource.tag) if resource.kind in _NEEDS_ROSTER else None
                await self._publish_states(session, resource, state_payloads(resource, snapshot, roster=roster))
            else:
                await self._publish_watch(session, resource, snapshot, watch)

    async def _publish_api(self, session: Session) -> None:
        if not await self._api.publish(session):
            self._rejected.add(API)
        for resource, state in self._states.items():
            if state.found is not None and not state.matches("availability", self._availability(state.found).encode()):
                self.mark(resource, full=False)
        if self._discovery is not None:
            self.announcer.announce(self._discovery.bridge())

    async def _publish_watch(self, session: Session, resource: Resource, snapshot: Snapshot, watch: Watch) -> None:
        name = snapshot.name
        self._on_name(resource, name)
        is_player = resource.kind is Kind.PLAYER
        parts = await self._player_parts.read(resource.tag, snapshot) if is_player else PlayerParts()
        published = self._states.of(resource)
        # Most changes of a clan are not changes of its members.
        is_clan = resource.kind is Kind.CLAN and snapshot.data is not None
        roster = members_hash(snapshot) if is_clan else None
        polled_at = self._new_poll_time(resource)
        if polled_at is not None:
            published.polled_at = polled_at
        published.found = is_available(snapshot)
        states = state_payloads(
            resource,
            snapshot,
            polled_at=polled_at,
            parts=parts,
            reachable=self._api_reachable(),
            members=published.roster is None or published.roster != roster,
        )
        await self._publish_states(session, resource, states)
        if "members" in states:
            if published.members is not None:
                published.roster = roster
            kinds = [kind for kind in _NEEDS_ROSTER if watch.polls(kind)]
            if kinds and published.names != (names := names_hash(states["members"])):
                published.names = names
                for kind in kinds:
                    self.mark(Resource(kind, resource.tag))
        # After its state: otherwise a new entity would be unknown for a moment.
        if self._devices is not None:
            self._devices.announce(watch, name, states)

    def _availability(self, found: bool) -> OnlinePayload:
        return OnlinePayload(state="online" if found and self._api_reachable() else "offline")

    async def _publish_availability(self, session: Session, resource: Resource) -> None:
        published = self._states.find(resource)
        if published is None or published.found is None or self._watch_of(resource) is None:
            return
        await self._publish_states(session, resource, {"availability": self._availability(published.found)})

    async def _publish_poll_time(self, session: Session, resource: Resource) -> None:
        polled_at = self._new_poll_time(resource)
        if polled_at is None or self._watch_of(resource) is None:
            return
        self._states.of(resource).polled_at = polled_at
        await self._publish_states(session, resource, {"poll": PollPayload(polled_at=iso_time(polled_at))})

    def _new_poll_time(self, resource: Resource) -> float | None:
        """Return when the API last responded for a clan or player, None if that need not be published."""
        polled_at = self._watches.polled_at(resource.kind, resource.tag)
        published = known.polled_at if (known := self._states.find(resource)) is not None else None
        # A negative difference means that the clock was set back, which must not stop the updates.
        if polled_at is None or (published is not None and 0 <= polled_at - published < _POLL_TIME_INTERVAL_S):
            return None
        return polled_at

    async def _publish_states(self, session: Session, resource: Resource, states: Mapping[str, Payload]) -> None:
        if not await self._states.publish(session, resource, states):
            self._rejected.add(resource)

    async def _roster(self, clan: str) -> list[dict[str, Any]] | None:
        """Return the member list of a clan, None if it is unknown."""
        snapshot = await self._journal.snapshot(Resource(Kind.CLAN, clan))
        members = None if snapshot is None or snapshot.data is None else snapshot.data.get("memberList")
        return members if isinstance(members, list) else None

    def _on_announced(self, device: DesiredDevice, changed: bool) -> None:
        """Publish the badge again, which Home Assistant forgets, or after a change all states.

        Home Assistant applies changed templates, such as labels in another language, only to later messages.
        """
        if (discovery := self._discovery) is None or isinstance(device, MemberAnnouncement):
            return
        part = discovery.part(device.topic)
        if (resource := part or discovery.device(device.topic)) is not None:
            arguments = (resource, changed, part is not None)
            asyncio.get_running_loop().call_later(_DEVICE_SETUP_S, self._republish, *arguments)

    def _republish(self, resource: Resource, everything: bool, is_part: bool) -> None:
        published = self._states.find(resource)
        if everything:
            if published is not None:
                published.forget_all(FACETS[resource.kind] if is_part else None)
            for one in [resource] if is_part else resources_of(resource):
                self.mark(one)
        elif not is_part and resource.kind is Kind.CLAN and published is not None and published.badge is not None:
            published.forget("badge")
            self.mark(resource)

    async def _remove(self, session: Session, resource: Resource, *, is_stored: bool) -> None:
        """Empty the topics of a resource, then delete it from the journal: a crash in between only repeats this."""
        if resource.kind in PARTS and owner(resource) in self._marked:
            self.mark(resource)  # after the clan or player, who decides about the device
            return
        # First the device, or its entities that use these topics: they cannot read empty messages.
        if self._devices is not None and (pending := self._devices.remove(resource, may_exist=is_stored)) is not None:
            self.announcer.call_when_done(pending, self.mark, resource)
            return
        await self._states.empty(session, resource)
        if self._watch_of(resource) is not None:
            self.mark(resource)
            return
        if resource.kind is Kind.PLAYER:
            self._player_parts.forget(resource.tag)
        self._orphans.discard(resource)
        self._rejected.discard(resource)
        await self._journal.delete_snapshot(resource)
        if self._devices is not None and resource.kind is not Kind.WAR:
            self._devices.forget(resource)

    def _watch_of(self, resource: Resource) -> Watch | None:
        """Return the watch that polls a resource, None if it was removed."""
        watch = self._watches.find(owner(resource).kind, resource.tag)
        return watch if watch is not None and watch.polls(resource.kind) else None


def _name(snapshot: Snapshot) -> str | None:
    name = None if snapshot.data is None else snapshot.data.get("name")
    return name if isinstance(name, str) else None
