"""Other bridges that publish where this one does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from pydantic import BaseModel, ValidationError

from coc2mqtt.mqtt.errors import SessionTakenOverError, SubscribeDeniedError
from coc2mqtt.mqtt.payloads import OnlinePayload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.mqtt.connection import Message, Session
    from coc2mqtt.mqtt.topics import Topics

_log = structlog.get_logger()

# A broker sends what is retained right after the SUBACK; one that retains nothing says nothing (seconds).
_LOOK = 0.5


class _Info(BaseModel):
    """As much of another bridge's ``bridge/info``, of whatever version, as tells which one it is."""

    instance: str
    run_id: str = ""
    host: str = "unknown"
    version: str = "unknown"


class Rivals:
    """Recognises by the retained ``bridge/info`` that another bridge publishes where this one does.

    Two bridges of the same instance have the same client id, and the broker lets only the later one in: each would
    throw the other out for ever. MQTT 5 has a word for that, but not every broker says it, and MQTT 3.1.1 has none.
    ``run_id`` is this program's own in ``bridge/info``.
    """

    def __init__(self, topics: Topics, *, instance: str, run_id: str) -> None:
        self._topics = topics
        self._instance = instance
        self._run_id = run_id
        # Whose name was there at the last look, as long as ours is not known to have taken its place.
        self._before: str | None = None
        self._looked = False
        self._warned = False

    async def look(self, session: Session) -> None:
        """Begin to listen for others; raises SessionTakenOverError where one has been in this one's place.

        Whoever comes first looks and passes by: what a broker retains may be of a bridge that is long gone. But who
        comes back, and finds another one's name where its own was, has been replaced, and has just thrown that one out.
        """
        topic = self._topics.bridge("info")
        try:
            await session.subscribe(topic)
        except SubscribeDeniedError:
            return  # an access list that does not grant it: then only the broker's own word tells
        found = await self._retained(session, [topic])
        other = _read(found[topic]) if topic in found else None
        if other is not None and other.instance == self._instance and other.run_id not in (self._run_id, self._before):
            if self._looked:
                raise SessionTakenOverError(self._say(other))
            self._before = other.run_id
        self._looked = True

    def introduced(self) -> None:
        """Note that the broker has taken this one's ``bridge/info``: from now on another name there is news."""
        self._before = None

    def hear(self, message: Message) -> None:
        """Take up a message; one on ``bridge/info`` that another bridge has just published is said once."""
        if message.topic != self._topics.bridge("info") or message.retain or self._warned:
            return
        other = _read(message.payload)
        if other is not None and other.run_id != self._run_id:
            self._warned = True
            _log.error(
                f"another coc2mqtt (instance {other.instance!r} on {other.host}) publishes below the same base topic:"
                " stop one of the two, or give each a mqtt.base_topic and an instance of its own"
            )

    async def is_there(self, session: Session) -> bool:
        """Return whether a bridge of the same instance, but another program, is online."""
        state, info = self._topics.bridge("state"), self._topics.bridge("info")
        for topic in (state, info):
            await session.subscribe(topic)
        found = await self._retained(session, [state, info])
        other = _read(found[info]) if info in found else None
        if other is None or other.instance != self._instance or other.run_id == self._run_id:
            return False
        if found.get(state) == OnlinePayload(state="online").encode():
            return True
        self._before = other.run_id  # it has left its name behind, which is no news then
        return False

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
