"""The retained topics of the bridge itself: ``state``, ``info``, ``health``, ``watches`` and ``last_command``."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from coc2mqtt.mqtt.payloads.models import OnlinePayload
from coc2mqtt.util.tasks import yield_periodically

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from coc2mqtt.mqtt.client.connection import Session
    from coc2mqtt.mqtt.control.commands import Watches
    from coc2mqtt.mqtt.control.last_command import LastCommand
    from coc2mqtt.mqtt.duplicate_instance import DuplicateInstanceDetector
    from coc2mqtt.mqtt.payloads.models import HealthPayload, InfoPayload
    from coc2mqtt.mqtt.publish.retained_state import RetainedState
    from coc2mqtt.mqtt.topics import Topics

ONLINE = OnlinePayload(state="online").encode()
OFFLINE = OnlinePayload(state="offline").encode()

_HEALTH_INTERVAL_S = 30.0
_MIN_HEALTH_INTERVAL_S = 5.0
# The list of thousands of watches has some megabytes: a longer list is published less often.
_LISTED_WATCHES_PER_S = 300.0
_RETRY_INTERVAL_S = 120.0
# Home Assistant's frontend clears a text field only if it has shown the tag in the meantime. It receives both states
# within half a second; on a slow connection, states that arrive together are shown as one.
_LAST_COMMAND_INTERVAL_S = 1.0
# The poll times of all watches are checked in batches of this size, spread over this time.
_POLL_TIMES_BATCH = 50
_POLL_TIMES_INTERVAL_S = 30.0


class BridgeReports:
    """Publishes the state, info, health and watches of the bridge over one connection after another.

    ``info`` builds the payload of ``bridge/info`` for a connection, ``health`` that of ``bridge/health``. A report that
    fails stays due.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        retained: RetainedState,
        watches: Watches,
        duplicate_detector: DuplicateInstanceDetector,
        info: Callable[[Session], InfoPayload],
        health: Callable[[], Awaitable[HealthPayload]],
        last_command: LastCommand,
    ) -> None:
        self._topics = topics
        self._retained = retained
        self._publisher = retained.publisher
        self._watches = watches
        self._duplicate_detector = duplicate_detector
        self._info = info
        self._health = health
        self._last_command = last_command
        last_command.on_change = self.last_command_changed
        self._watches_due = asyncio.Event()
        self._info_due = asyncio.Event()
        self._health_due = asyncio.Event()
        self._last_command_due = asyncio.Event()

    def watches_changed(self) -> None:
        """Publish ``bridge/watches`` again."""
        self._watches_due.set()

    def info_changed(self) -> None:
        """Publish ``bridge/info`` again."""
        self._info_due.set()

    def health_changed(self) -> None:
        """Publish ``bridge/health`` soon instead of at its next interval."""
        self._health_due.set()

    def last_command_changed(self) -> None:
        """Publish ``bridge/last_command`` again."""
        self._last_command_due.set()

    async def introduce(self, session: Session) -> None:
        """Publish that the bridge is online, and who it is."""
        await self._publisher.publish(session, self._topics.bridge("state"), ONLINE)
        self._info_due.clear()
        if await self._publish_info(session):
            self._duplicate_detector.info_published()

    async def restore(self, session: Session, topic: str) -> bool:
        """Publish a topic again that another client has overwritten; returns False if it is not one of the bridge's."""
        if topic == self._topics.bridge("state"):
            await self._publisher.publish(session, topic, ONLINE)
        elif topic == self._topics.bridge("info"):
            self._info_due.set()
        elif topic == self._topics.bridge("watches"):
            self._watches_due.set()
        elif topic == self._topics.bridge("last_command"):
            self._last_command_due.set()
        else:
            return False
        return True

    async def publish_watches(self, session: Session) -> None:
        """Publish the list of watches whenever it changes."""
        # Publishing the states reads the names anyway: waiting for it avoids reading thousands of snapshots twice.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._watches_pause_s()):
                await self._retained.wait_idle()
        while True:
            await self._watches_due.wait()
            with _due_again_on_failure(self._watches_due):
                payload = await watches_payload(self._watches)
                await self._publisher.publish(session, self._topics.bridge("watches"), payload)
            # During the first polls, thousands of names become known one by one.
            await asyncio.sleep(self._watches_pause_s())

    async def publish_last_command(self, session: Session) -> None:
        """Publish the last command whenever it changes, but at most once per second."""
        topic = self._topics.bridge("last_command")
        while True:
            await self._last_command_due.wait()
            with _due_again_on_failure(self._last_command_due):
                await self._publisher.publish(session, topic, self._last_command.take().encode())
            await asyncio.sleep(_LAST_COMMAND_INTERVAL_S)

    async def publish_info(self, session: Session) -> None:
        """Publish the bridge's info whenever it changes."""
        while True:
            await self._info_due.wait()
            with _due_again_on_failure(self._info_due):
                await self._publish_info(session)

    async def publish_health(self, session: Session) -> None:
        """Publish the bridge's health every 30 s, or after a change but at most every 5 s.

        Every two minutes, also publish again what the broker rejected: its configuration may have been fixed meanwhile.
        """
        loop = asyncio.get_running_loop()
        readable_by, retry_at = loop.time() + _HEALTH_INTERVAL_S, loop.time() + _RETRY_INTERVAL_S
        while True:
            health = await self._health()
            await self._publisher.publish(session, self._topics.bridge("health"), health.encode())
            if loop.time() >= readable_by:
                self._duplicate_detector.warn_if_unreadable()
            if loop.time() >= retry_at and self._publisher.rejected_topics.any_retryable:
                retry_at = loop.time() + _RETRY_INTERVAL_S
                await self._retry_rejected(session)
            await asyncio.sleep(_MIN_HEALTH_INTERVAL_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HEALTH_INTERVAL_S - _MIN_HEALTH_INTERVAL_S):
                    await self._health_due.wait()
            self._health_due.clear()

    async def publish_poll_times(self) -> None:
        """Mark, every 30 s, the watches whose time of the last poll is due to be published."""
        while True:
            watches = self._watches.select()
            for start in range(0, max(1, len(watches)), _POLL_TIMES_BATCH):
                batch = watches[start : start + _POLL_TIMES_BATCH]
                share = len(batch) / len(watches) if watches else 1.0
                await asyncio.sleep(_POLL_TIMES_INTERVAL_S * share)
                for watch in batch:
                    self._retained.mark_poll(watch)

    async def _publish_info(self, session: Session) -> bool:
        return await self._publisher.publish(session, self._topics.bridge("info"), self._info(session).encode())

    async def _retry_rejected(self, session: Session) -> None:
        await self.introduce(session)
        if self._publisher.rejected_topics.is_retryable(self._topics.bridge("watches")):
            self._watches_due.set()
        if self._publisher.rejected_topics.is_retryable(self._topics.bridge("last_command")):
            self._last_command_due.set()
        self._retained.retry_rejected()

    def _watches_pause_s(self) -> float:
        return len(self._watches.select()) / _LISTED_WATCHES_PER_S


async def watches_payload(watches: Watches) -> bytes:
    """Return an encoded WatchesPayload.

    It is built piece by piece: encoding ten thousand watches at once would block the event loop for too long.
    """
    encoded = [(await watches.describe(watch)).encode() async for watch in yield_periodically(watches.select())]
    return b'{"watches":[%b]}' % b",".join(encoded)


@contextlib.contextmanager
def _due_again_on_failure(event: asyncio.Event) -> Iterator[None]:
    """Clear an event while a report is published, and set it again if that fails."""
    event.clear()
    try:
        yield
    except Exception:
        event.set()
        raise
