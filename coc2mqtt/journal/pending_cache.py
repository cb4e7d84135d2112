"""The newest of the events that wait for delivery, in memory: who delivers them need not look into the file."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.journal.rows import EventRow

# Far more than are on their way to a broker at a time; in an outage the file has the others.
_MOST = 1000
_MOST_CHARACTERS = 1_000_000


class PendingCache:
    """Holds the events that wait and have a ``seq`` above ``floor``, and maybe more; these in order of ``seq``."""

    def __init__(self, *, most: int = _MOST, most_characters: int = _MOST_CHARACTERS) -> None:
        self._most = most
        self._most_characters = most_characters
        self._rows: dict[int, EventRow] = {}
        self._characters = 0
        self._floor = 0

    def begin(self, last_seq: int) -> None:
        """Begin anew after the event ``last_seq``."""
        self._rows.clear()
        self._characters, self._floor = 0, last_seq

    def add(self, rows: Iterable[EventRow]) -> None:
        """Add the events that were stored last."""
        for row in rows:
            self._rows[row.seq] = row
            self._characters += len(row.record)
        while len(self._rows) > self._most or self._characters > self._most_characters:
            self._floor = next(iter(self._rows))
            self._remove(self._floor)

    def delivered(self, seqs: Iterable[int]) -> None:
        """Leave out events that wait no more."""
        for seq in seqs:
            if seq in self._rows:
                self._remove(seq)

    def begins_with(self, seq: int | None) -> None:
        """Leave out all events before this one, None: all of them."""
        self.delivered([other for other in self._rows if seq is None or other < seq])

    def read(self, after: int, limit: int, *, waiting: int) -> list[EventRow] | None:
        """Return the first events that wait after this one; None where only the file knows them all.

        ``waiting`` is how many wait in all.
        """
        if after < self._floor and len(self._rows) < waiting:
            return None
        return list(islice((row for seq, row in self._rows.items() if seq > after), limit))

    def _remove(self, seq: int) -> None:
        self._characters -= len(self._rows.pop(seq).record)
