from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.demo import faults
from coc2mqtt.events import Event, EventStream, EventType
from coc2mqtt.events.resource import API, Kind
from coc2mqtt.events.stream.saved_state import StateFile
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.events.conftest import Bench, Until
    from tests.support.driven_stream import DrivenStream

LONG = 3600.0


def joined_tags(events: list[Event]) -> list[str]:
    return [event.metadata["member_tag"] for event in events if event.event_type is EventType.MEMBER_JOINED]


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def next_event(stream: EventStream) -> Event:
    """Return the next event without acknowledging it."""
    async with asyncio.timeout(LONG_ENOUGH):
        async for event in stream:
            return event
    raise AssertionError("the stream ended")


async def test_event_is_acknowledged_when_the_next_one_is_requested(new_stream: Callable[..., DrivenStream]) -> None:
    driven = new_stream()
    async with driven.stream:
        await driven.wait_for_baseline()
        await driven.join_member()
        left = []
        async with asyncio.timeout(LONG_ENOUGH):
            async for event in driven.stream:
                left.append(len(driven.stream._state.unacknowledged()))
                if event.event_type is EventType.MEMBER_JOINED:
                    break
    assert left == [2, 1]


async def test_unacknowledged_events_are_delivered_again_at_the_next_start(
    new_stream: Callable[..., DrivenStream],
) -> None:
    driven = new_stream()
    async with driven.stream:
        await driven.wait_for_baseline()
        first = await driven.join_member()
        second = await driven.join_member()
        event = await next_event(driven.stream)
        assert event.event_type is EventType.CLAN_UPDATED
    async with driven.stream:
        assert await next_event(driven.stream) is event
    async with driven.stream:
        third = await driven.join_member()
        events = await driven.take(5)
        assert events[0] is event
        assert joined_tags(events) == [first, second]
        assert joined_tags([*driven.stream._state.unacknowledged()]) == [third]


async def test_poll_interrupted_by_stop_is_repeated_after_the_next_start(
    bench: Bench, new_stream: Callable[..., DrivenStream], until: Until
) -> None:
    driven = new_stream()
    bench.server.faults.add(faults.hang())
    async with driven.stream:
        await until(bench.server.requests.total)
    bench.server.faults.clear()
    async with driven.stream:
        await driven.wait_for_baseline()


async def test_cancelled_run_stops_polling(new_stream: Callable[..., DrivenStream], bench: Bench) -> None:
    driven = new_stream()
    run = asyncio.create_task(driven.stream.run())
    await driven.wait_for_baseline()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "EventStream"]
    assert bench.server.requests.total() == 1


async def test_full_queue_blocks_polling_and_loses_nothing(
    new_stream: Callable[..., DrivenStream], bench: Bench, until: Until
) -> None:
    driven = new_stream(queue_size=2)
    async with driven.stream:
        await driven.wait_for_baseline()
        tags = [await driven.join_member()]
        bench.world.join(bench.clan)
        driven.stream._engine.poll_now(Kind.CLAN, bench.clan)
        await until(lambda: len(driven.stream._state.unacknowledged()) == 4)
        requests_before = bench.server.requests.total()
        bench.world.join(bench.clan)
        driven.stream._engine.poll_now(Kind.CLAN, bench.clan)
        assert driven.stream._queue.qsize() == 2
        for _ in range(100):
            await asyncio.sleep(0)
        assert bench.server.requests.total() == requests_before
        events = await driven.take(5)
        events.append(driven.stream._state.unacknowledged()[0])
    tags += [change.details["member_tag"] for change in bench.world.changes if change.event_type == "member_joined"][1:]
    assert joined_tags(events) == tags


async def test_second_start_and_stop_have_no_effect(
    new_stream: Callable[..., DrivenStream], bench: Bench, tmp_path: Path
) -> None:
    driven = new_stream(persist_path=tmp_path / "state")
    await driven.stream.stop()
    assert names(tmp_path) == []
    await asyncio.gather(driven.stream.start(), driven.stream.start())
    await driven.stream.start()
    await driven.wait_for_baseline()
    assert len([task for task in asyncio.all_tasks() if task.get_name() == "EventStream"]) == 1
    assert bench.server.requests.total() == 1
    await driven.stream.stop()
    await driven.stream.stop()


async def test_stop_ends_the_iteration(new_stream: Callable[..., DrivenStream]) -> None:
    driven = new_stream()
    await driven.stream.start()
    ended = asyncio.create_task(driven.take(1))
    await driven.wait_for_baseline()
    await driven.stream.stop()
    assert await ended == []


async def test_error_that_ends_the_polling_is_raised_to_the_consumer(new_stream: Callable[..., DrivenStream]) -> None:
    driven = new_stream()

    def fail(*_: object) -> None:
        raise RuntimeError("out of order")

    driven.stream._engine._on_commit = fail
    for consume in (driven.stream.run, lambda: driven.take(1)):
        await driven.stream.start()
        with pytest.raises(ExceptionGroup) as caught:
            await consume()
        assert caught.group_contains(RuntimeError, match="out of order")
        if driven.stream._runner is not None:
            with pytest.raises(ExceptionGroup):
                await driven.stream.stop()


