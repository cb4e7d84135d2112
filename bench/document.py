"""The parts of docs/performance.md that are written by machine, each between two comments. Pure but for `describe`."""

from __future__ import annotations

import importlib.metadata
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench.machine import describe as describe_machine
from bench.machine import is_shared
from bench.servers import mosquitto

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_OURS = ("coc2mqtt", "aiohttp", "uvloop", "orjson", "aiomqtt", "pydantic")
_PEERS = ("cocapi", "coc.py", "httpx", "aiohttp", "orjson", "uvloop")
# Run by the peers' own Python, which knows nothing of this package.
_ASK = "import sys, importlib.metadata as m; print(*(f'{name} {m.version(name)}' for name in sys.argv[1:]), sep=', ')"


def fill(document: str, parts: Mapping[str, str]) -> str:
    """Return a document with these parts in place of what stood between their comments; ValueError where one is absent.

    A part called NAME stands between the lines ``<!-- NAME -->`` and ``<!-- end of NAME -->``.
    """
    for name, text in parts.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, opened, rest = document.partition(begin)
        _, closed, after = rest.partition(end)
        if not opened or not closed:
            raise ValueError(f"the document has no part {name!r}: put its two comments where it belongs")
        document = f"{before}{begin}{text}\n{end}{after}"
    return document


def describe(peers: Path, command: str) -> str:
    """Return a list of what the figures depend on: the machine, the versions, the day, the command."""
    ours = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _OURS)
    theirs = subprocess.run(
        [peers / "bin" / "python", "-c", _ASK, *_PEERS], check=True, capture_output=True, text=True
    ).stdout.strip()
    broker = subprocess.run([mosquitto(), "-h"], check=False, capture_output=True, text=True).stdout.split("\n", 1)[0]
    pinned = (
        "one core, which everything shares: nothing is pinned"
        if is_shared()
        else "the program under test alone on one core, everything else on another"
    )
    lines = {
        "Machine": describe_machine(),
        "Cores": pinned,
        "Bridge": ours,
        "Peers": theirs,
        "Broker": broker,
        "Day": datetime.now(UTC).strftime("%Y-%m-%d"),
        "Command": f"`{command}`",
    }
    return "\n".join(f"- {name}: {value}" for name, value in lines.items())
