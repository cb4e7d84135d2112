"""Other bridges that publish where this one does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import structlog
from pydantic import AfterValidator, BaseModel, ValidationError

from coc2mqtt.mqtt.client.errors import SessionTakenOverError, SubscribeDeniedError, SubscribeTimeoutError
from coc2mqtt.mqtt.payloads.models import OnlinePayload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.mqtt.client.connection import Message, Session
    from coc2mqtt.mqtt.topics import Topics

_log = structlog.get_logger()

# A broker sends what is retained right after the SUBACK; one that retains nothing says nothing (seconds).
_LOOK = 0.5
_LONGEST = 64
# So many looks in a row, half a minute to a minute apart, without news of its health, which comes every half minute,
# and a bridge is gone: what a broker kept through a power cut says "online" for ever.
_SILENT_LOOKS = 3


def _plain(text: str) -> str:
    """Make a text of another program fit for a line of our log."""
    return "".join(character if character.isprintable() else "?" for character in text[:_LONGEST])


Plain = Annotated[str, AfterValidator(_plain)]


class _Info(BaseModel):
    """As much of another bridge's ``bridge/info``, of whatever version, as tells which one it is."""

    instance: Plain
    run_id: Plain = ""
    host: Plain = "unknown"
    version: Plain = "unknown"


class DuplicateInstanceDetector:
    """Recognises by the retained ``bridge/info`` that another bridge publishes where this one does.

    Two bridges of the same instance have the same client id, and the broker lets only the later one in: each would
    throw the other out for ever. MQTT 5 has a word for that, but not every broker says it, and MQTT 3.1.1 has none.
    ``run_id`` is this program's own in ``bridge/info``.
    """

    def __init__(self, topics: Topics, *, instance: str, run_id: str) -> None:
        self._topics = topics
        self._instance = instance
        self._run_id = run_id
        # Whether another instance has, or had, the same base topic.
        self.is_shared = False
        # The other bridge, in words, that was heard below the same base topic.
        self.other: str | None = None
        self._looked = False
        # Names that are no news: the one that was there before this program began, which a broker that falls back to
        # an earlier save brings up again; and the one that who left the place has left behind, until ours is there.
        self._first: str | None = None
        self._left_behind: str | None = None
        # The one that the log has named: a broker that reports a take-over does not say by whom.
        self._named: str | None = None
        self._health: bytes | None = None
        self._silent_looks = 0
        self._heard_ourselves = self._warned_of_other = self._warned_of_deafness = False

    async def look(self, session: Session) -> None:
        """Begin to listen for others; raises SessionTakenOverError where one has been in this one's place.

        Whoever comes first looks and passes by: what a broker retains may be of a bridge that is long gone. But who
        comes back, and finds a new name where its own was, has been replaced, and has just thrown that one out.
        """
        topic = self._topics.bridge("info")
        try:
            await session.subscribe(topic)
        except (SubscribeDeniedError, SubscribeTimeoutError):
            return  # an access list that does not grant it: then only the broker's own word tells
        info = (await self._retained(session, [topic])).get(topic)
        named = None if info is None else _read(info)
        self.is_shared = named is not None and named.instance != self._instance
        other = self._double(info)
        if other is not None and other.run_id not in (self._first, self._left_behind):
            if self._looked:
                self._named = other.run_id
                raise SessionTakenOverError(self._say(other))
            self._first = other.run_id
        self._looked = True

    def introduced(self) -> None:
        """Note that the broker has taken this one's ``bridge/info``: another name there is news from now on."""
        self._left_behind = None

    def hear(self, message: Message) -> None:
        """Take up a message; one on ``bridge/info`` that another bridge has just published is said once."""
        if message.topic != self._topics.bridge("info"):
            return
        other = _read(message.payload)
        if other is not None and other.run_id == self._run_id:
            self._heard_ourselves = True
        elif other is not None and not message.retain:
            self.other = f"another coc2mqtt (instance {other.instance!r} on {other.host})"
            if self._warned_of_other:
                return
            self._warned_of_other = True
            _log.error(
                f"another coc2mqtt (instance {other.instance!r} on {other.host}) publishes below the same base topic:"
                " stop one of the two, or give each a mqtt.base_topic and an instance of its own"
            )

    def check_hearing(self) -> None:
        """Say once that a take-over cannot be recognised, where not even our own ``bridge/info`` came back."""
        if not self._heard_ourselves and not self._warned_of_deafness:
            self._warned_of_deafness = True
            _log.warning(
                "another bridge of this instance would not be recognised: let this user read bridge/info, bridge/state"
                " and bridge/health on the broker",
                topic=self._topics.bridge("info"),
            )

    async def is_there(self, session: Session) -> bool:
        """Return whether a bridge of the same instance, but another program, is online and gives signs of life."""
        state, info, health = (self._topics.bridge(what) for what in ("state", "info", "health"))
        for topic in (state, info, health):
            await session.subscribe(topic)
        found = await self._retained(session, [state, info, health])
        other = self._double(found.get(info))
        if other is None:
            return False
        if other.run_id != self._named:
            self._named = other.run_id
            _log.error("the other client is a bridge of the same instance", reason=self._say(other))
        if found.get(state) == OnlinePayload(state="online").encode() and self._lives(found.get(health)):
            return True
        self._left_behind = other.run_id
        self._health, self._silent_looks = None, 0
        return False

    def _lives(self, health: bytes | None) -> bool:
        if health is not None and health != self._health:
            self._health, self._silent_looks = health, 0
        else:
            self._silent_looks += 1
        return self._silent_looks < _SILENT_LOOKS

    async def _retained(self, session: Session, topics: Iterable[str]) -> dict[str, bytes]:
        """Return what is retained on topics that were just subscribed to."""
        found: dict[str, bytes] = {}
        wanted = set(topics)
        try:
            async with asyncio.timeout(_LOOK):
                async for message in session.messages():
                    if message.topic in wanted:
                        found[message.topic] = message.payload
                    if found.keys() == wanted:
                        break
        except TimeoutError:
            pass
        return found

    def _double(self, payload: bytes | None) -> _Info | None:
        """Return who says that it is a bridge of this instance, None where it is this program or nobody."""
        other = None if payload is None else _read(payload)
        same = other is not None and other.instance == self._instance and other.run_id != self._run_id
        return other if same else None

    def _say(self, other: _Info) -> str:
        return (
            f"another coc2mqtt (version {other.version} on {other.host}) with the instance name {self._instance!r} has"
            " taken over the connection: stop one of the two, or give each an instance name and a mqtt.base_topic of"
            " its own"
        )


def _read(payload: bytes) -> _Info | None:
    try:
        return _Info.model_validate_json(payload)
    except ValidationError:
        return None
