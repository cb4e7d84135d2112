from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client.errors import (
    ConnectionLostError,
    MessageTooLargeError,
    PublishDeferredError,
    PublishDeniedError,
)
from coc2mqtt.mqtt.client.retrying_publisher import RetryingPublisher
from tests.support.recording_session import RecordingSession

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    Lines = list[MutableMapping[str, Any]]

FULL = PublishDeferredError("the broker's queue is full")


class FakeBroker:
    """Answers each publish with the next of these: an error, or None for success."""

    def __init__(self, *responses: Exception | None) -> None:
        self._responses = list(responses)
        self.slept: list[float] = []
        self.publisher = RetryingPublisher(sleep=self._sleep, rng=lambda: 1.0)
        self.recording = RecordingSession(self._respond)

    async def _respond(self, _topic: str, _payload: bytes) -> None:
        if self._responses and (response := self._responses.pop(0)) is not None:
            raise response

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def publish(self, payload: bytes) -> None:
        await self.publisher.publish(self.recording.session, "coc/x", payload, retain=True)


async def test_deferred_message_is_retried_until_accepted() -> None:
    broker = FakeBroker(*[FULL] * 8)
    await broker.publish(b"1")
    assert broker.slept == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [(message.payload, message.retain) for message in broker.recording.published] == [(b"1", True)]
    assert broker.publisher.deferred == 8


@pytest.mark.looptime
async def test_deferral_and_recovery_after_a_quiet_minute_are_logged_once_each(log_lines: Lines) -> None:
    # A full broker still accepts some messages between the rejected ones.
    broker = FakeBroker(FULL, None, FULL, None, FULL, FULL, None, None, None, FULL)
    for _ in range(4):
        await broker.publish(b"1")
        await asyncio.sleep(20)
    deferred = ("warning", "broker rejects messages for now, retrying")
    recovered = ("info", "broker accepts messages again")
    assert [(line["log_level"], line["event"]) for line in log_lines] == [deferred]
    assert log_lines[0]["reason"] == "the broker's queue is full"
    await asyncio.sleep(60)
    await broker.publish(b"1")
    await broker.publish(b"1")
    assert [(line["log_level"], line["event"]) for line in log_lines] == [deferred, recovered, deferred]


@pytest.mark.parametrize("error", [PublishDeniedError("no"), MessageTooLargeError("no"), ConnectionLostError("no")])
async def test_error_that_a_retry_cannot_fix_is_raised_at_once(error: Exception) -> None:
    broker = FakeBroker(FULL, error)
    with pytest.raises(type(error)):
        await broker.publish(b"1")
    assert broker.slept == [1]
