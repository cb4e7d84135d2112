from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.journal import SqliteJournal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from coc2mqtt.journal import Journal

NOW = 1_800_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "coc2mqtt.db"


@pytest.fixture(params=["sqlite"])
def make_journal(path: Path) -> Callable[..., Journal]:
    """Return a function that returns a journal, not yet open, on the same storage each time, as after a restart."""

    def sqlite(*, keep_delivered: timedelta = timedelta(days=7), max_pending: int = 100_000) -> Journal:
        return SqliteJournal(path, keep_delivered=keep_delivered, max_pending=max_pending, clock=lambda: NOW)

    return sqlite
