"""Access to the thread of an open journal: blocks it, and observes the statements that SQLite executes in it.

The calls are executed in order with the journal's own calls.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    import sqlite3
    from collections.abc import Callable

    from coc2mqtt.journal import SqliteJournal


def run_in_thread(journal: SqliteJournal, work: Callable[[sqlite3.Connection], Any]) -> asyncio.Future[Any]:
    """Call ``work`` with the connection of the journal, in its thread and outside of a transaction."""
    database = journal._database
    return database._run(lambda: work(database._open_connection()))


def block_thread(journal: SqliteJournal) -> threading.Event:
    """Block the thread until the returned event is set."""
    gate = threading.Event()
    run_in_thread(journal, lambda _: gate.wait(30))
    return gate


def trace_statements(journal: SqliteJournal, on_statement: Callable[[str], None] | None) -> None:
    """Call ``on_statement`` for each statement from now on, in the thread. None stops it."""
    run_in_thread(journal, lambda connection: connection.set_trace_callback(on_statement))


def record_transactions(journal: SqliteJournal) -> list[str]:
    """Return a list to which COMMIT or ROLLBACK is added at the end of each transaction from now on."""
    ends: list[str] = []

    def on_statement(statement: str) -> None:
        if statement in {"COMMIT", "ROLLBACK"}:
            ends.append(statement)

    trace_statements(journal, on_statement)
    return ends
