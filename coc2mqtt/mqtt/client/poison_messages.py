"""Messages over which the broker closes the connection: found, and not sent for a while."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import structlog

from coc2mqtt.mqtt.client.errors import MessageTooLargeError, QuarantinedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coc2mqtt.mqtt.client.errors import ConnectionLostError

_log = structlog.get_logger()

# A message is a suspect after one loss, is sent alone after two, and is set aside after three; an event only after ten,
# because it is lost to its subscribers.
_ALONE_AFTER = 2
_LOSSES = 3
_EVENT_LOSSES = 10
# How long a message is not sent (seconds): doubled each time that it proves to be the reason once more.
_FIRST_HOLD_S = 900.0
_LONGEST_HOLD_S = 14_400.0
_MAX_SUSPECTS = 1000
_MAX_HELD = 1000

# How many events may be set aside within an hour (seconds). A broker that closes the connection over more of them
# does so whatever it gets: then they wait.
_MAX_EVENTS = 5
_EVENTS_PERIOD_S = 3600.0

Key: TypeAlias = "str | tuple[str, int]"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as far as the quarantine needs to know it.

    ``size`` is that of its packet in bytes. ``key`` is the same if it is sent again over another connection: a text
    for a message that replaces others, such as a retained one, a pair for an event, which must not be lost.
    """

    topic: str
    size: int
    key: Key

    @property
    def is_event(self) -> bool:
        """Whether the message is lost if it is not sent."""
        return not isinstance(self.key, str)


def outgoing(topic: str, payload: bytes, size: int, *, retain: bool, replaces: bool) -> Outgoing:
    """Return how the quarantine knows a message; ``replaces`` tells that another one with its topic replaces it."""
    return Outgoing(topic, size, topic if retain or replaces else (topic, hash(payload)))


@dataclass(slots=True)
class _Suspect:
    """How often the connection was lost while a message was in flight, without an acknowledgement in between."""

    losses: int
    size: int


@dataclass(slots=True)
class _Held:
    """A message that is not sent before ``until`` (as the clock gives it)."""

    size: int
    until: float
    seconds: float


