from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import structlog
from blockbuster import blockbuster_ctx

from coc2mqtt.util.runtime import LOOP_VARIABLE, EventLoopError, loop_factory
from tests.fuzz.examples import set_defaults
from tests.support.broker import Mosquitto, find_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]


# The markers that the Makefile selects tests by.
_SELECTION_MARKERS = {"process", "slow", "chaos", "crash", "fuzz", "soak"}
_DESELECTED = pytest.StashKey[Counter[str]]()


class StartMosquitto(Protocol):
    def __call__(self, *lines: str, users: Mapping[str, str] | None = None, acl: str | None = None) -> Mosquitto: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--loop",
        choices=("asyncio", "uvloop"),
        default="asyncio",
        help="event loop of the tests and of all programs that they start; tests in simulated time always use asyncio",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_DESELECTED] = Counter()
    set_defaults()
    # Programs that a test starts inherit it.
    os.environ[LOOP_VARIABLE] = config.getoption("loop")
    try:
        loop_factory()
    except EventLoopError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config: pytest.Config) -> str:
    return f"event loop: {config.getoption('loop')}"


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        item.config.stash[_DESELECTED].update(
            {mark.name for mark in item.iter_markers()} & _SELECTION_MARKERS | {"all"}
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    deselected = session.config.stash[_DESELECTED]
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["deselected"] = dict(deselected)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # With pytest-xdist, each worker collects all tests and the controller collects none.
    deselected = node.config.stash[_DESELECTED]
    deselected.clear()
    deselected.update(getattr(node, "workeroutput", {}).get("deselected", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    deselected = terminalreporter.config.stash[_DESELECTED]
    if total := deselected.pop("all", 0):
        marked = ", ".join(f"{name} {count}" for name, count in deselected.most_common())
        terminalreporter.line(f"deselected: {total} tests ({marked or 'unmarked'})")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    # looptime supports only the loops of asyncio, and silently leaves any other loop in real time.
    if item.get_closest_marker("looptime") is not None:
        return {"asyncio": asyncio.new_event_loop}
    return {config.getoption("loop"): loop_factory() or asyncio.new_event_loop}


def pytest_collection_finish() -> None:
    # Imported modules stay in memory: garbage collections during tests need not scan them.
    gc.collect()
    gc.freeze()


def _log_plainly() -> None:
    """Log like structlog without a configuration, but with plain tracebacks: rich ones take seconds."""
    defaults = structlog.get_config()
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*defaults["processors"][:-1], renderer])


@pytest.fixture(scope="session", autouse=True)
def _no_implicit_loop() -> None:
    # looptime gets the current loop before synchronous tests, too. Up to Python 3.13 that creates one, which is never
    # closed, unless one was set before.
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def _require_markers_for_slow_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that starts Python, which takes a second, without a marker that excludes it from ``make test``."""
    if _SELECTION_MARKERS & {mark.name for mark in request.node.iter_markers()}:
        return
    start: Callable[..., None] = subprocess.Popen.__init__

    def start_marked(process: subprocess.Popen[bytes], command: Any, *arguments: Any, **options: Any) -> None:
        if sys.executable in (command if isinstance(command, list | tuple) else str(command).split()):
            pytest.fail("a test that starts Python needs a marker: add @pytest.mark.process")
        start(process, command, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", start_marked)


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    """Restore the logging configuration, which commands run in this process change."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    if not structlog.is_configured():
        _log_plainly()
    before = structlog.get_config()
    yield
    if structlog.get_config() != before:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)
    sys.excepthook = hook


@pytest.fixture(scope="session", autouse=True)
def _no_blocking_calls() -> Iterator[None]:
    """Fail every test in which the program blocks the event loop."""
    with blockbuster_ctx("coc2mqtt"):
        yield


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[StartMosquitto]:
    """Start any number of Mosquitto brokers, which are stopped after the test."""
    program = find_program("mosquitto")
    if program is None or find_program("mosquitto_sub") is None or find_program("mosquitto_passwd") is None:
        pytest.skip("Mosquitto and its clients are not installed (Debian: apt install mosquitto mosquitto-clients)")
    with ExitStack() as stack:

        def start(*lines: str, users: Mapping[str, str] | None = None, acl: str | None = None) -> Mosquitto:
            return stack.enter_context(Mosquitto(program, tmp_path, *lines, users=users, acl=acl))

        yield start
