"""The cores of the machine, and the costs of a process, read from outside. Linux only."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

# Linux's clock ID of the processor time of another process, all threads (clock_getcpuclockid(3)).
_CPU_CLOCK = 2
_PID_SHIFT = 3


def cores() -> tuple[int, int]:
    """Return the core for the program under test and the one for everything else.

    On a single core both are the same.
    """
    usable = sorted(_USABLE)
    return usable[0], usable[min(1, len(usable) - 1)]


def is_shared() -> bool:
    """Return whether the program under test shares its core."""
    return len(_USABLE) == 1


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process so far, user and system, all threads, in seconds."""
    return time.clock_gettime((~pid << _PID_SHIFT) | _CPU_CLOCK)


def resident(pid: int) -> tuple[float, float]:
    """Return the current and the peak resident memory of a process, in MB (of a million bytes)."""
    fields = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        if ":" in line
    )
    now, most = (int(fields[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
    return now, most


def describe() -> str:
    """Return one line about the machine: processor, cores, kernel and Python."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "Model")):
            model = line.split(":", 1)[1].strip()
            break
    kernel = f"{platform.system()} {platform.release()}"
    return f"{model}, {len(_USABLE)} cores, {kernel}, {platform.python_implementation()} {platform.python_version()}"


# Read before any process is pinned.
_USABLE = frozenset(os.sched_getaffinity(0))
