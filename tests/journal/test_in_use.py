"""Only one program at a time can open a journal."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.journal import InUseError, SqliteJournal, file, quarantine
from tests.support.journal_holder import JournalHolder, holding_journal

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.process

CLAN = Resource(Kind.CLAN, "#2PP")
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0)


def hard_link(path: Path) -> Path:
    os.link(path, path.with_name("linked.db"))
    return path.with_name("linked.db")


def symlink(path: Path) -> Path:
    path.with_name("pointing.db").symlink_to(path)
    return path.with_name("pointing.db")


def symlinked_folder(path: Path) -> Path:
    folder = path.parent.with_name(f"{path.parent.name}-linked")
    folder.symlink_to(path.parent)
    return folder / path.name


def relative_path(path: Path) -> Path:
    return Path(os.path.relpath(path))


@pytest.fixture
def _no_lock_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LOCK_TIMEOUT_S", 0.0)


async def in_use_error(path: Path) -> InUseError:
    with pytest.raises(InUseError) as caught:
        async with SqliteJournal(path):
            pass
    return caught.value


@dataclass
class Clock:
    """A fake of the module ``time``: only sleeping takes time."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_second_program_is_rejected_after_two_seconds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with holding_journal(path) as holder:
        assert await holder.outcome() == "open"
        clock = Clock()
        monkeypatch.setattr(file, "time", clock)
        error = await in_use_error(path)
        assert 1002.0 <= clock.now < 1002.1
    assert str(error) == (
        f"the journal {path} is used by another program, probably another coc2mqtt: stop that program, or set "
        "journal.path to another file"
    )


@pytest.mark.usefixtures("_no_lock_timeout")
@pytest.mark.parametrize("action", ["nothing", "commit", "commit_many", "fail_commit", "prune_all"])
async def test_journal_stays_locked_after_any_action(path: Path, action: str) -> None:
    async with holding_journal(path, action) as holder:
        assert await holder.outcome() == "open"
        for _ in range(2):  # the first attempt must not release the lock
            await in_use_error(path)
        assert sorted(os.listdir(path.parent)) == ["coc2mqtt.db", "coc2mqtt.db-wal"]  # noqa: PTH208 - names, not paths


@pytest.mark.usefixtures("_no_lock_timeout")
@pytest.mark.parametrize("name", [relative_path, symlink, hard_link, symlinked_folder])
async def test_journal_is_locked_by_every_name_of_the_file(path: Path, name: Callable[[Path], Path]) -> None:
    async with holding_journal(path, "commit") as holder:
        assert await holder.outcome() == "open"
        await in_use_error(name(path))


@pytest.mark.usefixtures("_no_lock_timeout")
async def test_journal_is_locked_within_the_same_program(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, Snapshot({}), [EVENT])
        await in_use_error(path)
        await in_use_error(path)
        assert len(await journal.pending()) == 1


@pytest.mark.usefixtures("_no_lock_timeout")
async def test_lock_is_released_by_a_kill_and_commits_are_kept(path: Path) -> None:
    async with holding_journal(path, "commit") as holder:
        assert await holder.outcome() == "open"
        await holder.kill()
        async with SqliteJournal(path) as journal:
            assert len(await journal.pending()) == 1
            assert await journal.snapshot(CLAN) == Snapshot({"name": "The Order"})


class SignallingRandom(random.Random):
    """Calls ``on_retry`` before each delay of an opening that waits for another program."""

    def __init__(self, on_retry: Callable[[], object]) -> None:
        super().__init__(1)
        self._on_retry = on_retry

    def uniform(self, a: float, b: float) -> float:
        self._on_retry()
        return super().uniform(a, b)


async def test_open_waits_for_a_program_that_is_about_to_exit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine a program takes longer than two seconds to exit.
    monkeypatch.setattr(file, "LOCK_TIMEOUT_S", 120.0)
    async with holding_journal(path, "commit") as holder:
        assert await holder.outcome() == "open"
        loop = asyncio.get_running_loop()
        rng = SignallingRandom(lambda: loop.call_soon_threadsafe(holder.release))
        async with SqliteJournal(path, rng=rng) as journal:
            assert len(await journal.pending()) == 1


async def test_cancelled_open_holds_no_lock(path: Path) -> None:
    async with holding_journal(path) as holder:
        assert await holder.outcome() == "open"
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            opening.cancel()
            holder.release()

        journal = SqliteJournal(path, rng=SignallingRandom(lambda: loop.call_soon_threadsafe(cancel)))
        opening = asyncio.create_task(journal.open())
        await asyncio.wait({opening})
        assert opening.cancelled()
        await holder.wait()  # on a busy machine this takes longer than the lock timeout
        async with SqliteJournal(path) as other:
            assert await other.pending() == []


async def test_one_of_several_programs_that_create_the_file_opens_it(path: Path) -> None:
    async with AsyncExitStack() as stack:
        holders: list[JournalHolder] = [await stack.enter_async_context(holding_journal(path)) for _ in range(3)]
        outcomes = await asyncio.gather(*(holder.outcome() for holder in holders))
    assert sorted(outcomes) == ["InUseError"] * 2 + ["open"]


async def test_open_succeeds_if_another_program_has_just_quarantined_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrupt = b"corrupt" * 1000
    await asyncio.to_thread(path.write_bytes, corrupt)

    was_probably_journal = quarantine.was_probably_journal

    def rename_and_check(checked: Path) -> bool:
        monkeypatch.setattr(quarantine, "was_probably_journal", was_probably_journal)
        path.rename(path.with_name("kept.db"))
        return was_probably_journal(checked)

    monkeypatch.setattr(quarantine, "was_probably_journal", rename_and_check)
    async with SqliteJournal(path) as journal:
        assert await journal.pending() == []
    assert await asyncio.to_thread(path.with_name("kept.db").read_bytes) == corrupt
