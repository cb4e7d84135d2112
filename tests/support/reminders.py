"""A clan with reminders, which are checked when the test asks for it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from coc2mqtt.events import PollingState
from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.polling.reminder_poller import ReminderPoller
from coc2mqtt.events.resource import Kind, Reminders, Resource, Snapshot
from coc2mqtt.events.stream.polling_state import QueueStore
from tests.support.bodies import CLAN_TAG, clan, member, war
from tests.support.replay import InMemoryApi, run_without_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.clash import ClashClient
    from coc2mqtt.events import Event
    from coc2mqtt.events.polling.poller import Poller

Json = dict[str, Any]

ANN, BOB = "#2P2", "#2P8"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
SIX_AND_ONE = Reminders(war=(6 * HOUR, HOUR))


def api_text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%S.000Z")


def battle(*attacks: Json, end: float = NOON + 10 * HOUR) -> Json:
    return {**war("inWar", *attacks), "endTime": api_text(end), "attacksPerMember": 2}


@dataclass
class Part:
    """The poller of a war or a raid weekend, and when it was last polled."""

    kind: Kind
    polled_at: float | None = None
    polled_uptime: float | None = None


class Monitor:
    """The state of the API, which the test sets."""

    status: ApiStatus | None = ApiStatus.OK
    may_be_down = False
    maintenance_ended_at = -math.inf

    async def observe(self, error: object, **_: object) -> list[Event]:  # noqa: ARG002
        return []


class ReminderStore(QueueStore):
    """A store in memory that fails to read the kinds in ``broken``."""

    def __init__(self, state: PollingState) -> None:
        super().__init__(state, asyncio.Queue())
        self.broken: set[Kind] = set()

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        if resource.kind in self.broken:
            raise OSError(f"cannot read {resource.kind}")
        return await super().snapshot(resource)


class ReminderClan:
    """A clan of Ann and Bob with reminders, which are checked when the test asks for it."""

    def __init__(
        self, reminders: Reminders = SIX_AND_ONE, *, now: float = NOON, kinds: Sequence[Kind] = (Kind.WAR, Kind.RAID)
    ) -> None:
        self.now = now
        self.uptime_offset = 0.0
        self.monitor = Monitor()
        self.events: list[Event] = []
        self.requested: list[Kind] = []
        self.bugs: list[Kind] = []
        self.latest = 0.0
        self._state = PollingState()
        self.journal = ReminderStore(self._state)
        self.set_members(member(ANN, role="leader", townHallLevel=17), member(BOB, townHallLevel=12))
        self.reminders = reminders
        self.restart(kinds)

    def restart(self, kinds: Sequence[Kind] = (Kind.WAR, Kind.RAID)) -> None:
        context = PollContext(
            cast("ClashClient", InMemoryApi()),
            self.journal,
            self.monitor,
            lambda: self.now,
            lambda: self.now + self.uptime_offset,
            on_bug=lambda _, resource: self.bugs.append(resource.kind),
        )
        self.parts = {kind: Part(kind) for kind in kinds}
        self._poller = ReminderPoller(
            context,
            CLAN_TAG,
            reminders=self.reminders,
            parts=cast("dict[Kind, Poller]", self.parts),  # only their times are read
            request_poll=lambda resource: self.requested.append(resource.kind),
        )

    def set_members(self, *members: Json) -> None:
        self.store(Kind.CLAN, Snapshot(clan(*members), {}, self.now))

    def store(self, kind: Kind, snapshot: Snapshot) -> None:
        """Store a snapshot as an earlier run did."""
        self._state.commit(Resource(kind, CLAN_TAG), snapshot, [])

    def stored(self, kind: Kind = Kind.REMINDER) -> Json | None:
        """Return the stored data."""
        snapshot = self._state.snapshot(Resource(kind, CLAN_TAG))
        return None if snapshot is None else snapshot.data

    def show(self, body: Json, kind: Kind = Kind.WAR) -> None:
        """Poll a war or a raid weekend."""
        self.store(kind, Snapshot({"season": body} if kind is Kind.RAID else body, {}, self.now))
        self.polled(kind)

    def polled(self, kind: Kind = Kind.WAR) -> None:
        part = self.parts[kind]
        part.polled_at, part.polled_uptime = self.now, self.now + self.uptime_offset
        self._poller.notify(kind, changed=True)

    def set_clock(self, seconds: float) -> None:
        """Set the wall clock forward or back, while no time passes."""
        self.now += seconds
        self.uptime_offset -= seconds

    def check(self, after: float = 0.0) -> list[float]:
        """Check the reminders some seconds later, and return the hours of those that were sent."""
        self.now += after
        result = run_without_loop(self._poller.poll())
        self.latest = result.latest
        self.events += result.events
        return [event.metadata["hours_left"] for event in result.events]
