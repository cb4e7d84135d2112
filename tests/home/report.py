"""What a run says, line by line as it goes."""

from __future__ import annotations

import sys
import time

_MOST_SHOWN = 25


class Report:
    """Prints each check with what was seen, and counts those that failed."""

    def __init__(self) -> None:
        self.checks = 0
        self.wrong = 0
        self._began = time.monotonic()

    def head(self, text: str) -> None:
        """Begin a part."""
        self._say(f"\n{text}")

    def note(self, text: str) -> None:
        """Say what is no check."""
        self._say(f"        {text}")

    def check(self, what: str, problems: list[str], seen: str = "") -> None:
        """Say how a check went: well where there are no problems."""
        self.checks += 1
        self.wrong += bool(problems)
        mark = "WRONG" if problems else "ok"
        self._say(f"{time.monotonic() - self._began:6.1f} s  {mark:<6}{what}{f': {seen}' if seen else ''}")
        for problem in problems[:_MOST_SHOWN]:
            self._say(f"                - {problem}")
        if len(problems) > _MOST_SHOWN:
            self._say(f"                - and {len(problems) - _MOST_SHOWN} more")

    def end(self) -> int:
        """Say the result and return the exit status."""
        self._say(f"\n{self.checks} checks, {self.wrong} of them wrong")
        return 1 if self.wrong or not self.checks else 0

    def _say(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
