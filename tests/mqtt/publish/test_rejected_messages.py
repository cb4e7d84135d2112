"""Rejected retained messages are retried, so that nothing has to be restarted after an access list was fixed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client.errors import PublishDeniedError
from tests.support.bridge_parts import DEVICE, Parts
from tests.support.recording_session import RecordingSession, running

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    Lines = list[MutableMapping[str, Any]]


AVAILABILITY, BADGE = (f"coc/clan/2PP/state/{facet}" for facet in ("availability", "badge"))


@pytest.mark.looptime
@pytest.mark.parametrize("rejected", [DEVICE, AVAILABILITY, BADGE])
async def test_rejected_message_is_retried_until_accepted_and_both_are_logged(log_lines: Lines, rejected: str) -> None:
    fixed = False

    async def reject(topic: str, _payload: bytes) -> None:
        if topic == rejected and not fixed:
            raise PublishDeniedError("allow the topic")

    parts, recording = Parts(), RecordingSession(reject)
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(600)
        assert rejected not in recording.topics
        assert [line["event"] for line in log_lines if line.get("topic") == rejected] == [
            "broker rejected a retained message"
        ]
        fixed = True
        await asyncio.sleep(125)
        assert recording.topics.count(rejected) == 1
        assert [line["event"] for line in log_lines if line.get("topic") == rejected][1:] == [
            "broker accepts retained messages on this topic again"
        ]
        before = len(recording.published_on("coc/bridge/info"))
        await asyncio.sleep(600)
        assert recording.topics.count(rejected) == 1
        assert len(recording.published_on("coc/bridge/info")) == before


@pytest.mark.looptime
async def test_retries_happen_every_two_minutes_and_skip_accepted_messages() -> None:
    async def reject(topic: str, _payload: bytes) -> None:
        if topic == AVAILABILITY:
            raise PublishDeniedError("allow the topic")

    parts, recording = Parts(), RecordingSession(reject)
    async with running(parts.bridge.serve(recording.session)):
        for _ in range(600):
            parts.bridge.health_changed()
            await asyncio.sleep(1)
    assert 4 <= len(recording.published_on("coc/bridge/info")) <= 6
    assert recording.topics.count(DEVICE) == 1


@pytest.mark.looptime
async def test_rejected_messages_of_an_unwatched_clan_are_not_retried() -> None:
    async def reject(topic: str, _payload: bytes) -> None:
        if topic == AVAILABILITY:
            raise PublishDeniedError("allow the topic")

    parts, recording = Parts(), RecordingSession(reject)
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(60)
        (watch,) = parts.watches.watches.values()
        parts.watches.watches.clear()
        parts.retained.mark_watch(watch)
        await asyncio.sleep(600)
    assert len(recording.published_on("coc/bridge/info")) <= 2
