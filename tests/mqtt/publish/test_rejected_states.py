"""What the broker refused is said again, so that whoever mends an access list need not restart anything."""

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
@pytest.mark.parametrize("refused", [DEVICE, AVAILABILITY, BADGE])
async def test_a_state_that_was_refused_arrives_within_minutes_of_the_mend_and_that_is_said(
    log_lines: Lines, refused: str
) -> None:
    mended = False

    async def refuse(topic: str, _payload: bytes) -> None:
        if topic == refused and not mended:
            raise PublishDeniedError("allow the topic")

    parts, recording = Parts(), RecordingSession(refuse)
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(600)
        assert refused not in recording.topics
        assert [line["event"] for line in log_lines if line.get("topic") == refused] == [
            "broker rejected a retained message"
        ]
        mended = True
        await asyncio.sleep(125)
        assert recording.topics.count(refused) == 1
        assert [line["event"] for line in log_lines if line.get("topic") == refused][1:] == [
            "broker accepts retained messages on this topic again"
        ]
        before = len(recording.said_on("coc/bridge/info"))
        await asyncio.sleep(600)
        assert recording.topics.count(refused) == 1
        assert len(recording.said_on("coc/bridge/info")) == before


@pytest.mark.looptime
async def test_while_something_is_refused_the_rest_is_not_said_again_more_often_than_every_two_minutes() -> None:
    async def refuse(topic: str, _payload: bytes) -> None:
        if topic == AVAILABILITY:
            raise PublishDeniedError("allow the topic")

    parts, recording = Parts(), RecordingSession(refuse)
    async with running(parts.bridge.serve(recording.session)):
        for _ in range(600):
            parts.bridge.report()
            await asyncio.sleep(1)
    assert 4 <= len(recording.said_on("coc/bridge/info")) <= 6
    assert recording.topics.count(DEVICE) == 1


@pytest.mark.looptime
async def test_what_was_refused_of_a_clan_that_is_not_watched_any_more_is_forgotten() -> None:
    async def refuse(topic: str, _payload: bytes) -> None:
        if topic == AVAILABILITY:
            raise PublishDeniedError("allow the topic")

    parts, recording = Parts(), RecordingSession(refuse)
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(60)
        (watch,) = parts.watches.watches.values()
        parts.watches.watches.clear()
        parts.retained.mark_watch(watch)
        await asyncio.sleep(600)
    assert len(recording.said_on("coc/bridge/info")) <= 2
