"""The replay: events, one after the other, on the first state that they were told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.claims import UNKNOWN

if TYPE_CHECKING:
    from tests.chaos.claims import Claim
    from tests.chaos.ground_truth import GroundTruth, Key


class Replay:
    """Follows what events say along the values that each fact really had.

    An event may jump over values: what changed while nobody could look is one change. It may not say a value that
    the fact never had, or had before; nor begin at another value than the one that was told last. ``told`` counts the
    changes that were said, ``merged`` those that were jumped over; ``false`` and ``lost`` say what was wrong.
    """

    def __init__(self, truth: GroundTruth) -> None:
        self._truth = truth
        # Which of its values a fact has reached; an open one has reached it at least.
        self._reached: dict[Key, int] = {}
        self._open: set[Key] = set()
        self.told = self.merged = 0
        self.false: list[str] = []
        self.lost: list[str] = []

    def take(self, claim: Claim, event: str) -> None:
        """Follow one claim; ``event`` names what it comes from."""
        values = self._truth.values.get(claim.key)
        if values is None:
            self.false.append(f"{event}: there never was {claim.key}")
        elif self._begins(claim, event):
            at = self._reached.get(claim.key, 0)
            if claim.new is UNKNOWN and len(values) > at + 1:
                self._go(claim.key, at + 1)
                self._open.add(claim.key)
            elif claim.new in values[at + 1 :]:
                self._go(claim.key, values.index(claim.new, at + 1))
            else:
                self.false.append(f"{event}: {claim.key} did not become {claim.new!r} after {values[at]!r}")

    def finish(self) -> None:
        """Take what was not told for lost."""
        for key, values in self._truth.values.items():
            reached, last = self._reached.get(key, 0), len(values) - 1
            if key in self._open or values[reached] == values[last]:
                # What came back to where it was while nobody looked is untold, and rightly so.
                self.merged += last - reached
            else:
                self.lost.append(f"{key} is {values[last]!r}, and {values[reached]!r} was told last")

    def _begins(self, claim: Claim, event: str) -> bool:
        """Go to the value that the claim begins with; returns whether it can."""
        values, reached = self._truth.values[claim.key], self._reached.get(claim.key, 0)
        if claim.old is UNKNOWN or (values[reached] == claim.old and claim.key not in self._open):
            return True
        if claim.old not in values[reached:]:
            self.false.append(f"{event}: {claim.key} was not {claim.old!r} after {values[reached]!r}")
            return False
        found = values.index(claim.old, reached)
        if claim.key in self._open:
            self.merged += found - reached
        else:
            self.lost.append(f"before {event}: {claim.key} became {claim.old!r} after {values[reached]!r}, untold")
        self._reached[claim.key] = found
        return True

    def _go(self, key: Key, value: int) -> None:
        self.told += 1
        self.merged += value - self._reached.get(key, 0) - 1
        self._reached[key] = value
        self._open.discard(key)
