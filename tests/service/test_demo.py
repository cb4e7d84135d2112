"""``coc2mqtt demo`` as a new user sees it: what is printed, and what the broker tells meanwhile."""

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

_LINE = re.compile(r"\d\d:\d\d:\d\d  (coc/\S+) +(.+)")
# The story's first 36 seconds, told more than twice as fast.
_SPEED, _SECONDS = "2.25", "17"


async def test_the_demo_prints_what_a_subscriber_sees_and_ends_by_itself(tmp_path: Path) -> None:
    pytest.importorskip("amqtt", reason="the extra 'embedded' is not installed")
    port = free_port()
    command = ("-m", "coc2mqtt", "demo", "--port", str(port), "--speed", _SPEED, "--seconds", _SECONDS)
    with (tmp_path / "out").open("w+") as out:
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=out, stderr=out)
        async with asyncio.timeout(60):
            await until_listening(port)
            with contextlib.suppress(aiomqtt.MqttError):  # the broker ends before its last client
                async with observing(port, protocol=aiomqtt.ProtocolVersion.V311) as observer:
                    assert await process.wait() == 0
        out.seek(0)
        text = out.read()
    assert f"mosquitto_sub -h 127.0.0.1 -p {port} -v -t 'coc/#'" in text
    printed = [match for line in text.splitlines() if (match := _LINE.fullmatch(line))]
    assert all(match[2].strip() for match in printed)
    topics = Counter(match[1] for match in printed)
    assert topics == Counter(message.topic for message in observer.events)
    types = {topic.rsplit("/", 1)[1] for topic in topics}
    assert len(types) >= 12
    assert {"war_new", "war_state_changed", "war_attack_new", "war_ended"} <= types
    assert {"maintenance_start", "maintenance_end", "member_joined", "member_left"} <= types
    for message in observer.events:
        check_payload(message)


async def until_listening(port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.05)
