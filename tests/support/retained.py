"""A journal, what is watched, and the retained state of both."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.watch import Watch
from coc2mqtt.mqtt.publish.device_announcer import DeviceAnnouncer
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.publish.retained_state import RetainedState
from coc2mqtt.mqtt.topics import Topics
from coc2mqtt.util.exceptions import unwrap_single
from tests.support.bodies import clan, war
from tests.support.control import WatchedInMemory
from tests.support.recording_session import RecordingSession
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from coc2mqtt.journal.sqlite import SqliteJournal
    from coc2mqtt.mqtt.client.session import Session

CLAN, WAR = Resource(Kind.CLAN, "#2PP"), Resource(Kind.WAR, "#2PP")
PLAYER = Resource(Kind.PLAYER, "#900PUCPV")
WATCH, PLAYER_WATCH = Watch(Kind.CLAN, "#2PP", 60.0), Watch(Kind.PLAYER, "#900PUCPV", 60.0)
WITHOUT_WAR = Watch(Kind.CLAN, "#2PP", 60.0, war=False)
AVAILABILITY, CLAN_STATE, BADGE, WAR_STATE, POLL = (
    f"coc/clan/2PP/state/{facet}" for facet in ("availability", "clan", "badge", "war", "poll")
)
DEVICE, BRIDGE_DEVICE = (f"homeassistant/device/coc2mqtt_home_{what}/config" for what in ("clan_2PP", "bridge"))
API_STATUS = "coc/api/state/status"
ALL_OF_A_CLAN = [AVAILABILITY, CLAN_STATE, BADGE, WAR_STATE, DEVICE]
EMPTIED = [CLAN_STATE, BADGE, POLL, AVAILABILITY, WAR_STATE]


class House:
    """A journal, what is watched, and the retained state of both, as a service puts them together."""

    def __init__(self, journal: SqliteJournal, *, discovery: bool = True) -> None:
        self.journal = journal
        self.watches = WatchedInMemory()
        self.api_reachable = True
        self.state = RetainedState(
            journal,
            Topics(),
            watches=self.watches,
            api_reachable=lambda: self.api_reachable,
            discovery=Discovery(Topics(), instance="home", version="1", prefix="homeassistant") if discovery else None,
            announcer=partial(DeviceAnnouncer, min_repeat=0.0, spacing=0.0),
        )

    async def poll(self, resource: Resource, data: dict[str, Any] | None, **memo: Any) -> None:
        await self.journal.commit(resource, Snapshot(data, memo, 1_800_000_000.0), [])
        self.state.mark(resource)

    def watch(self, watch: Watch) -> None:
        self.watches.watches[watch.kind, watch.tag] = watch
        self.state.mark_watch(watch)

    async def unwatch(self, watch: Watch) -> None:
        del self.watches.watches[watch.kind, watch.tag]
        self.state.mark_watch(watch)

    async def move_in(self) -> None:
        self.watch(WATCH)
        await self.poll(CLAN, clan())
        await self.poll(WAR, war("inWar"))

    async def say(self) -> RecordingSession:
        """Publish what is marked, and return what that was."""
        recording = RecordingSession()
        await self.say_over(recording.session)
        return recording

    async def say_over(self, session: Session) -> None:
        """Publish what is marked; raises what the session raises."""
        for work, done in (
            (self.state.run, self.state.wait_idle),
            (self.state.announcer.run, self.state.announcer.wait_idle),
            (self.state.run, self.state.wait_idle),  # what waited for a device to be removed
        ):
            await until_done(work(session), done())

    async def run(self, session: Session) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.state.run(session))
            group.create_task(self.state.announcer.run(session))


async def until_done(work: Coroutine[Any, Any, None], done: Coroutine[Any, Any, None]) -> None:
    """Run until something is done; raises what ends it before, without the groups that it stands alone in."""
    tasks = [asyncio.create_task(one) for one in (done, work)]
    async with asyncio.timeout(LONG_ENOUGH):
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in ended:
        if error := task.exception():
            raise unwrap_single(error)


def last_said(recording: RecordingSession) -> dict[str, Any]:
    """Return what a broker retains after all that: what was emptied is not there."""
    kept = {message.topic: message.data if message.payload else None for message in recording.published}
    return {topic: data for topic, data in kept.items() if data is not None}
