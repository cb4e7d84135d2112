"""Callbacks: the events they get, and the events on which they raise."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from coc2mqtt.events import Event, EventType
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from tests.events.conftest import Until
    from tests.support.driven_stream import DrivenStream


async def test_sync_and_async_callbacks_get_their_event_types(new_stream: Callable[..., DrivenStream]) -> None:
    driven = new_stream()
    seen: list[tuple[str, str]] = []

    @driven.stream.on(EventType.MEMBER_JOINED)
    async def joined(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(("joined", event.event_type.value))
        await driven.stream.stop()

    @driven.stream.on()
    def anything(event: Event) -> None:
        seen.append(("anything", event.event_type.value))

    driven.stream.add_callback(lambda event: seen.append(("added", event.event_type.value)), EventType.MEMBER_LEFT)
    run = asyncio.create_task(driven.stream.run())
    await driven.wait_for_baseline()
    await driven.join_member()
    async with asyncio.timeout(LONG_ENOUGH):
        await run
    assert seen == [("anything", "clan_updated"), ("joined", "member_joined"), ("anything", "member_joined")]
    assert driven.stream._state.unacknowledged() == [], "all callbacks of both events returned"


async def test_failing_callback_loses_no_event_and_does_not_affect_others(
    new_stream: Callable[..., DrivenStream], until: Until
) -> None:
    driven = new_stream()
    seen: list[str] = []
    broken = True

    @driven.stream.on(EventType.MEMBER_JOINED)
    def fail(_: Event) -> None:
        if broken:
            raise LookupError("the lamp is not there")

    @driven.stream.on(EventType.MEMBER_JOINED)
    def works(event: Event) -> None:
        seen.append(event.metadata["member_tag"])

    with capture_logs() as logs:
        run = asyncio.create_task(driven.stream.run())
        await driven.wait_for_baseline()
        tags = [await driven.join_member(), await driven.join_member()]
        await until(lambda: len(seen) == 2)
        await driven.stream.stop()
        await run
    assert [line["log_level"] for line in logs if "callback" in line["event"]] == ["error", "error"]
    broken = False
    run = asyncio.create_task(driven.stream.run())
    await until(lambda: len(seen) == 4)
    await driven.stream.stop()
    await run
    assert seen == tags + tags
    assert driven.stream._state.unacknowledged() == []


async def test_only_the_latest_events_with_failed_callbacks_are_kept(
    new_stream: Callable[..., DrivenStream], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coc2mqtt.events.stream.stream._MAX_FAILED_EVENTS", 3)
    driven = new_stream()
    seen: list[Event] = []

    @driven.stream.on()
    def fail(event: Event) -> None:
        seen.append(event)
        raise LookupError("the lamp is not there")

    with capture_logs() as logs:
        run = asyncio.create_task(driven.stream.run())
        await driven.wait_for_baseline()
        for _ in range(3):
            await driven.join_member()
        await until(lambda: len(seen) == 6)
        await driven.stream.stop()
        await run
    assert driven.stream._state.unacknowledged() == seen[-3:]
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == [
        "too many events with failed callbacks"
    ]
