"""One program for each journal."""

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
from tests.support.journal_holder import Holder, holding

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.process

CLAN = Resource(Kind.CLAN, "#2PP")
EVENT = Event(EventType.CLAN_UPDATED, "#2PP", timestamp=1.0)


def link(path: Path) -> Path:
    os.link(path, path.with_name("linked.db"))
    return path.with_name("linked.db")


def symlink(path: Path) -> Path:
    path.with_name("pointing.db").symlink_to(path)
    return path.with_name("pointing.db")


def through_a_linked_folder(path: Path) -> Path:
    folder = path.parent.with_name(f"{path.parent.name}-linked")
    folder.symlink_to(path.parent)
    return folder / path.name


def relative(path: Path) -> Path:
    return Path(os.path.relpath(path))


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LOCK_TIMEOUT_S", 0.0)


async def refused(path: Path) -> InUseError:
    with pytest.raises(InUseError) as caught:
        async with SqliteJournal(path):
            pass
    return caught.value


@dataclass
class Clock:
    """Stands in for the module ``time``: nothing but sleeping takes time."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_a_second_program_is_refused_in_one_sentence_after_two_seconds(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with holding(path) as holder:
        assert await holder.said() == "open"
        clock = Clock()
        monkeypatch.setattr(file, "time", clock)
        error = await refused(path)
        assert 1002.0 <= clock.now < 1002.1
    assert str(error) == (
        f"the journal {path} is used by another program, probably another coc2mqtt: stop that program, or set "
        "journal.path to another file"
    )


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("doing", ["nothing", "commit", "commit_much", "fail", "empty"])
async def test_it_is_held_from_the_opening_on_whatever_was_done(path: Path, doing: str) -> None:
    async with holding(path, doing) as holder:
        assert await holder.said() == "open"
        for _ in range(2):  # the first refusal must not make room for a second try
            await refused(path)
        assert sorted(os.listdir(path.parent)) == ["coc2mqtt.db", "coc2mqtt.db-wal"]  # noqa: PTH208 - the names


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("name", [relative, symlink, link, through_a_linked_folder])
async def test_it_is_held_under_every_name(path: Path, name: Callable[[Path], Path]) -> None:
    async with holding(path, "commit") as holder:
        assert await holder.said() == "open"
        await refused(name(path))


@pytest.mark.usefixtures("_impatient")
async def test_it_is_held_within_the_same_program_as_well(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal.commit(CLAN, Snapshot({}), [EVENT])
        await refused(path)
        await refused(path)
        assert len(await journal.pending()) == 1


@pytest.mark.usefixtures("_impatient")
async def test_it_is_free_at_once_after_a_kill_and_holds_what_was_committed(path: Path) -> None:
    async with holding(path, "commit") as holder:
        assert await holder.said() == "open"
        await holder.kill()
        async with SqliteJournal(path) as journal:
            assert len(await journal.pending()) == 1
            assert await journal.snapshot(CLAN) == Snapshot({"name": "The Order"})


class Waits(random.Random):
    """Tells when the waiting for another program begins: chance says how long until the next look."""

    def __init__(self, begun: Callable[[], object]) -> None:
        super().__init__(1)
        self._begun = begun

    def uniform(self, a: float, b: float) -> float:
        self._begun()
        return super().uniform(a, b)


async def test_a_program_that_starts_while_another_one_ends_waits_for_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine a program takes longer than two seconds to end.
    monkeypatch.setattr(file, "LOCK_TIMEOUT_S", 120.0)
    async with holding(path, "commit") as holder:
        assert await holder.said() == "open"
        loop = asyncio.get_running_loop()
        waits = Waits(lambda: loop.call_soon_threadsafe(holder.release))
        async with SqliteJournal(path, rng=waits) as journal:
            assert len(await journal.pending()) == 1


async def test_an_opening_that_is_cancelled_holds_nothing(path: Path) -> None:
    async with holding(path) as holder:
        assert await holder.said() == "open"
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            opening.cancel()
            holder.release()

        journal = SqliteJournal(path, rng=Waits(lambda: loop.call_soon_threadsafe(cancel)))
        opening = asyncio.create_task(journal.open())
        await asyncio.wait({opening})
        assert opening.cancelled()
        await holder.ended()  # which on a busy machine takes longer than the patience of an opening
        async with SqliteJournal(path) as other:
            assert await other.pending() == []


async def test_of_several_that_begin_the_same_new_file_at_once_one_gets_it(path: Path) -> None:
    async with AsyncExitStack() as stack:
        holders: list[Holder] = [await stack.enter_async_context(holding(path)) for _ in range(3)]
        said = await asyncio.gather(*(holder.said() for holder in holders))
    assert sorted(said) == ["InUseError"] * 2 + ["open"]


async def test_damaged_file_that_another_program_has_just_put_aside_is_no_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = b"damaged" * 1000
    await asyncio.to_thread(path.write_bytes, damaged)

    was_probably_journal = quarantine.was_probably_journal

    def replace_and_judge(judged: Path) -> bool:
        monkeypatch.setattr(quarantine, "was_probably_journal", was_probably_journal)
        path.rename(path.with_name("kept.db"))
        return was_probably_journal(judged)

    monkeypatch.setattr(quarantine, "was_probably_journal", replace_and_judge)
    async with SqliteJournal(path) as journal:
        assert await journal.pending() == []
    assert await asyncio.to_thread(path.with_name("kept.db").read_bytes) == damaged
