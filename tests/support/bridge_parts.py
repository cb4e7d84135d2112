"""A bridge with an in-memory journal, and sessions that record what it publishes."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, cast

from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import API, Kind, Resource, Snapshot, Watch
from coc2mqtt.journal.protocol import JournalEntry
from coc2mqtt.mqtt.bridge import Bridge, HomeAssistantTopics
from coc2mqtt.mqtt.duplicate_instance import DuplicateInstanceDetector
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
from coc2mqtt.mqtt.publish.orphan_cleanup import DiscoveryOptions, OrphanCleanup
from coc2mqtt.mqtt.publish.retained_state import RetainedState
from coc2mqtt.mqtt.topics import Topics
from tests.support.bodies import clan, war
from tests.support.control import LogLevelInMemory, WatchesInMemory, dispatcher, health, info
from tests.support.recording_session import RecordingSession, make_event

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping

    from coc2mqtt.journal.protocol import Journal

    Lines = list[MutableMapping[str, Any]]

STATUS = "homeassistant/status"
WATCH = Watch(Kind.CLAN, "#2PP", 60.0)
DEVICE = "homeassistant/device/coc2mqtt_home_clan_2PP/config"
EVENT = "coc/clan/2PP/clan_updated"
SNAPSHOTS = {
    API: Snapshot({"status": "ok", "since": 1.0, "message": None, "address": None}),
    Resource(Kind.CLAN, "#2PP"): Snapshot(clan()),
    Resource(Kind.WAR, "#2PP"): Snapshot(war("inWar")),
}


class JournalInMemory:
    """The part of a journal that a bridge reads, without a thread, which simulated time would not wait for."""

    def __init__(self) -> None:
        self.snapshots = dict(SNAPSHOTS)
        self._entries: dict[int, JournalEntry] = {}
        self._delivered: dict[int, JournalEntry] = {}
        self._event_added = asyncio.Condition()

    @property
    def journal(self) -> Journal:
        return cast("Journal", self)

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        return self.snapshots.get(resource)

    async def delete_snapshot(self, resource: Resource) -> None:
        self.snapshots.pop(resource, None)

    async def add_event(self, number: int) -> None:
        async with self._event_added:
            record = EventRecord.of(make_event("#2PP", number))
            self._entries[number] = JournalEntry(number, f"{number:032x}", Kind.CLAN, record)
            self._event_added.notify_all()

    async def delivered(self, *, after: int, limit: int, **_: Any) -> list[JournalEntry]:
        return [entry for seq, entry in self._delivered.items() if seq > after][:limit]

    async def pending(self, *, after: int = 0, limit: int = 100) -> list[JournalEntry]:
        return [entry for seq, entry in self._entries.items() if seq > after][:limit]

    async def wait_pending(self, after: int) -> None:
        async with self._event_added:
            await self._event_added.wait_for(lambda: any(seq > after for seq in self._entries))

    async def acknowledge(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            if (entry := self._entries.pop(seq, None)) is not None:
                self._delivered[seq] = entry


class Parts:
    """A bridge with one watched clan that was already polled, and its parts."""

    def __init__(self, *, base: str = "coc", home_assistant: bool = True, instance: str = "home") -> None:
        topics = Topics(base)
        self.journal = JournalInMemory()
        self.watches = WatchesInMemory([WATCH])
        discovery = Discovery(topics, instance=instance, version="1", prefix="homeassistant")
        self.retained = RetainedState(
            self.journal.journal,
            topics,
            watches=self.watches,
            discovery=discovery if home_assistant else None,
        )
        self.log_level = LogLevelInMemory()
        self.bridge = Bridge(
            topics,
            retained=self.retained,
            orphan_cleanup=OrphanCleanup(
                topics,
                discovery=DiscoveryOptions("homeassistant", instance, home_assistant),
                retained=self.retained,
                watches=self.watches,
            ),
            delivery=EventDelivery(self.journal.journal, topics),
            commands=dispatcher(self.watches, journal=self.journal.journal, log_level=self.log_level),
            watches=self.watches,
            duplicate_detector=DuplicateInstanceDetector(topics, instance=instance, run_id="1"),
            info=lambda session: info(session).model_copy(update={"log_level": self.log_level.name}),
            health=health,
            home_assistant=HomeAssistantTopics(STATUS, "homeassistant") if home_assistant else None,
            rng=random.Random(7),
        )
        self.log_level.on_change = self.bridge.info_changed


class TimedSession(RecordingSession):
    """Records when messages were published, in seconds of simulated time.

    Each publish takes ``publish_time_s``.
    """

    def __init__(self, publish_time_s: float = 0.0) -> None:
        super().__init__(self._record)
        self._publish_time_s = publish_time_s
        self.published_at: dict[str, list[float]] = {}

    async def _record(self, topic: str, _payload: bytes) -> None:
        self.published_at.setdefault(topic, []).append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._publish_time_s)
