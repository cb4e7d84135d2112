from __future__ import annotations

import asyncio

from coc2mqtt.mqtt.control.tag_locks import TagLocks


async def test_command_behind_a_waiting_one_waits_too_although_the_lock_was_just_released() -> None:
    locks, waited, release = TagLocks(), [], asyncio.Event()

    async def hold(name: str) -> None:
        async with locks.hold("#2PP", lambda: waited.append(name)):
            await release.wait()

    async with asyncio.TaskGroup() as group:
        async with locks.hold("#2PP", lambda: waited.append("first")):
            group.create_task(hold("second"))
            await asyncio.sleep(0)
        group.create_task(hold("third"))
        await asyncio.sleep(0)
        assert waited == ["second", "third"]
        release.set()
