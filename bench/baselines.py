"""The programs that the bridge is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.programs import ROOT, FailedError, Program, python

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bench.servers import Api

_PEERS = ROOT / "bench" / "peers"


@dataclass(frozen=True)
class Baseline:
    """A peer or the floor, on an event loop, ``uvloop`` or ``asyncio``.

    ``pace`` is the polls per second of its own limiter; 0 means unlimited.
    """

    name: str
    loop: str
    pace: float = 0.0

    def __str__(self) -> str:
        return f"{self.name}, {self.loop}"


def baseline_program(folder: Path, api: Api, tags: Iterable[str], which: Baseline, *, environment: Path) -> Program:
    """Return a program that watches these clans, not started yet; ``environment`` is that of the peers."""
    file = folder / "tags"
    file.write_text("\n".join(tags))
    if which.name == "floor":
        command = python("-m", "bench.floor")
    else:
        interpreter = environment / "bin" / "python"
        if not interpreter.exists():
            raise FailedError(f"the peers are not installed in {environment}: run 'make bench'")
        command = [interpreter, _PEERS / f"watch_{which.name.replace('.', '')}.py"]
    ours = which.name == "floor"
    return Program(which.name, [*command, api.url, which.loop, file, str(which.pace)], folder, measured=True, ours=ours)
