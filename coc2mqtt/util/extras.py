"""Optional dependencies: how to install one where this program is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shlex
import sys

_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


def install_command(extra: str) -> str:
    """Return the shell command that installs what an extra of ours needs into the interpreter that runs.

    It names the packages themselves, because this one may be installed from a checkout and need not be on an index.
    """
    wanted = [name.strip() for name, _, marker in _requirements() if extra in _EXTRA.findall(marker)]
    python = shlex.quote(sys.executable)
    with_pip = importlib.util.find_spec("pip") is not None
    tool = f"{python} -m pip install" if with_pip else f"uv pip install --python {python}"
    return " ".join([tool, *map(shlex.quote, wanted or [f"coc2mqtt[{extra}]"])])


def _requirements() -> list[tuple[str, str, str]]:
    return [requirement.partition(";") for requirement in importlib.metadata.requires("coc2mqtt") or ()]
