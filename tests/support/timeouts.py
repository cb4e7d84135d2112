"""The time limit of tests that wait for something."""

from __future__ import annotations

# Seconds. Long enough for any busy machine: only a failing test waits that long.
LONG_ENOUGH = 60.0
