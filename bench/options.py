"""The options of a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The number of runs, each with a measurement of ``window`` seconds; ``peers`` is the environment of the peers.

    ``full`` makes bodies as long as in the real API. ``quick`` is for testing the benchmark; its figures mean little.
    """

    peers: Path
    runs: int = 5
    window: float = 4.0
    full: bool = False
    quick: bool = False
