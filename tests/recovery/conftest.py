from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

RESULT = "recovery"


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print how many bugs were injected, and how long the bridge took to recover."""
    for report in terminalreporter.getreports("passed"):
        for name, result in report.user_properties:
            if name == RESULT:
                terminalreporter.write_line(f"recovery: {result}")
