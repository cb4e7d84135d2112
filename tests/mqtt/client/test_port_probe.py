from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.mqtt.client.port_probe import PortWatcher, port_is_open
from tests.support.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable


class Door:
    """Says of a port, knock by knock, whether it is open; ``slept`` are the waits in between."""

    def __init__(self, answers: Iterable[bool], *, draw: float = 1.0) -> None:
        self._answers = iter(answers)
        self.slept: list[float] = []
        self.knocking = PortWatcher(self._knock, sleep=self._sleep, rng=lambda: draw)

    async def _knock(self) -> bool:
        return next(self._answers)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_a_port_where_something_listens_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert await port_is_open("127.0.0.1", server.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "a..b"])
async def test_a_port_where_nothing_listens_is_not(host: str) -> None:
    assert not await port_is_open(host, free_port())


async def test_a_port_that_swallows_the_knock_is_not_open() -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        stack.enter_context(socket.create_connection(full.getsockname()))
        assert not await port_is_open("127.0.0.1", full.getsockname()[1])


async def test_a_long_wait_ends_with_the_first_knock_that_finds_the_port_open() -> None:
    door = Door([False, False, False, True])
    await door.knocking.wait(60.0)
    assert door.slept == [2.0, 2.0, 2.0]


async def test_as_long_as_the_port_is_closed_the_whole_wait_is_kept() -> None:
    door = Door([False] * 10)
    await door.knocking.wait(7.0)
    assert door.slept == [2.0, 2.0, 2.0, 1.0]


@pytest.mark.parametrize("draw", [0.0, 1.0])
async def test_port_open_from_the_start_is_connected_to_within_five_seconds(draw: float) -> None:
    door = Door([True], draw=draw)
    await door.knocking.wait(60.0)
    assert len(door.slept) == 1
    assert 3.0 <= door.slept[0] <= 4.8


async def test_port_open_from_the_start_does_not_lengthen_a_short_wait() -> None:
    door = Door([True])
    await door.knocking.wait(2.0)
    assert door.slept == [2.0]


async def test_before_the_shortest_wait_nobody_knocks() -> None:
    door = Door([])
    await door.knocking.wait(1.0)
    assert door.slept == [1.0]
