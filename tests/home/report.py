"""Prints the results of a run as it proceeds."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_SHOWN = 25


class Report:
    """Prints each check with its details, and counts the failed ones."""

    def __init__(self) -> None:
        self.checks = 0
        self.failed = 0
        self._started = time.monotonic()

    def section(self, text: str) -> None:
        """Start a section."""
        self._print(f"\n{text}")

    def info(self, text: str) -> None:
        """Print information that is not a check."""
        self._print(f"        {text}")

    def check(self, what: str, problems: list[str], details: str = "") -> None:
        """Print the result of a check, which passed if there are no problems."""
        self.checks += 1
        self.failed += bool(problems)
        mark = "FAILED" if problems else "ok"
        self._print(f"{time.monotonic() - self._started:6.1f} s  {mark:<8}{what}{f': {details}' if details else ''}")
        for problem in problems[:_MAX_SHOWN]:
            self._print(f"                - {problem}")
        if len(problems) > _MAX_SHOWN:
            self._print(f"                - and {len(problems) - _MAX_SHOWN} more")

    def end(self) -> int:
        """Print the totals and return the exit status."""
        self._print(f"\n{self.checks} checks, {self.failed} failed")
        return 1 if self.failed or not self.checks else 0

    def _print(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Return the keys whose values differ or are only in one of the two."""
    return [
        f"{key} was {before.get(key)}, is {after.get(key)}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
