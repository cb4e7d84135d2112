from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

FIGURES = "recovery"


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print where bugs came up, and how long it took the bridge to recover."""
    for report in terminalreporter.getreports("passed"):
        for name, figures in report.user_properties:
            if name == FIGURES:
                terminalreporter.write_line(f"recovery: {figures}")
