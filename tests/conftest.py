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

from coc2mqtt.util.event_loop import LOOP_VARIABLE, EventLoopError, loop_factory
from tests.fuzz.examples import set_defaults
from tests.support.broker import Mosquitto, find_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    LoopFactory = Callable[[], asyncio.AbstractEventLoop]


# The markers by which the Makefile selects tests.
_SELECTED_BY = {"process", "slow", "chaos", "crash", "fuzz", "soak"}
_LEFT_OUT = pytest.StashKey[Counter[str]]()


class StartMosquitto(Protocol):
    def __call__(self, *lines: str, users: Mapping[str, str] | None = None, acl: str | None = None) -> Mosquitto: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--loop",
        choices=("asyncio", "uvloop"),
        default="asyncio",
        help="the event loop of the tests and of every program that they start; simulated time is always asyncio's",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEFT_OUT] = Counter()
    set_defaults()
    # Inherited by every program that a test starts.
    os.environ[LOOP_VARIABLE] = config.getoption("loop")
    try:
        loop_factory()
    except EventLoopError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config: pytest.Config) -> str:
    return f"event loop: {config.getoption('loop')}"


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        item.config.stash[_LEFT_OUT].update({mark.name for mark in item.iter_markers()} & _SELECTED_BY | {"all"})


def pytest_sessionfinish(session: pytest.Session) -> None:
    left_out = session.config.stash[_LEFT_OUT]
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["left_out"] = dict(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    # Each worker of pytest-xdist collects all tests, and the controller none.
    left_out = node.config.stash[_LEFT_OUT]
    left_out.clear()
    left_out.update(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = terminalreporter.config.stash[_LEFT_OUT]
    if total := left_out.pop("all", 0):
        marked = ", ".join(f"{name} {count}" for name, count in left_out.most_common())
        terminalreporter.line(f"left out: {total} tests ({marked or 'not selected'})")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    # looptime can simulate time only on asyncio's own loop, and leaves any other one in real time without a word.
    if item.get_closest_marker("looptime") is not None:
        return {"asyncio": asyncio.new_event_loop}
    return {config.getoption("loop"): loop_factory() or asyncio.new_event_loop}


def pytest_collection_finish() -> None:
    # What was imported stays, and need not be looked at by each garbage collection of a test.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_implicit_loop() -> None:
    # looptime asks for the current loop before plain tests as well; up to Python 3.13 that creates one if none was
    # ever set, and nobody closes it.
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def _slow_tests_are_marked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that starts Python, which takes a second, and has no marker that keeps it out of ``make test``."""
    if _SELECTED_BY & {mark.name for mark in request.node.iter_markers()}:
        return
    start: Callable[..., None] = subprocess.Popen.__init__

    def start_marked(process: subprocess.Popen[bytes], command: Any, *arguments: Any, **options: Any) -> None:
        if sys.executable in (command if isinstance(command, list | tuple) else str(command).split()):
            pytest.fail("a test that starts Python must be marked: add @pytest.mark.process")
        start(process, command, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", start_marked)


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    """Restore the logging configuration, which a command run in this process changes; other tests capture log lines."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, sys.excepthook
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)
    sys.excepthook = hook


@pytest.fixture(autouse=True)
def _nothing_blocks() -> Iterator[None]:
    """Fail whatever blocks the event loop from within the product."""
    with blockbuster_ctx("coc2mqtt"):
        yield


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[StartMosquitto]:
    """Start any number of real Mosquittos, which end with the test."""
    program = find_program("mosquitto")
    if program is None or find_program("mosquitto_sub") is None or find_program("mosquitto_passwd") is None:
        pytest.skip("Mosquitto and its clients are not installed (Debian: apt install mosquitto mosquitto-clients)")
    with ExitStack() as stack:

        def start(*lines: str, users: Mapping[str, str] | None = None, acl: str | None = None) -> Mosquitto:
            return stack.enter_context(Mosquitto(program, tmp_path, *lines, users=users, acl=acl))

        yield start
