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


class Broker:
    """Answers each publish with the next of these: an error, or None for yes."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = list(answers)
        self.slept: list[float] = []
        self.patience = RetryingPublisher(sleep=self._sleep, rng=lambda: 1.0)
        self.recording = RecordingSession(self._answer)

    async def _answer(self, _topic: str, _payload: bytes) -> None:
        if self._answers and (answer := self._answers.pop(0)) is not None:
            raise answer

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def publish(self, payload: bytes) -> None:
        await self.patience.publish(self.recording.session, "coc/x", payload, retain=True)


async def test_what_the_broker_does_not_take_just_now_is_published_again_until_it_does() -> None:
    broker = Broker(*[FULL] * 8)
    await broker.publish(b"1")
    assert broker.slept == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [(message.payload, message.retain) for message in broker.recording.published] == [(b"1", True)]
    assert broker.patience.deferred == 8


@pytest.mark.looptime
async def test_its_begin_and_its_end_after_a_quiet_minute_are_each_said_once(log_lines: Lines) -> None:
    # A broker that is full takes some and refuses others all the time.
    broker = Broker(FULL, None, FULL, None, FULL, FULL, None, None, None, FULL)
    for _ in range(4):
        await broker.publish(b"1")
        await asyncio.sleep(20)
    begun = ("warning", "broker rejects messages for now, retrying")
    over = ("info", "broker accepts messages again")
    assert [(line["log_level"], line["event"]) for line in log_lines] == [begun]
    assert log_lines[0]["reason"] == "the broker's queue is full"
    await asyncio.sleep(60)
    await broker.publish(b"1")
    await broker.publish(b"1")
    assert [(line["log_level"], line["event"]) for line in log_lines] == [begun, over, begun]


@pytest.mark.parametrize("error", [PublishDeniedError("no"), MessageTooLargeError("no"), ConnectionLostError("no")])
async def test_what_waiting_does_not_mend_comes_out_at_once(error: Exception) -> None:
    broker = Broker(FULL, error)
    with pytest.raises(type(error)):
        await broker.publish(b"1")
    assert broker.slept == [1]
