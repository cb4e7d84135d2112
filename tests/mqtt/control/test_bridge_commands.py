"""The commands by the public door: a request that comes in over a connection, and what is published then."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import orjson
import pytest

from coc2mqtt.mqtt.client.session import Message
from tests.support.bridge_parts import EVENT, Parts
from tests.support.recording_session import RecordingSession, running


async def answer(recording: RecordingSession, command: str, payload: bytes | dict[str, Any]) -> Any:
    """Ask, and return the answer; it must come with the request's correlation data, on the usual topic."""
    topic, before = f"coc/bridge/response/{command}", len(recording.published)
    payload = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    recording.incoming.put_nowait(Message(f"coc/bridge/request/{command}", payload, correlation_data=b"7"))
    await recording.wait_until(lambda: topic in recording.topics[before:])
    (said,) = [message for message in recording.published[before:] if message.topic == topic]
    assert (said.correlation_data, said.retain) == (b"7", False)
    return said.data


@pytest.mark.looptime
async def test_what_was_delivered_is_replayed_on_the_response_topic_and_nowhere_else() -> None:
    parts, recording = Parts(), RecordingSession()
    async with running(parts.bridge.serve(recording.session)):
        for number in (1, 2, 3):
            await parts.journal.happen(number)
        await recording.wait_until(lambda: len(recording.published_on(EVENT)) == 3)
        said = await answer(recording, "replay", {"since_seq": 1, "transaction": 5})
    assert said == {
        "status": "ok",
        "data": {"events": recording.published_on(EVENT)[1:], "next_seq": None},
        "transaction": 5,
    }
    assert len(recording.published_on(EVENT)) == 3


@pytest.mark.looptime
async def test_a_page_fits_what_the_broker_takes() -> None:
    parts, recording = Parts(), RecordingSession()
    recording.max_packet_size = 5000
    async with running(parts.bridge.serve(recording.session)):
        for number in range(1, 51):
            await parts.journal.happen(number)
        await recording.wait_until(lambda: len(recording.published_on(EVENT)) == 50)
        seqs: list[list[int]] = []
        next_seq: int | None = 0
        while next_seq is not None:
            page = (await answer(recording, "replay", {"since_seq": next_seq}))["data"]
            assert len(recording.published[-1].payload) < 4000
            seqs.append([event["seq"] for event in page["events"]])
            next_seq = page["next_seq"]
    assert list(itertools.chain(*seqs)) == list(range(1, 51))
    assert len(seqs) > 5


@pytest.mark.looptime
async def test_another_level_of_the_log_is_answered_and_shown_in_the_info_that_is_retained() -> None:
    parts, recording = Parts(), RecordingSession()
    async with running(parts.bridge.serve(recording.session)):
        assert (await answer(recording, "log_level", b"debug"))["data"] == {"level": "debug"}
        await recording.wait_until(lambda: recording.published_on("coc/bridge/info")[-1]["log_level"] == "debug")
        await asyncio.sleep(5)
    assert [said["log_level"] for said in recording.published_on("coc/bridge/info")] == ["info", "debug"]
    assert all(message.retain for message in recording.published if message.topic == "coc/bridge/info")
