"""A journal, a list of watches and their retained state, connected as in the bridge."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
from coc2mqtt.util.tasks import unwrap_single
from tests.support.bodies import clan, war
from tests.support.bridge_parts import retained_state
from tests.support.control import WatchesInMemory
from tests.support.recording_session import RecordingSession
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from coc2mqtt.journal.sqlite import SqliteJournal
    from coc2mqtt.mqtt.client.session import Session

CLAN, WAR = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP")
PLAYER = Resource(Kind.PLAYER, "#900PUCPV")
WATCH, PLAYER_WATCH = Watch(Kind.CLAN, "#2PP", 60.0, members=False), Watch(Kind.PLAYER, "#900PUCPV", 60.0)
WATCH_WITHOUT_WAR = Watch(Kind.CLAN, "#2PP", 60.0, members=False, war=False)
AVAILABILITY, CLAN_STATE, BADGE, MEMBERS, WAR_STATE, LAST_WAR, POLL = (
    f"coc/clan/2PP/state/{facet}" for facet in ("availability", "clan", "badge", "members", "war", "last_war", "poll")
)
DEVICE, BRIDGE_DEVICE = (f"homeassistant/device/coc2mqtt_home_{device}/config" for device in ("clan_2PP", "bridge"))
API_STATUS = "coc/api/state/status"
CLAN_TOPICS = [AVAILABILITY, CLAN_STATE, BADGE, MEMBERS, WAR_STATE, DEVICE]
# In the order in which they are emptied.
EMPTIED_TOPICS = [CLAN_STATE, BADGE, MEMBERS, POLL, AVAILABILITY, WAR_STATE, LAST_WAR]


class RetainedStateHarness:
    """Stores polls in the journal and publishes the retained state on request, without delays between devices."""

    def __init__(
        self, journal: SqliteJournal, *, discovery: bool = True, member_sensors: bool = False, calendar: bool = True
    ) -> None:
        self.journal = journal
        self.watches = WatchesInMemory()
        self.api_reachable = True
        self.state = retained_state(
            journal,
            self.watches,
            home_assistant=discovery,
            member_sensors=member_sensors,
            device_delays=False,
            calendar=calendar,
            api_reachable=lambda: self.api_reachable,
        )

    async def poll(self, resource: Resource, data: dict[str, Any] | None, **memo: Any) -> None:
        """Store a snapshot as a poll does."""
        await self.journal.commit(resource, Snapshot(data, memo, 1_800_000_000.0), [])
        self.state.mark(resource)

    async def poll_clan(self) -> None:
        """Watch the clan and store the first snapshots of it and of its war."""
        self.watch(WATCH)
        await self.poll(CLAN, clan())
        await self.poll(WAR, war("inWar"))

    def watch(self, watch: Watch) -> None:
        self.watches.watches[watch.kind, watch.tag] = watch
        self.state.mark_watch(watch)

    def unwatch(self, watch: Watch) -> None:
        del self.watches.watches[watch.kind, watch.tag]
        self.state.mark_watch(watch)

    async def publish(self) -> RecordingSession:
        """Publish everything that is marked, over a new session that records it."""
        recording = RecordingSession()
        await self.publish_over(recording.session)
        return recording

    async def publish_over(self, session: Session) -> None:
        """Publish everything that is marked over a session; raise the session's errors."""
        for work, done in (
            (self.state.run, self.state.wait_idle),
            (self.state.announcer.run, self.state.announcer.wait_idle),
            (self.state.run, self.state.wait_idle),  # resources that had to wait until a device was removed
        ):
            await run_until(done(), work(session))

    async def run(self, session: Session) -> None:
        """Publish over a session until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.state.run(session))
            group.create_task(self.state.announcer.run(session))


async def run_until(done: Coroutine[Any, Any, None], work: Coroutine[Any, Any, None]) -> None:
    """Run some work until ``done`` returns; raise the error that stops the work before that."""
    tasks = [asyncio.create_task(one) for one in (done, work)]
    async with asyncio.timeout(LONG_ENOUGH):
        finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in finished:
        if error := task.exception():
            raise unwrap_single(error)


def retained_messages(recording: RecordingSession) -> dict[str, Any]:
    """Return the messages that a broker retains after everything that was recorded, by topic."""
    last = {message.topic: message.data if message.payload else None for message in recording.published}
    return {topic: data for topic, data in last.items() if data is not None}
