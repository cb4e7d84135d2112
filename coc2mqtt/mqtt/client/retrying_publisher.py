"""Publishing again what the broker does not take just now."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import structlog

from coc2mqtt.mqtt.client.backoff import Backoff
from coc2mqtt.mqtt.client.errors import PublishDeferredError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.mqtt.client.connection import Session

_log = structlog.get_logger()

_QUIET = 60.0


class RetryingPublisher:
    """Publishes over a session until the broker takes the message, for as long as the connection stands.

    A broker with a full queue says so of everything that comes (MQTT 5, "quota exceeded"): what it would not take is
    no worse than what comes after it, and must not be put aside for that. ``deferred`` counts such refusals.
    ``sleep`` waits between the attempts, ``draw`` gives random numbers from 0 to 1.
    """

    def __init__(
        self,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._sleep = sleep
        self._draw = draw
        self._deferring = False
        self._last_at = 0.0
        self.deferred = 0

    async def publish(self, session: Session, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1 and return after the PUBACK that says yes.

        Raises PublishDeniedError, MessageTooLargeError and ConnectionLostError.
        """
        backoff: Backoff | None = None
        while True:
            try:
                await session.publish(topic, payload, retain=retain)
            except PublishDeferredError as error:
                self.deferred += 1
                self._note(error)
                backoff = backoff or Backoff(self._draw)
                await self._sleep(backoff.wait())
            else:
                if self._deferring:
                    self._note(None)
                return

    def _note(self, error: PublishDeferredError | None) -> None:
        """Log when it begins and when it is over, which is after a quiet minute: some come through all the time."""
        now = asyncio.get_running_loop().time()
        if error is not None:
            self._last_at = now
            if not self._deferring:
                self._deferring = True
                _log.warning("messages wait until the broker takes them", reason=str(error))
        elif self._deferring and now - self._last_at >= _QUIET:
            self._deferring = False
            _log.info("the broker takes messages again")
