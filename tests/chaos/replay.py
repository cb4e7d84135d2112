"""Applies the claims of events, in order, to the initial state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.claims import UNKNOWN

if TYPE_CHECKING:
    from tests.chaos.claims import Claim
    from tests.chaos.ground_truth import GroundTruth, Key


class Replay:
    """Follows the claims of events along the values that each fact really had.

    An event may skip values: changes between two polls are merged into one. It must not report a value that the fact
    never had or had before, and its old value must be the one that was reported last. ``reported`` counts the reported
    changes, ``merged`` the skipped ones; ``false`` and ``lost`` describe the errors.
    """

    def __init__(self, truth: GroundTruth) -> None:
        self._truth = truth
        # The index of the last reported value of each fact. Facts in ``_open`` have reached it at least.
        self._reached: dict[Key, int] = {}
        self._open: set[Key] = set()
        self.reported = self.merged = 0
        self.false: list[str] = []
        self.lost: list[str] = []

    def apply(self, claim: Claim, event: str) -> None:
        """Apply one claim; ``event`` names the event that it comes from."""
        values = self._truth.values.get(claim.key)
        if values is None:
            self.false.append(f"{event}: {claim.key} never existed")
        elif self._matches_old_value(claim, event):
            at = self._reached.get(claim.key, 0)
            if claim.new is UNKNOWN and len(values) > at + 1:
                self._advance(claim.key, at + 1)
                self._open.add(claim.key)
            elif claim.new in values[at + 1 :]:
                self._advance(claim.key, values.index(claim.new, at + 1))
            else:
                self.false.append(f"{event}: {claim.key} did not become {claim.new!r} after {values[at]!r}")

    def finish(self) -> None:
        """Record the changes that no event reported as lost."""
        for key, values in self._truth.values.items():
            reached, last = self._reached.get(key, 0), len(values) - 1
            if key in self._open or values[reached] == values[last]:
                # A fact that returned to its value between two polls is rightly not reported.
                self.merged += last - reached
            else:
                self.lost.append(f"{key} is {values[last]!r}, but {values[reached]!r} was reported last")

    def _matches_old_value(self, claim: Claim, event: str) -> bool:
        """Advance to the old value of the claim; return whether that is possible."""
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
            self.lost.append(f"before {event}: {claim.key} became {claim.old!r} after {values[reached]!r}, unreported")
        self._reached[claim.key] = found
        return True

    def _advance(self, key: Key, value: int) -> None:
        self.reported += 1
        self.merged += value - self._reached.get(key, 0) - 1
        self._reached[key] = value
        self._open.discard(key)
