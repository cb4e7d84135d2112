"""How thoroughly it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Options:
    """So many runs, each looked at for ``window`` seconds once it runs evenly; ``peers`` is the peers' environment.

    ``full`` gives the clans bodies as long as the real ones. ``quick`` is for work on the benchmarks: short, and its
    figures mean little.
    """

    peers: Path
    runs: int = 5
    window: float = 4.0
    full: bool = False
    quick: bool = False
