"""Messages that make the broker close the connection: finding them, and not sending them for a while."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import structlog

from coc2mqtt.mqtt.client.errors import MessageTooLargeError, PoisonMessageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coc2mqtt.mqtt.client.errors import ConnectionLostError

_log = structlog.get_logger()

# A message is a suspect after one loss, is sent alone after two, and is blocked after three; an event only after ten,
# because blocking it means that its subscribers never receive it.
_ALONE_AFTER_LOSSES = 2
_MAX_LOSSES = 3
_MAX_EVENT_LOSSES = 10
# How long a message is blocked; doubled each time that it makes the broker close the connection again.
_MIN_BLOCK_S = 900.0
_MAX_BLOCK_S = 14_400.0
_MAX_SUSPECTS = 1000
_MAX_BLOCKED = 1000

# At most this many events are blocked per period. A broker that closes the connection over more of them would do so
# over any event: then they stay queued.
_MAX_BLOCKED_EVENTS = 5
_BLOCKED_EVENTS_PERIOD_S = 3600.0

Key: TypeAlias = "str | tuple[str, int]"


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """The properties of a message that the filter needs.

    ``size`` is the size of its packet in bytes. ``key`` identifies the message across connections: a string for a
    message that another one on its topic replaces, such as a retained one, a tuple for an event, which must not be
    lost.
    """

    topic: str
    size: int
    key: Key

    @classmethod
    def of(cls, topic: str, payload: bytes, size: int, *, replaceable: bool) -> OutgoingMessage:
        """Describe a message; ``replaceable`` means that a later message on its topic replaces it."""
        return cls(topic, size, topic if replaceable else (topic, hash(payload)))

    @property
    def is_event(self) -> bool:
        """Whether the message is lost if it is not sent."""
        return not isinstance(self.key, str)


@dataclass(slots=True)
class _Suspect:
    """A message that was in flight at this many connection losses, without an acknowledgement in between."""

    losses: int
    size: int


@dataclass(slots=True)
class _Block:
    """A block of messages of at least ``size`` bytes until a time of the clock; ``seconds`` is its duration."""

    size: int
    until: float
    seconds: float


class PoisonMessageFilter:
    """Finds messages that make the broker close the connection, and blocks them for a while.

    An MQTT 3.1.1 broker cannot reject a message, so it closes the connection over a message that it does not accept,
    and would do so on each new connection. A message is proven poisonous if it was in flight at three losses in a row
    (an event: at ten), the last time alone, and was never acknowledged. An acknowledgement clears it, so a restarting
    broker or an unstable network cannot incriminate a message. A loss after which the broker no longer runs does not
    count against an event, and a loss in a session without any acknowledgement does not count at all.

    A poisonous message that is larger than all acknowledged ones proves a size limit. Messages of at least its size are
    then blocked as well, and messages of a size in between are sent alone. ``clock`` returns seconds, from any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._suspects: dict[Key, _Suspect] = {}
        self._blocked: dict[Key, _Block] = {}
        # Proven: a packet of this size closes the connection; until the block expires, nothing of this size is sent.
        self._limit: _Block | None = None
        # The largest packet acknowledged since the session in which the current series of losses started.
        self._largest_acknowledged = 0
        self._acknowledged_in_session = 0
        self._largest_in_session = 0
        self._events_blocked_at: list[float] = []
        self._sent_alone: OutgoingMessage | None = None
        # Of a loss that is not evaluated yet: the messages in flight, the one in flight alone, and whether the broker
        # reported a message as the reason.
        self._loss: tuple[list[OutgoingMessage], OutgoingMessage | None, bool] | None = None

    @property
    def max_packet_size(self) -> int | None:
        """The largest packet in bytes that the broker may accept, or None if no limit is known."""
        limit = self._active_limit()
        return None if limit is None else limit.size - 1

    def check(self, message: OutgoingMessage) -> None:
        """Raise PoisonMessageError or MessageTooLargeError if a message is blocked."""
        limit = self._active_limit()
        if limit is not None and message.size >= limit.size:
            raise MessageTooLargeError(
                f"a message of {message.size} bytes on {message.topic} is too large for the broker, which closed the"
                f" connection over one of {limit.size} bytes: raise the broker's limit (Mosquitto: max_packet_size),"
                " or check its log"
            )
        block = self._blocked.get(message.key)
        if block is not None and message.size >= block.size and self._clock() < block.until:
            raise PoisonMessageError(
                f"the broker closed the connection each time a message of {block.size} bytes was published on"
                f" {message.topic}: check its log, its limits and its access list"
            )

    def must_send_alone(self, message: OutgoingMessage) -> bool:
        """Return whether no other message may be in flight together with this one."""
        suspect = self._suspects.get(message.key)
        if suspect is not None and suspect.losses >= _ALONE_AFTER_LOSSES:
            return True
        return message.key in self._blocked or (self._limit is not None and message.size > self._largest_acknowledged)

    def on_connected(self) -> None:
        """Start a new session."""
        self._acknowledged_in_session = self._largest_in_session = 0
        self._sent_alone = self._loss = None

    def set_sent_alone(self, message: OutgoingMessage | None) -> None:
        """Record the message that is in flight without any other, or None."""
        self._sent_alone = message

    def on_puback(self, message: OutgoingMessage) -> None:
        """Clear a message that the broker has answered, even with a rejection."""
        self._acknowledged_in_session += 1
        self._largest_in_session = max(self._largest_in_session, message.size)
        self._largest_acknowledged = max(self._largest_acknowledged, message.size)
        if not (self._suspects or self._blocked or self._limit):
            return
        key = message.key
        suspect = self._suspects.get(key)
        if suspect is not None and message.size >= suspect.size:
            del self._suspects[key]
        if self._blocked.pop(key, None) is not None:
            _log.info("message accepted again", topic=message.topic, bytes=message.size)
        if self._limit is not None and message.size >= self._limit.size:
            self._limit = None

    def on_connection_lost(self, in_flight: Iterable[OutgoingMessage], error: ConnectionLostError) -> None:
        """Record the messages in flight when the broker closed the connection."""
        messages = list(in_flight)
        if messages and self._acknowledged_in_session and error.caused_by_message is not False:
            # A message whose publisher was cancelled may have been followed by others.
            alone = self._sent_alone if len(messages) == 1 else None
            self._loss = messages, alone, error.caused_by_message is True

    def evaluate_loss(self, *, broker_survived: bool) -> bool:
        """Evaluate the last loss, and return whether a message may have caused it.

        ``broker_survived`` is True if the broker kept running.
        """
        if self._loss is None:
            return False
        (messages, alone, is_certain), self._loss = self._loss, None
        if not broker_survived:
            # A broker can be restarted at any time, so that is not a reason to block an event.
            messages = [message for message in messages if not message.is_event]
        if not self._suspects:
            # Acknowledgements of earlier sessions do not count: the limit may have been lowered since.
            self._largest_acknowledged = self._largest_in_session
        for message in messages:
            suspect = self._suspects.pop(message.key, None)
            self._suspects[message.key] = _Suspect(1 if suspect is None else suspect.losses + 1, message.size)
        while len(self._suspects) > _MAX_SUSPECTS:
            del self._suspects[next(iter(self._suspects))]
        if alone is not None and alone in messages:
            self._block_if_proven(alone, is_certain=is_certain)
        return bool(messages)

    def _block_if_proven(self, message: OutgoingMessage, *, is_certain: bool) -> None:
        """Block a message that was in flight alone, if there is enough evidence."""
        is_retried = message.key in self._blocked
        is_over_limit = self._limit is not None and message.size > self._largest_acknowledged
        needed = _MAX_EVENT_LOSSES if message.is_event and not is_over_limit else _MAX_LOSSES
        is_proven = is_certain or self._suspects[message.key].losses >= needed
        if not is_proven and (message.is_event or not (is_retried or is_over_limit)):
            return
        if message.is_event and not self._may_block_event():
            return
        del self._suspects[message.key]
        if message.size > self._largest_acknowledged:
            self._limit = self._new_block(self._limit, message.size)
        else:
            self._blocked[message.key] = self._new_block(self._blocked.pop(message.key, None), message.size)
            while len(self._blocked) > _MAX_BLOCKED:
                del self._blocked[next(iter(self._blocked))]
        _log.error(
            "the broker closes the connection over a message",
            topic=message.topic,
            bytes=message.size,
            hint="raise the broker's limit (Mosquitto: max_packet_size), or check its log and its access list",
        )

    def _may_block_event(self) -> bool:
        now = self._clock()
        self._events_blocked_at = [at for at in self._events_blocked_at if at > now - _BLOCKED_EVENTS_PERIOD_S]
        if len(self._events_blocked_at) >= _MAX_BLOCKED_EVENTS:
            return False
        self._events_blocked_at.append(now)
        return True

    def _new_block(self, previous: _Block | None, size: int) -> _Block:
        expired = previous is not None and self._clock() >= previous.until
        seconds = _MIN_BLOCK_S if previous is None else previous.seconds
        if expired:
            seconds = min(seconds * 2, _MAX_BLOCK_S)
        return _Block(size, self._clock() + seconds, seconds)

    def _active_limit(self) -> _Block | None:
        """Return the proven limit unless it has expired; then larger messages are tried again one at a time."""
        limit = self._limit
        return limit if limit is not None and self._clock() < limit.until else None
