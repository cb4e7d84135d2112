"""The spread of several runs: minimum, median and maximum. Pure."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Spread:
    """The minimum, median and maximum of some figures; at least one is required."""

    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """Return the spread of the figures; raises ValueError without figures."""
        if not figures:
            raise ValueError("no figures to summarise")
        return cls(min(figures), statistics.median(figures), max(figures))

    def cells(self, digits: int) -> list[str]:
        """Return the three as text with ``digits`` decimals."""
        return [f"{figure:,.{digits}f}" for figure in (self.minimum, self.median, self.maximum)]


def ratios(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return each run's figure divided by the other's in the same run."""
    return [one / other for one, other in zip(ones, others, strict=True)]


def percentile(figures: Sequence[float], share: float) -> float:
    """Return the smallest figure that at least this share (0 to 1) of all does not exceed."""
    if not figures:
        raise ValueError("no figures to summarise")
    return sorted(figures)[max(0, math.ceil(share * len(figures)) - 1)]


def most_in_a_second(moments: Sequence[float]) -> int:
    """Return the largest number of moments (seconds) within less than one second."""
    ordered = sorted(moments)
    return max((bisect_left(ordered, at + 1.0) - number for number, at in enumerate(ordered)), default=0)
