"""Publishing retained messages, and keeping track of them: checksums of published payloads, and rejected topics."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.mqtt.client.errors import MessageTooLargeError, PublishDeniedError
from coc2mqtt.mqtt.client.retrying_publisher import RetryingPublisher

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.mqtt.client.connection import Session
    from coc2mqtt.mqtt.topics import Topics

_log = structlog.get_logger()

# Topics that are logged per connection: a broker may reject every one of thousands.
_MAX_LOGGED = 20
# How long a published message may take to come back from a broker that has a lot to send.
_MAX_ECHO_DELAY_S = 30.0
_MAX_ECHOES = 4000
_MESSAGE_REJECTED = "broker rejected a retained message"
_MESSAGE_REJECTED_HINT = "fix the cause on the broker; the message is retried every two minutes"
_MESSAGE_ACCEPTED = "broker accepts retained messages on this topic again"
# The attributes of PublishedState that are checksums.
_FACETS = frozenset(
    {"availability", "badge", "clan", "cwl", "games", "last_war", "members", "player", "poll", "raid", "ranked", "war"}
)


class Echoes:
    """The own retained messages that an MQTT 3.1.1 broker may still send back after newer ones were published.

    Times are the event loop's, in seconds.
    """

    def __init__(self) -> None:
        self._published_at: dict[int, float] = {}

    def add(self, topic: str, payload: bytes, now: float) -> None:
        """Add a message that is published now."""
        key = hash((topic, payload))
        self._published_at.pop(key, None)
        self._published_at[key] = now
        if len(self._published_at) > _MAX_ECHOES:
            del self._published_at[next(iter(self._published_at))]

    def possible_until(self, topic: str, payload: bytes) -> float:
        """Return until when a received message may be an echo, minus infinity if it was never published."""
        return self._published_at.get(hash((topic, payload)), -math.inf) + _MAX_ECHO_DELAY_S


class RejectedTopics:
    """The retained topics whose last message the broker rejected.

    ``count`` is the number of rejected messages since the program started.
    """

    def __init__(self) -> None:
        self.count = 0
        # By topic: whether the broker may accept the same message later.
        self._retryable: dict[str, bool] = {}
        self._logged = 0
        self._last_reason = ""

    def on_rejected(self, topic: str, error: PublishDeniedError | MessageTooLargeError) -> None:
        """Count and store a rejected message; log the first one of its topic."""
        self.count += 1
        self._last_reason = str(error)
        if topic not in self._retryable and self._logged < _MAX_LOGGED:
            self._logged += 1
            _log.error(_MESSAGE_REJECTED, topic=topic, reason=str(error), hint=_MESSAGE_REJECTED_HINT)
        # A size limit from the CONNACK does not change while the connection lasts.
        self._retryable[topic] = not (isinstance(error, MessageTooLargeError) and error.exceeds_announced_limit)

    def on_accepted(self, topic: str) -> None:
        """Handle an accepted message."""
        if self._retryable.pop(topic, None) is not None:
            _log.info(_MESSAGE_ACCEPTED, topic=topic)

    def forget(self, topic: str) -> None:
        """Forget an unused topic."""
        self._retryable.pop(topic, None)

    def clear(self) -> None:
        """Forget all topics, for a new connection."""
        self._retryable.clear()
        self._logged = 0

    def is_retryable(self, topic: str) -> bool:
        """Return whether the last message on a topic was rejected and may be accepted later."""
        return self._retryable.get(topic, False)

    @property
    def any_retryable(self) -> bool:
        """Whether any rejected message may be accepted later."""
        return any(self._retryable.values())

    @property
    def problem(self) -> str | None:
        """A sentence about the topics that are rejected now, None if there are none."""
        if not self._retryable:
            return None
        return f"the broker rejects {len(self._retryable)} of the retained messages: {self._last_reason}"


class RetainedPublisher:
    """Publishes retained messages over a session, and remembers the last payloads of the bridge's and the API's topics.

    With MQTT 3.1.1, ``echoes`` contains every published message, because the broker sends them back.
    """

    def __init__(self, topics: Topics, publisher: RetryingPublisher | None = None) -> None:
        self._publisher = publisher or RetryingPublisher()
        # Only these topics are keys; None is an unpublished one.
        self._checksums: dict[str, int | None] = dict.fromkeys(
            [
                *(topics.bridge(name) for name in ("state", "info", "watches", "last_command")),
                topics.api_status,
                topics.api_calendar,
            ]
        )
        self.echoes = Echoes()
        self.rejected_topics = RejectedTopics()

    def on_connected(self) -> None:
        """Forget the last payloads and the rejected topics, for a new connection."""
        self._checksums = dict.fromkeys(self._checksums)
        self.rejected_topics.clear()

    async def publish(self, session: Session, topic: str, payload: bytes) -> bool:
        """Publish one retained message; return whether the broker accepted it.

        A rejected message is counted, logged once for its topic, and skipped.
        """
        if topic in self._checksums:
            self._checksums[topic] = hash(payload)
        if session.protocol != "5":
            self.echoes.add(topic, payload, asyncio.get_running_loop().time())
        try:
            await self._publisher.publish(session, topic, payload, retain=True)
        except (PublishDeniedError, MessageTooLargeError) as error:
            self.rejected_topics.on_rejected(topic, error)
            return False
        self.rejected_topics.on_accepted(topic)
        return True

    def forget(self, topic: str) -> None:
        """Forget the last payload of a topic of the bridge or API, which another client has overwritten."""
        if topic in self._checksums:
            self._checksums[topic] = None

    def remembers(self, topic: str) -> bool:
        """Return whether the last payload of a topic is remembered here."""
        return topic in self._checksums

    def matches_published(self, topic: str, payload: bytes) -> bool | None:
        """Return whether a payload is the last one published on a topic of the bridge or API; None if there is none."""
        checksum = self._checksums.get(topic)
        return None if checksum is None else checksum == hash(payload)


@dataclass(slots=True)
class PublishedState:
    """Checksums of the published states of a clan (with its parts) or a player, None for an unpublished state.

    ``polled_at`` is the last published poll time (Unix time in seconds). ``found`` is whether the API knew the clan or
    player in its last response, None before anything was published. ``roster`` is the ``members_hash`` of a clan's
    published members, ``names`` that of their tags and names. Checksums instead of payloads, and facets instead of
    topics, keep this small for 10,000 watches.
    """

    polled_at: float | None = None
    found: bool | None = None
    roster: int | None = None
    names: int | None = None
    availability: int | None = None
    badge: int | None = None
    clan: int | None = None
    cwl: int | None = None
    games: int | None = None
    last_war: int | None = None
    members: int | None = None
    player: int | None = None
    poll: int | None = None
    raid: int | None = None
    ranked: int | None = None
    war: int | None = None

    def checksum(self, facet: str) -> int | None:
        """Return the checksum of a facet, None for an unpublished or unknown one."""
        return getattr(self, facet) if facet in _FACETS else None

    def matches(self, facet: str, payload: bytes) -> bool:
        """Return whether a facet was last published with this payload."""
        return self.checksum(facet) == hash(payload)

    def store(self, facet: str, payload: bytes) -> None:
        """Store the checksum of a facet."""
        setattr(self, facet, hash(payload))

    def forget(self, facet: str) -> None:
        """Forget the checksum of a facet."""
        if facet in _FACETS:
            setattr(self, facet, None)
        if facet == "members":
            self.roster = None

    def forget_all(self, facets: Iterable[str] | None = None) -> None:
        """Forget the checksums of some facets, or of all with the poll time."""
        if facets is None:
            self.polled_at = None
        for facet in _FACETS if facets is None else facets:
            self.forget(facet)


class PlayersByClan:
    """The clan of each watched player, and the watched players of each clan."""

    def __init__(self) -> None:
        self._clans: dict[str, str] = {}
        self._players: dict[str, set[str]] = {}

    def set_clan(self, player_tag: str, clan_tag: str | None) -> None:
        """Store the clan of a player; None if they are in none or their watch was removed."""
        before = self._clans.pop(player_tag, None)
        if before is not None:
            self._players[before].discard(player_tag)
            if not self._players[before]:
                del self._players[before]
        if clan_tag is not None:
            self._clans[player_tag] = clan_tag
            self._players.setdefault(clan_tag, set()).add(player_tag)

    def in_clan(self, clan_tag: str) -> list[str]:
        """Return the tags of a clan's watched players, sorted."""
        return sorted(self._players.get(clan_tag, ()))
