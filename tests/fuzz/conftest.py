from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from tests.fuzz.examples import LONG, SEED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn


@pytest.fixture
def count_example(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Return a function that counts the examples of a test; call it for each one."""
    properties = request.node.user_properties
    place = len(properties)
    properties.append(("examples", 0))

    def count() -> None:
        properties[place] = ("examples", properties[place][1] + 1)

    return count


@pytest.fixture(autouse=True)
def _fail_on_traceback() -> Iterator[None]:
    """Fail if the program logs a traceback, and drop all other log lines."""
    configured = structlog.get_config()

    def check_line(_: object, __: str, line: structlog.typing.EventDict) -> NoReturn:
        if line.get("exc_info"):
            raise AssertionError(line["event"])
        raise structlog.DropEvent

    structlog.configure(processors=[check_line])
    yield
    structlog.configure(**configured)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the number of examples of each test in the long form."""
    if not LONG:
        return
    terminalreporter.section(f"examples tried, FUZZ_SEED={SEED}")
    for report in (report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)):
        if "examples" in dict(report.user_properties):
            terminalreporter.line(f"{dict(report.user_properties)['examples']:>7}  {report.nodeid}")
