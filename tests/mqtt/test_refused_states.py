"""What the broker refused is said again, so that whoever mends an access list need not restart anything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.errors import PublishDeniedError
from tests.mqtt.parts import DEVICE, Parts
from tests.mqtt.recording import RecordingSession, running

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    Lines = list[MutableMapping[str, Any]]


@pytest.mark.looptime
async def test_a_state_that_was_refused_arrives_within_minutes_of_the_mend_and_that_is_said(log_lines: Lines) -> None:
    mended = False

    async def refuse(topic: str, _payload: bytes) -> None:
        if topic == DEVICE and not mended:
            raise PublishDeniedError("allow the topic")

    parts, recording = Parts(), RecordingSession(refuse)
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(600)
        assert DEVICE not in recording.topics
        assert [line["event"] for line in log_lines if line.get("topic") == DEVICE] == ["a state was not accepted"]
        mended = True
        await asyncio.sleep(125)
        assert recording.topics.count(DEVICE) == 1
        assert [line["event"] for line in log_lines if line.get("topic") == DEVICE][1:] == ["a state is accepted again"]
        before = len(recording.said_on("coc/bridge/info"))
        await asyncio.sleep(600)
        assert recording.topics.count(DEVICE) == 1
        assert len(recording.said_on("coc/bridge/info")) == before
