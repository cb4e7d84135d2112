"""Rounds, in each of which every clan is polled once. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.servers import Poll


class Round(NamedTuple):
    """From the first of its polls to the last response, in seconds of the clock, and the number of polls."""

    start: float
    end: float
    polls: int

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.end - self.start


def find_rounds(polls: Iterable[Poll]) -> list[Round]:
    """Return the rounds: the nth has the nth poll of each clan or war. Unanswered polls are ignored."""
    polled = Counter[int]()
    rounds: list[Round] = []
    for poll in polls:
        if not poll.responded_at:
            continue
        nth = polled[poll.resource]
        polled[poll.resource] += 1
        if nth == len(rounds):
            rounds.append(Round(poll.requested_at, poll.responded_at, 0))
        before = rounds[nth]
        rounds[nth] = Round(min(before.start, poll.requested_at), max(before.end, poll.responded_at), before.polls + 1)
    return rounds
