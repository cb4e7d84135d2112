"""Rounds, in each of which every clan is polled once. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.servers import Poll


class Round(NamedTuple):
    """From the first of its polls to the last response, in seconds of the clock, and the number of polls."""

    begin: float
    end: float
    polls: int

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.end - self.begin


def find_rounds(polls: Iterable[Poll]) -> list[Round]:
    """Return the rounds: the nth has the nth poll of each clan or war. Unanswered polls are ignored."""
    polled = Counter[int]()
    rounds: list[Round] = []
    for poll in polls:
        if not poll.answered:
            continue
        nth = polled[poll.resource]
        polled[poll.resource] += 1
        if nth == len(rounds):
            rounds.append(Round(poll.asked, poll.answered, 0))
        before = rounds[nth]
        rounds[nth] = Round(min(before.begin, poll.asked), max(before.end, poll.answered), before.polls + 1)
    return rounds
