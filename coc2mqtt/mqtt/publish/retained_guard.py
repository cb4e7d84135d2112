"""Notices when another client publishes on this bridge's retained topics, and has the truth published again."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

import structlog

from coc2mqtt.mqtt.client.errors import SubscribeDeniedError, SubscribeTimeoutError
from coc2mqtt.mqtt.client.inbox import MAX_PAYLOAD_BYTES
from coc2mqtt.util.containment import propagate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from coc2mqtt.mqtt.client.inbox import Message
    from coc2mqtt.mqtt.client.session import Session
    from coc2mqtt.mqtt.publish.retained_state import RetainedState
    from coc2mqtt.mqtt.topics import Topics
    from coc2mqtt.util.containment import Contain

_log = structlog.get_logger()

# Seconds from a foreign value to the publish that replaces it, doubled each time on the same topic. A device waits
# longer: Home Assistant skips parts of one that is announced twice in a moment.
_FIRST_DELAY_S = 1.0
_DEVICE_DELAY_S = 3.0
_EVERYTHING_DELAY_S = 5.0
_MAX_DELAY_S = 600.0
# A topic on which nothing foreign was published for so long is new again.
_FORGOTTEN_AFTER_S = 3600.0
# From so many foreign values at a time on, everything is published again.
_MAX_TOPICS = 200
_MAX_HISTORIES = 1000
# A topic that was restored so often, and within so many seconds, is fought over.
_FIGHT = 3
_FIGHT_PERIOD_S = 1200.0
_EVERYTHING = ""


@dataclass(slots=True)
class _History:
    """How often a topic was restored, and when it last was (the event loop's time)."""

    count: int
    at: float


class RetainedGuard:
    """Watches this bridge's retained topics over one connection after another.

    Another bridge with the same base topic that stops, or a slip of a hand, leaves ``offline`` or nothing where Home
    Assistant reads. The value that another client publishes is replaced after a second, on the same topic again after
    two, four and up to 600 seconds, so that two programs that each insist do not fight.

    With MQTT 5 only messages of other clients come in; with 3.1.1 our own come back and are recognized by their
    checksum. An older one of ours is given half a minute to be followed by the newer one. ``restored`` counts the
    foreign values that were replaced. ``other`` names another bridge that is known to publish below the same base
    topic. ``contain`` guards each message that comes in.
    """

    def __init__(
        self,
        topics: Topics,
        retained: RetainedState,
        *,
        other: Callable[[], str | None],
        enabled: bool = True,
        contain: Contain = propagate,
    ) -> None:
        self._topics = topics
        self._retained = retained
        self._other = other
        self._enabled = enabled
        self._contain = contain
        self._due: dict[str, tuple[float, bytes]] = {}
        self._histories: dict[str, _History] = {}
        self._wake = asyncio.Event()
        self._warned_of_denial = False
        self._logged_at: float | None = None
        self.restored = 0

    async def watch(self, session: Session, filters: Iterable[str]) -> None:
        """Subscribe to topics of ours; one that the broker does not grant is left unguarded, which is logged once."""
        for topic_filter in filters if self._enabled else ():
            try:
                await session.subscribe(topic_filter, skip_own_and_retained=True)
            except (SubscribeDeniedError, SubscribeTimeoutError) as error:
                if not self._warned_of_denial:
                    self._warned_of_denial = True
                    _log.warning(
                        "retained topics are not guarded against other clients",
                        topic=topic_filter,
                        reason=str(error),
                        hint="let this user read them on the broker, as in config/coc2mqtt.acl",
                    )

    def connected(self, session: Session) -> None:
        """Take note of a new connection, over which everything is published again anyway."""
        self._due.clear()
        if self._enabled:
            session.add_interceptor(self._take)

    def hear(self, message: Message) -> bool:
        """Take note of a message that came in; returns whether it concerns nobody else."""
        topic = message.topic
        if topic != self._topics.bridge("info") and not self._is_guarded(topic):
            return False
        # What was retained before this subscription is older than what is published over this connection. Of a very
        # long payload not enough is kept to recognize it.
        is_news = not message.retain and len(message.payload) < MAX_PAYLOAD_BYTES
        known = self._retained.recognizes(topic, message.payload) if is_news else None
        if known is True:
            self._due.pop(topic, None)
        elif known is False:
            self._suspect(topic, message.payload)
        return topic != self._topics.bridge("info")

    def _take(self, message: Message) -> bool:
        with self._contain("guard", topic=message.topic):
            return self.hear(message)
        return False

    async def run(
        self, restore: Callable[[str], Awaitable[None]], restore_everything: Callable[[], Awaitable[None]]
    ) -> Never:
        """Have each foreign value replaced when it is due, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            topic = await self._next()
            _, payload = self._due.pop(topic)
            # Meanwhile it may have turned out to be what was published.
            if topic != _EVERYTHING and self._retained.recognizes(topic, payload) is not False:
                continue
            self._note(topic, loop.time())
            if topic == _EVERYTHING:
                await restore_everything()
            else:
                await restore(topic)

    @property
    def problem(self) -> str | None:
        """What is wrong, in words, while another client keeps publishing on the same topics, else None."""
        now = asyncio.get_running_loop().time()
        fought = [
            topic
            for topic, history in self._histories.items()
            if history.count >= _FIGHT and now - history.at < _FIGHT_PERIOD_S
        ]
        if not fought:
            return None
        who = self._other() or "another client"
        first = fought[0] or f"{self._topics.base}/#"
        what = first if len(fought) == 1 else f"{first} and {len(fought) - 1} more retained topics of this bridge"
        return f"{who} keeps publishing on {what}: stop it, or give each bridge a mqtt.base_topic of its own"

    def _is_guarded(self, topic: str) -> bool:
        if topic in (self._topics.bridge("state"), self._topics.bridge("watches"), self._topics.api_status):
            return True
        return self._topics.parse_state(topic) is not None or self._retained.announces_on(topic)

    def _suspect(self, topic: str, payload: bytes) -> None:
        if _EVERYTHING in self._due:
            return
        if topic not in self._due and len(self._due) >= _MAX_TOPICS:
            self._due.clear()
            topic, payload = _EVERYTHING, b""
        due = asyncio.get_running_loop().time() + self._delay(topic)
        # It may be an older message of ours, which a slow broker sends back after a newer one was published.
        due = max(due, self._retained.echoes.until(topic, payload))
        before, _ = self._due.get(topic, (due, b""))
        self._due[topic] = min(due, before), payload
        self._wake.set()

    def _delay(self, topic: str) -> float:
        if topic == _EVERYTHING:
            first = _EVERYTHING_DELAY_S
        else:
            first = _DEVICE_DELAY_S if self._retained.announces_on(topic) else _FIRST_DELAY_S
        history = self._histories.get(topic)
        if history is None or asyncio.get_running_loop().time() - history.at > _FORGOTTEN_AFTER_S:
            return first
        return min(first * 2.0 ** min(history.count, 20), _MAX_DELAY_S)

    async def _next(self) -> str:
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

    def _note(self, topic: str, now: float) -> None:
        self.restored += 1
        history = self._histories.pop(topic, None)
        count = 1 if history is None or now - history.at > _FORGOTTEN_AFTER_S else history.count + 1
        self._histories[topic] = _History(count, now)
        if len(self._histories) > _MAX_HISTORIES:
            del self._histories[next(iter(self._histories))]
        if self._logged_at is None or now - self._logged_at > _FORGOTTEN_AFTER_S:
            _log.warning(
                "another client published on a retained topic of this bridge, which is published again",
                topic=topic or f"{self._topics.base}/#",
                other=self._other(),
                hint="stop it, or give each bridge a mqtt.base_topic of its own; to remove a device, stop its watch",
            )
        self._logged_at = now
