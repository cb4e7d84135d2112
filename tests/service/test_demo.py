"""``coc2mqtt demo`` as a new user sees it: its output, and its messages on the broker."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections import Counter
from typing import TYPE_CHECKING

import aiomqtt
import pytest

from tests.support.broker import free_port
from tests.support.observer import check_payload, observing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

_EVENT_LINE = re.compile(r"\d\d:\d\d:\d\d  (coc/\S+) +(.+)")
# The first 36 seconds of the script, which starts after the first polls.
_SPEED, _SECONDS = "2.25", "20"


async def test_demo_prints_the_events_that_a_subscriber_receives_and_exits(tmp_path: Path) -> None:
    pytest.importorskip("amqtt", reason="the extra 'embedded' is not installed")
    port = free_port()
    command = ("-m", "coc2mqtt", "demo", "--port", str(port), "--speed", _SPEED, "--seconds", _SECONDS)
    with (tmp_path / "out").open("w+") as out:
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=out, stderr=out)
        async with asyncio.timeout(60):
            await wait_until_listening(port)
            with contextlib.suppress(aiomqtt.MqttError):  # the broker stops before this client disconnects
                async with observing(port, protocol=aiomqtt.ProtocolVersion.V311) as observer:
                    assert await process.wait() == 0
        out.seek(0)
        text = out.read()
    assert f"mosquitto_sub -h 127.0.0.1 -p {port} -v -t 'coc/#'" in text
    printed = [match for line in text.splitlines() if (match := _EVENT_LINE.fullmatch(line))]
    assert all(match[2].strip() for match in printed)
    topics = Counter(match[1] for match in printed)
    assert topics == Counter(message.topic for message in observer.events)
    types = {topic.rsplit("/", 1)[1] for topic in topics}
    assert len(types) >= 12
    assert {"war_new", "war_state_changed", "war_attack_new", "war_ended"} <= types
    assert {"cwl_started", "cwl_round_new", "cwl_attack_new", "cwl_round_ended"} <= types
    assert {"maintenance_start", "maintenance_end", "member_joined", "member_left"} <= types
    for message in observer.events:
        check_payload(message)


async def wait_until_listening(port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.05)
