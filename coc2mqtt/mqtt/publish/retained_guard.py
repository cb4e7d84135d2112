"""Detecting that another client published on this bridge's retained topics, and publishing their values again."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

import structlog

from coc2mqtt.events.resource import Kind
from coc2mqtt.mqtt.client.errors import SubscribeDeniedError, SubscribeTimeoutError
from coc2mqtt.mqtt.client.options import MAX_PAYLOAD_BYTES
from coc2mqtt.util.containment import propagate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from coc2mqtt.mqtt.client.messages import Message
    from coc2mqtt.mqtt.client.session import Session
    from coc2mqtt.mqtt.publish.retained_state import RetainedState
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.util.containment import Contain

_log = structlog.get_logger()

# From a foreign value to the publish that replaces it, doubled each time on the same topic. A device waits longer
# because Home Assistant can skip components of a device that is announced twice within a second.
_FIRST_DELAY_S = 1.0
_DEVICE_DELAY_S = 3.0
_EVERYTHING_DELAY_S = 5.0
_MAX_DELAY_S = 600.0
# After this time without foreign values on a topic, its delay starts again at the first one.
_FORGET_AFTER_S = 3600.0
# With more foreign values than this at a time, everything is published again.
_MAX_TOPICS = 200
_MAX_HISTORIES = 1000
# A topic that was restored this often, the last time within this period, is reported as a problem.
_CONFLICT_COUNT = 3
_CONFLICT_PERIOD_S = 1200.0
# With MQTT 3.1.1 the broker returns every retained message on guarded topics to us: about 70 kB per clan.
_MAX_ECHOED_WATCHES = 200
# Besides `info`, which other parts of the bridge handle as well.
_GUARDED_BRIDGE_TOPICS = ("state", "watches", "last_command")
# In place of a topic.
_EVERYTHING = ""
_NOT_GUARDED = "retained topics are not guarded against other clients"
_NOT_GUARDED_HINT = "let this user read them on the broker, as in config/coc2mqtt.acl"
_OVERWRITTEN = "another client published on a retained topic of this bridge, which is published again"
_OVERWRITTEN_HINT = "stop it, or give each bridge a mqtt.base_topic of its own; to remove a device, stop its watch"


@dataclass(slots=True)
class _History:
    """How often a topic was restored, and when last (the event loop's time)."""

    count: int
    at: float


class RetainedGuard:
    """Restores this bridge's retained topics when another client has overwritten them.

    Another bridge with the same base topic that stops, or a user who publishes by mistake, leaves ``offline`` or an
    empty payload on topics that Home Assistant reads. The value of another client is replaced after 1 second, then on
    the same topic after 2, 4, … 600 seconds, so that two programs do not overwrite each other in a loop.

    With MQTT 5 the broker only sends messages of other clients. With MQTT 3.1.1 it also returns our own, which are
    recognized by their checksums; an older one of ours may be followed by the newer one within half a minute.

    ``discovery_prefix`` is None without Home Assistant. ``count_watches`` returns the number of watches.
    ``other_bridge`` returns a description of another bridge that is known to use the same base topic, or None.
    ``contain`` guards each received message. ``restored`` counts the replaced values.
    """

    def __init__(
        self,
        topics: Topics,
        retained: RetainedState,
        *,
        discovery_prefix: str | None,
        count_watches: Callable[[], int],
        other_bridge: Callable[[], str | None],
        enabled: bool = True,
        contain: Contain = propagate,
    ) -> None:
        self._topics = topics
        self._retained = retained
        self._discovery_prefix = discovery_prefix
        self._count_watches = count_watches
        self._other_bridge = other_bridge
        self._enabled = enabled
        self._contain = contain
        # By topic: when to restore it, and the foreign payload.
        self._due: dict[str, tuple[float, bytes]] = {}
        self._histories: dict[str, _History] = {}
        self._wake = asyncio.Event()
        self._denial_logged = False
        self._logged_at: float | None = None
        self.restored = 0

    async def subscribe_status(self, session: Session) -> None:
        """Subscribe to the status of the bridge and of the API.

        Topics that the broker denies are not guarded, here and in ``subscribe_rest``; this is logged once.
        """
        await self._subscribe(session, [self._topics.bridge("state"), self._topics.api_status])

    async def subscribe_rest(self, session: Session) -> None:
        """Subscribe to all other own topics; to fewer if the broker would return too much to us."""
        if session.protocol != "5" and self._count_watches() > _MAX_ECHOED_WATCHES:
            filters = [self._topics.states(kind, "availability") for kind in (Kind.CLAN, Kind.PLAYER)]
        else:
            filters = [
                *(self._topics.bridge(name) for name in ("watches", "last_command")),
                self._topics.api_calendar,
                *(self._topics.states(kind, "+") for kind in (Kind.CLAN, Kind.PLAYER)),
            ]
            if self._discovery_prefix is not None:
                filters.append(f"{self._discovery_prefix}/device/+/config")
        await self._subscribe(session, filters)

    async def _subscribe(self, session: Session, filters: Iterable[str]) -> None:
        for topic_filter in filters if self._enabled else ():
            try:
                await session.subscribe(topic_filter, skip_own_and_retained=True)
            except (SubscribeDeniedError, SubscribeTimeoutError) as error:
                if not self._denial_logged:
                    self._denial_logged = True
                    _log.warning(_NOT_GUARDED, topic=topic_filter, reason=str(error), hint=_NOT_GUARDED_HINT)

    def on_connected(self, session: Session) -> None:
        """Handle a new connection, over which everything is published again anyway."""
        self._due.clear()
        if self._enabled:
            session.add_interceptor(self._on_message_contained)

    def on_message(self, message: Message) -> bool:
        """Handle a received message; return whether no other part of the bridge needs it."""
        topic = message.topic
        if topic != self._topics.bridge("info") and not self._is_guarded(topic):
            return False
        # A retained message is older than what this connection publishes, and a truncated payload cannot be recognized.
        is_new = not message.retain and len(message.payload) <= MAX_PAYLOAD_BYTES
        matches = self._retained.matches_published(topic, message.payload) if is_new else None
        if matches is True:
            self._due.pop(topic, None)
        elif matches is False:
            self._schedule(topic, message.payload)
        return topic != self._topics.bridge("info")

    def _on_message_contained(self, message: Message) -> bool:
        with self._contain("retained guard", topic=message.topic):
            return self.on_message(message)
        return False

    async def run(
        self, restore: Callable[[str], Awaitable[None]], restore_everything: Callable[[], Awaitable[None]]
    ) -> Never:
        """Replace each foreign value when it is due, until cancelled."""
        while True:
            topic = await self._next_due()
            _, payload = self._due.pop(topic)
            # It may match what has been published since.
            if topic != _EVERYTHING and self._retained.matches_published(topic, payload) is not False:
                continue
            self._count_restored(topic)
            if topic == _EVERYTHING:
                await restore_everything()
            else:
                await restore(topic)

    @property
    def problem(self) -> str | None:
        """A sentence about another client that keeps publishing on the same topics, None if there is none."""
        now = asyncio.get_running_loop().time()
        conflicts = [
            topic
            for topic, history in self._histories.items()
            if history.count >= _CONFLICT_COUNT and now - history.at < _CONFLICT_PERIOD_S
        ]
        if not conflicts:
            return None
        client = self._other_bridge() or "another client"
        first = conflicts[0] or f"{self._topics.base}/#"
        rest = f" and {len(conflicts) - 1} more retained topics of this bridge" if len(conflicts) > 1 else ""
        return f"{client} keeps publishing on {first}{rest}: stop it, or give each bridge a mqtt.base_topic of its own"

    def _is_guarded(self, topic: str) -> bool:
        if topic == self._topics.api_status or topic in map(self._topics.bridge, _GUARDED_BRIDGE_TOPICS):
            return True
        return self._topics.parse_state(topic) is not None or self._retained.is_device_topic(topic)

    def _schedule(self, topic: str, payload: bytes) -> None:
        if _EVERYTHING in self._due:
            return
        if topic not in self._due and len(self._due) >= _MAX_TOPICS:
            self._due.clear()
            topic, payload = _EVERYTHING, b""
        due = asyncio.get_running_loop().time() + self._delay(topic)
        # It may be an older message of ours, which a slow broker returns after a newer one was published.
        due = max(due, self._retained.publisher.echoes.possible_until(topic, payload))
        before, _ = self._due.get(topic, (due, b""))
        self._due[topic] = min(due, before), payload
        self._wake.set()

    def _delay(self, topic: str) -> float:
        if topic == _EVERYTHING:
            first = _EVERYTHING_DELAY_S
        else:
            first = _DEVICE_DELAY_S if self._retained.is_device_topic(topic) else _FIRST_DELAY_S
        history = self._histories.get(topic)
        if history is None or asyncio.get_running_loop().time() - history.at > _FORGET_AFTER_S:
            return first
        return min(first * 2.0 ** min(history.count, 20), _MAX_DELAY_S)

    async def _next_due(self) -> str:
        """Wait until a topic is due, and return it."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            soonest, topic = min(((due, topic) for topic, (due, _) in self._due.items()), default=(None, ""))
            if soonest is not None and soonest <= loop.time():
                return topic
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(soonest):
                    await self._wake.wait()

    def _count_restored(self, topic: str) -> None:
        now = asyncio.get_running_loop().time()
        self.restored += 1
        history = self._histories.pop(topic, None)
        count = 1 if history is None or now - history.at > _FORGET_AFTER_S else history.count + 1
        self._histories[topic] = _History(count, now)
        if len(self._histories) > _MAX_HISTORIES:
            del self._histories[next(iter(self._histories))]
        if self._logged_at is None or now - self._logged_at > _FORGET_AFTER_S:
            _log.warning(
                _OVERWRITTEN,
                topic=topic or f"{self._topics.base}/#",
                other=self._other_bridge(),
                hint=_OVERWRITTEN_HINT,
            )
        self._logged_at = now
