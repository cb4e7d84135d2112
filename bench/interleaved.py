"""Interleaves the runs, so that a drift of the machine affects all programs alike."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


def interleave(makers: Mapping[str, Callable[[], T]], runs: int) -> dict[str, list[T]]:
    """Measure each program once, then each again, and so on; return the results of each by name."""
    found: dict[str, list[T]] = {name: [] for name in makers}
    for run in range(runs):
        for name, measure in makers.items():
            found[name].append(measure())
            print(f"  run {run + 1} of {runs}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    return found
