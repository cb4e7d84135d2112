from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from tests.fuzz.examples import LONG, SEED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Count the examples of a test: to be called for each."""
    properties = request.node.user_properties
    place = len(properties)
    properties.append(("examples", 0))

    def one_more() -> None:
        properties[place] = ("examples", properties[place][1] + 1)

    return one_more


@pytest.fixture(autouse=True)
def _nothing_to_report() -> Iterator[None]:
    """Fail where the program logs a traceback, and let it log nothing else: it would be a lot."""
    configured = structlog.get_config()

    def hear(_: object, __: str, line: structlog.typing.EventDict) -> NoReturn:
        if line.get("exc_info"):
            raise AssertionError(line["event"])
        raise structlog.DropEvent

    structlog.configure(processors=[hear])
    yield
    structlog.configure(**configured)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many examples were tried in the long form."""
    if not LONG:
        return
    terminalreporter.section(f"examples tried, FUZZ_SEED={SEED}")
    for report in (report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)):
        if "examples" in dict(report.user_properties):
            terminalreporter.line(f"{dict(report.user_properties)['examples']:>7}  {report.nodeid}")
