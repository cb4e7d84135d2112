"""Detection of other bridges that use the same client ID or base topic."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Annotated

import structlog
from pydantic import AfterValidator, BaseModel, ValidationError

from coc2mqtt.mqtt.client.errors import SessionTakenOverError, SubscribeDeniedError, SubscribeTimeoutError
from coc2mqtt.mqtt.payloads.models import OnlinePayload
from coc2mqtt.util.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection

    from coc2mqtt.mqtt.client.connection import Message, Session
    from coc2mqtt.mqtt.topics import Topics

_log = structlog.get_logger()

# A broker sends retained messages right after the SUBACK, and nothing at all if it has none.
_RETAINED_TIMEOUT_S = 0.5
_SECOND_TIMEOUT_S = 0.1
_MAX_TEXT_LENGTH = 64
# A bridge counts as gone after this many checks in a row without a new health report. Checks are 30 to 60 s apart,
# and a running bridge reports every 30 s. After a power cut, the broker may keep its "online" forever.
_MAX_CHECKS_WITHOUT_HEALTH = 3


# Texts of another program must not forge log lines.
_Printable = Annotated[str, AfterValidator(functools.partial(printable, max_length=_MAX_TEXT_LENGTH))]


class _Info(BaseModel):
    """The keys of another bridge's ``bridge/info``, of any version, that identify it."""

    instance: _Printable
    run_id: _Printable = ""
    host: _Printable = "unknown"
    version: _Printable = "unknown"


class DuplicateInstanceDetector:
    """Detects other bridges by their retained ``bridge/info``.

    Two bridges with the same instance name have the same client ID, and the broker disconnects the first one when the
    second one connects: without detection they would disconnect each other forever. MQTT 5 has a reason code for this,
    but not every broker sends it, and MQTT 3.1.1 has none.

    ``run_id`` identifies this process in ``bridge/info``.
    """

    def __init__(self, topics: Topics, *, instance: str, run_id: str) -> None:
        self._topics = topics
        self._instance = instance
        self._run_id = run_id
        # Whether the retained bridge/info names another instance with the same base topic.
        self.is_base_topic_shared = False
        # Describes another bridge that published below the same base topic in this run.
        self.other_bridge: str | None = None
        self._checked_before = False
        # Run ids that do not mean a take-over: the one found before this process first connected, which a broker can
        # restore from an old save, and the one that a bridge left behind, until ours is published.
        self._initial_run_id: str | None = None
        self._abandoned_run_id: str | None = None
        # The run id that was logged: a broker that reports a take-over does not say by whom.
        self._logged_run_id: str | None = None
        self._last_health: bytes | None = None
        self._checks_without_health = 0
        self._received_own_info = self._warned_of_other = self._warned_of_unreadable = False

    async def check(self, session: Session) -> None:
        """Subscribe to ``bridge/info``; raises SessionTakenOverError if another bridge has taken over the connection.

        The first check of a process only records what it finds: a retained name may belong to a bridge that is long
        gone. A new name on a later check means that the other bridge connected after this one.
        """
        topic = self._topics.bridge("info")
        try:
            await session.subscribe(topic)
        except (SubscribeDeniedError, SubscribeTimeoutError):
            return  # not allowed by the access list: only the broker's reason code can tell
        payload = (await self._read_retained(session, topic)).get(topic)
        info = None if payload is None else _parse(payload)
        self.is_base_topic_shared = info is not None and info.instance != self._instance
        other = self._other_instance(payload)
        if other is not None and other.run_id not in (self._initial_run_id, self._abandoned_run_id):
            if self._checked_before:
                self._logged_run_id = other.run_id
                raise SessionTakenOverError(self._taken_over_by(other))
            self._initial_run_id = other.run_id
        self._checked_before = True

    def info_published(self) -> None:
        """Record that the broker accepted our ``bridge/info``: any other run id there is new from now on."""
        self._abandoned_run_id = None

    def handle(self, message: Message) -> None:
        """Handle a message; logs once if another bridge has just published on ``bridge/info``."""
        if message.topic != self._topics.bridge("info"):
            return
        other = _parse(message.payload)
        if other is not None and other.run_id == self._run_id:
            self._received_own_info = True
        elif other is not None and not message.retain:
            self.other_bridge = f"another coc2mqtt (instance {other.instance!r} on {other.host})"
            if self._warned_of_other:
                return
            self._warned_of_other = True
            _log.error(
                "another bridge publishes below the same base topic",
                instance=other.instance,
                host=other.host,
                hint="stop one of the two, or give each its own mqtt.base_topic and instance",
            )

    def warn_if_unreadable(self) -> None:
        """Log once if not even our own ``bridge/info`` was received, so that a duplicate would not be detected."""
        if not self._received_own_info and not self._warned_of_unreadable:
            self._warned_of_unreadable = True
            _log.warning(
                "cannot detect another bridge with the same instance name",
                topic=self._topics.bridge("info"),
                hint="let this user read bridge/info, bridge/state and bridge/health on the broker",
            )

    async def is_alive(self, session: Session) -> bool:
        """Return whether another bridge with the same instance name is online and still publishes its health."""
        state, info, health = (self._topics.bridge(name) for name in ("state", "info", "health"))
        for topic in (state, info, health):
            await session.subscribe(topic)
        found = await self._read_retained(session, state, info, health)
        other = self._other_instance(found.get(info))
        if other is None:
            return False
        if other.run_id != self._logged_run_id:
            self._logged_run_id = other.run_id
            _log.error("the other client is a bridge with the same instance name", reason=self._taken_over_by(other))
        is_online = found.get(state) == OnlinePayload(state="online").encode()
        if is_online and self._publishes_health(found.get(health)):
            return True
        self._abandoned_run_id = other.run_id
        self._last_health, self._checks_without_health = None, 0
        return False

    def _publishes_health(self, health: bytes | None) -> bool:
        if health is not None and health != self._last_health:
            self._last_health, self._checks_without_health = health, 0
        else:
            self._checks_without_health += 1
        return self._checks_without_health < _MAX_CHECKS_WITHOUT_HEALTH

    async def _read_retained(self, session: Session, *topics: str) -> dict[str, bytes]:
        """Return the retained messages of topics that were just subscribed to."""
        found = await _receive(session, topics, within=_RETAINED_TIMEOUT_S)
        missing = [topic for topic in topics if topic not in found]
        # A busy machine may take longer for them than the timeout: after another SUBACK, the broker sends them again.
        for topic in missing:
            await session.subscribe(topic)
        return found | (await _receive(session, missing, within=_SECOND_TIMEOUT_S) if missing else {})

    def _other_instance(self, payload: bytes | None) -> _Info | None:
        """Return the info of another process with our instance name, None for this process or an invalid payload."""
        other = None if payload is None else _parse(payload)
        is_duplicate = other is not None and other.instance == self._instance and other.run_id != self._run_id
        return other if is_duplicate else None

    def _taken_over_by(self, other: _Info) -> str:
        return (
            f"another coc2mqtt (version {other.version} on {other.host}) with the instance name {self._instance!r} has"
            " taken over the connection: stop one of the two, or give each its own instance name and mqtt.base_topic"
        )


async def _receive(session: Session, topics: Collection[str], *, within: float) -> dict[str, bytes]:
    """Return the messages on these topics that arrive within some seconds, at most one for each."""
    found: dict[str, bytes] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            async for message in session.messages():
                if message.topic in topics:
                    found[message.topic] = message.payload
                if len(found) == len(topics):
                    break
    return found


def _parse(payload: bytes) -> _Info | None:
    try:
        return _Info.model_validate_json(payload)
    except ValidationError:
        return None
