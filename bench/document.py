"""The generated parts of docs/performance.md, each between two comments. Pure except for `describe`."""

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
# Runs in the Python of the peers, without this package.
_ASK = "import sys, importlib.metadata as m; print(*(f'{name} {m.version(name)}' for name in sys.argv[1:]), sep=', ')"


def fill(document: str, parts: Mapping[str, str]) -> str:
    """Return a document with these parts between their comments.

    A part called NAME stands between the lines ``<!-- NAME -->`` and ``<!-- end of NAME -->``. Raises ValueError if
    these are missing.
    """
    for name, text in parts.items():
        opening, closing = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, opened, rest = document.partition(opening)
        _, closed, after = rest.partition(closing)
        if not opened or not closed:
            raise ValueError(f"the document has no part {name!r}: add its two comments")
        document = f"{before}{opening}{text}\n{closing}{after}"
    return document


def describe(peers: Path, command: str) -> str:
    """Return a list of what the figures depend on: machine, versions, date, command."""
    ours = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _OURS)
    theirs = subprocess.run(
        [peers / "bin" / "python", "-c", _ASK, *_PEERS], check=True, capture_output=True, text=True
    ).stdout.strip()
    broker = subprocess.run([mosquitto(), "-h"], check=False, capture_output=True, text=True).stdout.split("\n", 1)[0]
    pinned = (
        "one core, shared by all programs: nothing is pinned"
        if is_shared()
        else "the program under test on its own core, everything else on another"
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
