"""Publishing with retries while the broker rejects messages for now."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.mqtt.client.errors import PublishDeferredError
from coc2mqtt.mqtt.client.reconnect import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.mqtt.client.connection import Session

_log = structlog.get_logger()

_QUIET_PERIOD_S = 60.0


class RetryingPublisher:
    """Publishes over a session and retries until the broker accepts the message or the connection is lost.

    A broker with a full queue rejects every message (MQTT 5, "quota exceeded"), so such a message must not be skipped.
    ``deferred`` counts these rejections. ``sleep`` waits between the attempts, ``rng`` returns random numbers from 0
    to 1.
    """

    def __init__(
        self,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._sleep = sleep
        self._rng = rng
        self._is_deferring = False
        self._last_deferred_at = 0.0
        self.deferred = 0

    async def publish(self, session: Session, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1 and return once the broker has accepted the message.

        Raises PublishDeniedError, MessageTooLargeError and ConnectionLostError.
        """
        backoff: Backoff | None = None
        while True:
            try:
                await session.publish(topic, payload, retain=retain)
            except PublishDeferredError as error:
                self._on_deferred(error)
                backoff = backoff or Backoff(self._rng)
                await self._sleep(backoff.next_delay())
            else:
                if self._is_deferring:
                    self._on_accepted()
                return

    def _on_deferred(self, error: PublishDeferredError) -> None:
        self.deferred += 1
        self._last_deferred_at = asyncio.get_running_loop().time()
        if not self._is_deferring:
            self._is_deferring = True
            _log.warning("broker rejects messages for now, retrying", reason=str(error))

    def _on_accepted(self) -> None:
        # A full broker still accepts some messages, so the recovery is logged only after a quiet minute.
        if asyncio.get_running_loop().time() - self._last_deferred_at >= _QUIET_PERIOD_S:
            self._is_deferring = False
            _log.info("broker accepts messages again")
