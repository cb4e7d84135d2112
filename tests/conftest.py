from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest
from blockbuster import blockbuster_ctx

from tests.brokers import Mosquitto, find_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class StartMosquitto(Protocol):
    def __call__(self, *lines: str, users: Mapping[str, str] | None = None, acl: str | None = None) -> Mosquitto: ...


@pytest.fixture(scope="session", autouse=True)
def _no_implicit_loop() -> None:
    # looptime asks for the current loop before plain tests as well; up to Python 3.13 that creates one if none was
    # ever set, and nobody closes it.
    asyncio.set_event_loop(None)


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
