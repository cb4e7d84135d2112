"""A whole bridge between a journal, a list of watches and a session, and a session that records publish times."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import API, Kind, Resource, Snapshot, Watch
from coc2mqtt.journal.protocol import JournalEntry
from coc2mqtt.mqtt.bridge import Bridge
from coc2mqtt.mqtt.control.requests import REQUESTS_PER_SECOND, RequestHandler
from coc2mqtt.mqtt.duplicate_instance import DuplicateInstanceDetector
from coc2mqtt.mqtt.publish.device_announcer import DeviceAnnouncer
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
from coc2mqtt.mqtt.publish.new_devices import NewDevices
from coc2mqtt.mqtt.publish.orphan_cleanup import DiscoveryOptions, OrphanCleanup
from coc2mqtt.mqtt.publish.retained_guard import RetainedGuard
from coc2mqtt.mqtt.publish.retained_state import RetainedState
from coc2mqtt.mqtt.reports import BridgeReports
from coc2mqtt.mqtt.topics import Topics
from tests.support.bodies import clan, war
from tests.support.control import RUN_ID, LogLevelInMemory, WatchesInMemory, dispatcher, health, info, known_to_the_api
from tests.support.recording_session import RecordingSession, make_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coc2mqtt.journal.protocol import Journal
    from coc2mqtt.watch_list import WatchList
    from tests.support.control import LookUp

PREFIX = "homeassistant"
STATUS = "homeassistant/status"
WATCH = Watch(Kind.CLAN, "#2PP", 60.0, members=False)
DEVICE = "homeassistant/device/coc2mqtt_home_clan_2PP/config"
EVENT = "coc/clan/2PP/clan_updated"
CLAN = Resource(Kind.CLAN, "#2PP")
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

    async def add_event(self, number: int, resource: Resource = CLAN) -> None:
        async with self._event_added:
            record = EventRecord.of(make_event(resource.tag, number))
            self._entries[number] = JournalEntry(number, f"{number:032x}", resource.kind, record)
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


def retained_state(
    journal: Journal,
    watches: WatchList | WatchesInMemory,
    *,
    topics: Topics | None = None,
    instance: str = "home",
    home_assistant: bool = True,
    member_sensors: bool = False,
    device_delays: bool = True,
    calendar: bool = True,
    api_reachable: Callable[[], bool] = lambda: True,
) -> RetainedState:
    """Return a retained state; without ``device_delays``, it announces all devices at once."""
    topics = topics or Topics()
    discovery = Discovery(
        topics, instance=instance, version="1", prefix=PREFIX, member_sensors=member_sensors, calendar=calendar
    )
    return RetainedState(
        journal,
        topics,
        calendar=calendar,
        watches=watches,
        api_reachable=api_reachable,
        discovery=discovery if home_assistant else None,
        announcer=DeviceAnnouncer if device_delays else partial(DeviceAnnouncer, min_repeat=0.0, spacing=0.0),
    )


def orphan_cleanup(
    retained: RetainedState,
    watches: WatchList | WatchesInMemory,
    *,
    topics: Topics | None = None,
    instance: str = "home",
    home_assistant: bool = True,
    member_sensors: bool = False,
    on_last_command: Callable[[bytes], None] = lambda _: None,
    broker_starts_empty: bool = False,
) -> OrphanCleanup:
    """Return the cleanup of a bridge with this retained state."""
    return OrphanCleanup(
        topics or Topics(),
        discovery=DiscoveryOptions(PREFIX, instance, home_assistant, member_sensors),
        retained=retained,
        watches=watches,
        on_last_command=on_last_command,
        broker_starts_empty=broker_starts_empty,
    )


class BridgeParts:
    """A bridge on a journal and a list of watches, and the parts of it that tests use.

    With ``home_assistant``, it announces devices. Without ``home_assistant_status``, its events do not wait until Home
    Assistant has read them, and it ignores birth messages. ``device_delays`` is described at ``retained_state``.
    """

    def __init__(
        self,
        journal: Journal,
        watches: WatchList | WatchesInMemory,
        *,
        base: str = "coc",
        instance: str = "home",
        home_assistant: bool = True,
        home_assistant_status: str | None = STATUS,
        device_delays: bool = True,
        requests_per_second: float = REQUESTS_PER_SECOND,
        look_up: LookUp | None = known_to_the_api,
    ) -> None:
        topics = Topics(base)
        self.log_level = LogLevelInMemory()
        self.retained = retained_state(
            journal,
            watches,
            topics=topics,
            instance=instance,
            home_assistant=home_assistant,
            device_delays=device_delays,
        )
        discovery = Discovery(topics, instance=instance, version="1", prefix=PREFIX)
        self.new_devices = NewDevices(discovery.device_topic)
        self.retained.announcer.add_listener(self.new_devices.on_announced)
        duplicate_detector = DuplicateInstanceDetector(topics, instance=instance, run_id=RUN_ID)
        self.guard = RetainedGuard(
            topics,
            self.retained,
            discovery_prefix=PREFIX if home_assistant else None,
            count_watches=lambda: len(watches.select()),
            other_bridge=lambda: duplicate_detector.other_bridge,
        )
        commands = dispatcher(watches, journal=journal, log_level=self.log_level, look_up=look_up)
        self.requests = RequestHandler(
            topics,
            commands,
            reserved=(f"{PREFIX}/", STATUS) if home_assistant else (),
            requests_per_second=requests_per_second,
        )
        self.bridge = Bridge(
            retained=self.retained,
            delivery=EventDelivery(journal, topics, new_devices=self.new_devices if home_assistant else None),
            requests=self.requests,
            reports=BridgeReports(
                topics,
                retained=self.retained,
                watches=watches,
                duplicate_detector=duplicate_detector,
                info=lambda session: info(session).model_copy(update={"log_level": self.log_level.name}),
                health=health,
                last_command=commands.last_command,
            ),
            guard=self.guard,
            orphan_cleanup=orphan_cleanup(
                self.retained,
                watches,
                topics=topics,
                instance=instance,
                home_assistant=home_assistant,
                on_last_command=commands.last_command.restore,
            ),
            duplicate_detector=duplicate_detector,
            watches=watches,
            home_assistant_status=home_assistant_status if home_assistant else None,
            rng=random.Random(7),
        )
        self.log_level.on_change = self.bridge.info_changed

    def on_watch_change(self, watch: Watch) -> None:
        """Publish the changed watch, as the program does."""
        self.retained.mark_watch(watch)
        self.bridge.watches_changed()


class Parts(BridgeParts):
    """A bridge with one watched clan that was already polled; its journal and its watches are in memory."""

    def __init__(
        self,
        *,
        base: str = "coc",
        home_assistant: bool = True,
        instance: str = "home",
        look_up: LookUp = known_to_the_api,
    ) -> None:
        self.journal = JournalInMemory()
        self.watches = WatchesInMemory([WATCH])
        super().__init__(
            self.journal.journal,
            self.watches,
            base=base,
            home_assistant=home_assistant,
            instance=instance,
            look_up=look_up,
        )


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
