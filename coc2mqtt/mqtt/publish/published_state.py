"""What was published over this connection, as checksums."""

from __future__ import annotations

import math
from dataclasses import dataclass

# How long (seconds) a published message may take to come back from a broker that has a lot to send.
_LATEST_ECHO_S = 30.0
_MAX_ECHOES = 4000


@dataclass(slots=True)
class PublishedState:
    """Checksums of the states of a clan (with its war) or a player, None for what was not published.

    ``polled_at`` is the poll that was last published (Unix time in seconds), ``found`` whether the API knew the clan or
    the player when it last answered, None before anything was published. A checksum per facet, and no topic, keeps
    this small for ten thousand watches.
    """

    polled_at: float | None = None
    found: bool | None = None
    availability: int | None = None
    badge: int | None = None
    clan: int | None = None
    player: int | None = None
    poll: int | None = None
    war: int | None = None

    def checksum(self, facet: str) -> int | None:
        """Return the checksum of what was published of a facet; None also for an unknown facet."""
        return getattr(self, facet) if facet in _FACETS else None

    def matches(self, facet: str, payload: bytes) -> bool:
        """Return whether a facet was published like that."""
        return self.checksum(facet) == hash(payload)

    def note(self, facet: str, payload: bytes) -> None:
        """Take note of what is published."""
        setattr(self, facet, hash(payload))

    def forget(self, facet: str) -> None:
        """Forget what was published of a facet."""
        if facet in _FACETS:
            setattr(self, facet, None)

    def forget_all(self) -> None:
        """Forget what was published of every facet."""
        for facet in _FACETS:
            setattr(self, facet, None)


class Echoes:
    """The retained messages that an MQTT 3.1.1 broker may still send back, after newer ones were published.

    Times are the event loop's, in seconds.
    """

    def __init__(self) -> None:
        self._published_at: dict[int, float] = {}

    def expect(self, topic: str, payload: bytes, now: float) -> None:
        """Note a message that is published now."""
        key = hash((topic, payload))
        self._published_at.pop(key, None)
        self._published_at[key] = now
        if len(self._published_at) > _MAX_ECHOES:
            del self._published_at[next(iter(self._published_at))]

    def until(self, topic: str, payload: bytes) -> float:
        """Return until when a message may be an echo; minus infinity if it was not published."""
        return self._published_at.get(hash((topic, payload)), -math.inf) + _LATEST_ECHO_S


_FACETS = frozenset({"availability", "badge", "clan", "player", "poll", "war"})
