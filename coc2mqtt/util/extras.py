"""Optional dependencies and how to install them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shlex
import sys

_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


def install_command(extra: str) -> str:
    """Return the shell command that installs the packages of an extra into the running interpreter.

    It names the packages instead of ``coc2mqtt[extra]``, because this package may be installed from a checkout and need
    not be on an index.
    """
    requirements = [requirement.partition(";") for requirement in importlib.metadata.requires("coc2mqtt") or ()]
    packages = [name.strip() for name, _, marker in requirements if extra in _EXTRA.findall(marker)]
    python = shlex.quote(sys.executable)
    has_pip = importlib.util.find_spec("pip") is not None
    tool = f"{python} -m pip install" if has_pip else f"uv pip install --python {python}"
    return " ".join([tool, *map(shlex.quote, packages or [f"coc2mqtt[{extra}]"])])