class Quarantine:
    """Finds the message over which the broker closes the connection, and keeps it from being sent for a while.

    MQTT 3.1.1 cannot refuse a message, so a broker closes the connection over one that it does not take, and would do
    so over each new connection. A message is proven to be the reason if it was in flight at three losses in a row
    (an event: at ten), the last time alone, and was never acknowledged. An acknowledgement clears it: a broker that
    restarts, or a network that breaks, never meets the same message alone again and again. A loss over which the
    broker stopped running is no evidence against an event, and one in a session in which nothing was acknowledged is
    none at all.

    A message that is larger than all that were taken proves a size limit: then whatever is at least as large is not
    sent either, and what lies between is sent alone. ``clock`` gives seconds from anywhere.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._suspects: dict[Key, _Suspect] = {}
        self._held: dict[Key, _Held] = {}
        # Proven: a packet of this size (bytes) ends the connection; until then, nothing so large is sent.
        self._limit: _Held | None = None
        # The largest packet that was acknowledged since the session of the first loss of the present trouble.
        self._largest_taken = 0
        self._acknowledged = 0
        self._largest_in_session = 0
        self._events_held_at: list[float] = []
        self._alone: Outgoing | None = None
        self._unjudged: tuple[list[Outgoing], Outgoing | None, bool] | None = None

    @property
    def largest_packet(self) -> int | None:
        """The largest packet that the broker may take (bytes), None if no limit is known."""
        limit = self._current_limit()
        return None if limit is None else limit.size - 1

    def check(self, message: Outgoing) -> None:
        """Raise QuarantinedError or MessageTooLargeError for a message that is not to be sent now."""
        limit = self._current_limit()
        if limit is not None and message.size >= limit.size:
            raise MessageTooLargeError(
                f"a message of {message.size} bytes on {message.topic} is larger than the broker takes, which closed"
                f" the connection over one of {limit.size}: raise the broker's limit (Mosquitto: max_packet_size), or"
                " see its log"
            )
        held = self._held.get(message.key)
        if held is not None and message.size >= held.size and self._clock() < held.until:
            raise QuarantinedError(
                f"the broker closed the connection each time that a message of {held.size} bytes was published on"
                f" {message.topic}: see its log, its limits and its access list"
            )

    def must_be_alone(self, message: Outgoing) -> bool:
        """Return whether no other message may be in flight together with this one."""
        suspect = self._suspects.get(message.key)
        if suspect is not None and suspect.losses >= _ALONE_AFTER:
            return True
        return message.key in self._held or (self._limit is not None and message.size > self._largest_taken)

    def connected(self) -> None:
        """Take note of a new session."""
        self._acknowledged = self._largest_in_session = 0
        self._alone = self._unjudged = None

    def sent_alone(self, message: Outgoing | None) -> None:
        """Take note of which message, if any, is in flight without any other."""
        self._alone = message

    def acknowledged(self, message: Outgoing) -> None:
        """Take note that the broker answered a message, whatever it answered."""
        self._acknowledged += 1
        self._largest_in_session = max(self._largest_in_session, message.size)
        self._largest_taken = max(self._largest_taken, message.size)
        if not (self._suspects or self._held or self._limit):
            return
        key = message.key
        suspect = self._suspects.get(key)
        if suspect is not None and message.size >= suspect.size:
            del self._suspects[key]
        if self._held.pop(key, None) is not None:
            _log.info("message accepted again", topic=message.topic, bytes=message.size)
        if self._limit is not None and message.size >= self._limit.size:
            self._limit = None

    def lost(self, in_flight: Iterable[Outgoing], error: ConnectionLostError) -> None:
        """Take note of what was in flight when the broker ended the session."""
        messages = list(in_flight)
        if messages and self._acknowledged and error.over_message is not False:
            # One whose publisher was cancelled may have been followed by others.
            alone = self._alone if len(messages) == 1 else None
            self._unjudged = messages, alone, error.over_message is True

    def judge(self, *, survived: bool) -> bool:
        """Draw the conclusion from the last loss, and return whether a message may have been the reason.

        ``survived`` tells that the broker went on running.
        """
        if self._unjudged is None:
            return False
        (messages, alone, is_certain), self._unjudged = self._unjudged, None
        if not survived:
            # Who runs the broker restarts it, whatever is in flight: no event may be set aside for that.
            messages = [message for message in messages if not message.is_event]
        if not self._suspects:
            # What an earlier session took says nothing: the limit may have been lowered since.
            self._largest_taken = self._largest_in_session
        for message in messages:
            suspect = self._suspects.pop(message.key, None)
            self._suspects[message.key] = _Suspect(1 if suspect is None else suspect.losses + 1, message.size)
        while len(self._suspects) > _MAX_SUSPECTS:
            del self._suspects[next(iter(self._suspects))]
        if alone is not None and alone in messages:
            self._convict(alone, is_certain=is_certain)
        return bool(messages)

    def _convict(self, message: Outgoing, *, is_certain: bool) -> None:
        """Set a message aside that was alone in flight, if there is evidence enough."""
        is_retried = message.key in self._held
        is_over_limit = self._limit is not None and message.size > self._largest_taken
        needed = _EVENT_LOSSES if message.is_event and not is_over_limit else _LOSSES
        is_proven = is_certain or self._suspects[message.key].losses >= needed
        if not is_proven and (message.is_event or not (is_retried or is_over_limit)):
            return
        if message.is_event and not self._may_set_event_aside():
            return
        del self._suspects[message.key]
        if message.size > self._largest_taken:
            self._limit = self._hold(self._limit, message.size)
        else:
            self._held[message.key] = self._hold(self._held.pop(message.key, None), message.size)
            while len(self._held) > _MAX_HELD:
                del self._held[next(iter(self._held))]
        _log.error(
            "the broker closes the connection over a message",
            topic=message.topic,
            bytes=message.size,
            hint="raise the broker's limit (Mosquitto: max_packet_size), or see its log and its access list",
        )

    def _may_set_event_aside(self) -> bool:
        now = self._clock()
        self._events_held_at = [at for at in self._events_held_at if at > now - _EVENTS_PERIOD_S]
        if len(self._events_held_at) >= _MAX_EVENTS:
            return False
        self._events_held_at.append(now)
        return True

    def _hold(self, before: _Held | None, size: int) -> _Held:
        expired = before is not None and self._clock() >= before.until
        seconds = _FIRST_HOLD_S if before is None else before.seconds
        if expired:
            seconds = min(seconds * 2, _LONGEST_HOLD_S)
        return _Held(size, self._clock() + seconds, seconds)

    def _current_limit(self) -> _Held | None:
        """Return the proven limit; one that has expired is tried again, one message at a time."""
        limit = self._limit
        return limit if limit is not None and self._clock() < limit.until else None