async def test_no_event_is_lost_if_the_program_is_killed_at_any_moment(
    new_stream: Callable[..., DrivenStream], bench: Bench, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    taken: list[str] = []  # by the consumer, before the file was copied
    copies: list[tuple[bytes, int]] = []
    write = StateFile.write

    def copying(self: StateFile, number: int, state: dict[str, object]) -> None:
        write(self, number, state)
        copies.append((path.read_bytes(), len(taken)))

    monkeypatch.setattr(StateFile, "write", copying)
    driven = new_stream(persist_path=path)
    async with driven.stream:
        await driven.wait_for_baseline()
        for _ in range(4):
            await driven.join_member()
            for _ in range(2):
                saved = len(copies)
                taken.append((await next_event(driven.stream)).metadata.get("member_tag", ""))
                driven.stream._acknowledge(driven.stream._state.unacknowledged()[0])
                await until(lambda saved=saved: len(copies) > saved)  # type: ignore[misc]  # bound in the loop
    monkeypatch.undo()
    joined = [change.details["member_tag"] for change in bench.world.changes if change.event_type == "member_joined"]
    baseline = next(number for number, (copy, _) in enumerate(copies) if bench.clan.encode() in copy)
    assert len(copies) - baseline >= 5
    for number, (copy, before) in enumerate(copies[baseline:]):
        again = tmp_path / f"again{number}"
        await asyncio.to_thread(again.write_bytes, copy)
        restarted = new_stream(persist_path=again)
        async with restarted.stream:
            missing = set(joined) - set(taken[:before])
            found: set[str] = set()
            async with asyncio.timeout(LONG_ENOUGH):
                while not missing <= found:
                    event = await next_event(restarted.stream)
                    restarted.stream._acknowledge(event)
                    found |= set(joined_tags([event]))
        assert found <= set(joined)


async def test_change_during_a_restart_is_reported_as_catch_up(
    new_stream: Callable[..., DrivenStream], bench: Bench, tmp_path: Path
) -> None:
    driven = new_stream(persist_path=str(tmp_path / "state"))
    async with driven.stream:
        await driven.wait_for_baseline()
    bench.world.join(bench.clan)
    restarted = new_stream(persist_path=tmp_path / "state")
    async with restarted.stream:
        event = await next_event(restarted.stream)
    assert event.event_type is EventType.CLAN_UPDATED
    assert event.metadata["catch_up"] is True


async def test_corrupt_file_raises_and_is_not_overwritten(
    new_stream: Callable[..., DrivenStream], tmp_path: Path
) -> None:
    path = tmp_path / "state"
    path.write_text('{"version": 1, "snapshots": [')
    driven = new_stream(persist_path=path)
    with pytest.raises(ValueError, match="state does not contain a saved state: move it away"):
        await driven.stream.start()
    await driven.stream.stop()
    assert path.read_text() == '{"version": 1, "snapshots": ['


async def test_unwritable_file_raises_at_start(new_stream: Callable[..., DrivenStream], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    driven = new_stream(persist_path=tmp_path / "file" / "state")
    with pytest.raises(NotADirectoryError, match="file"):
        await driven.stream.start()


async def test_missing_folders_of_the_state_file_are_created(
    new_stream: Callable[..., DrivenStream], tmp_path: Path
) -> None:
    async with new_stream(persist_path=tmp_path / "of" / "coc" / "state").stream:
        assert names(tmp_path / "of" / "coc") == ["state"]


@pytest.mark.parametrize("broken", ["replace", "fsync"])
async def test_failed_save_keeps_the_old_state_and_raises(
    new_stream: Callable[..., DrivenStream],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    until: Until,
    broken: str,
) -> None:
    path = tmp_path / "state"
    driven = new_stream(persist_path=path)
    bench = driven.bench
    await driven.stream.start()
    await until(lambda: path.exists() and bench.clan.encode() in path.read_bytes())
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, broken, full)
    bench.world.join(bench.clan)
    driven.stream._engine.poll_now(Kind.CLAN, bench.clan)
    with pytest.raises(ExceptionGroup) as caught:
        await driven.take(10)
    assert caught.group_contains(OSError, match="No space left")
    with pytest.raises(OSError, match="No space left"):
        await driven.stream.stop()
    monkeypatch.undo()
    assert names(tmp_path) == ["state"], "no temporary file is left"
    assert path.read_bytes() == before
    restarted = new_stream(persist_path=path)
    async with restarted.stream:
        assert (await next_event(restarted.stream)).event_type is EventType.CLAN_UPDATED


async def test_unwatched_clan_is_not_polled(new_stream: Callable[..., DrivenStream], bench: Bench) -> None:
    driven = new_stream()
    async with driven.stream:
        await driven.wait_for_baseline()
        assert driven.stream.unwatch(Kind.CLAN, bench.clan.lower())
        assert not driven.stream.unwatch(Kind.CLAN, bench.clan)
        assert not driven.stream._engine.poll_now(Kind.CLAN, bench.clan)


async def test_stream_delivers_wars_players_and_maintenance(bench: Bench, until: Until) -> None:
    stream = EventStream(bench.api).watch_wars([bench.clan], LONG).watch_players([bench.player], LONG)
    stream.watch_maintenance(interval=LONG)
    async with stream:
        await until(lambda: stream._engine.metrics.polls == 3)
        bench.world.declare_war(bench.clan)
        bench.world.upgrade_hero(bench.player)
        stream._engine.poll_now(Kind.WAR, bench.clan)
        stream._engine.poll_now(Kind.PLAYER, bench.player)
        await until(lambda: stream._engine.metrics.polls == 5)
        bench.world.start_maintenance()
        stream._engine._scheduler.poll_now(API)
        await until(lambda: len(stream._state.unacknowledged()) == 4)
    assert {event.event_type.value for event in stream._state.unacknowledged()} == {
        "war_new",
        "war_state_changed",
        "hero_upgraded",
        "maintenance_start",
    }
