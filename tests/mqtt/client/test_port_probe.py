from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.mqtt.client.port_probe import PortWatcher, port_is_open
from tests.support.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable


class FakePort:
    """Answers each probe with the next of these states; ``slept`` are the waits in between."""

    def __init__(self, states: Iterable[bool], *, random: float = 1.0) -> None:
        self._states = iter(states)
        self.slept: list[float] = []
        self.watcher = PortWatcher(self._probe, sleep=self._sleep, rng=lambda: random)

    async def _probe(self) -> bool:
        return next(self._states)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_port_with_listener_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert await port_is_open("127.0.0.1", server.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "a..b"])
async def test_port_without_listener_is_not_open(host: str) -> None:
    assert not await port_is_open(host, free_port())


async def test_port_that_ignores_the_connect_is_not_open() -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        stack.enter_context(socket.create_connection(full.getsockname()))
        assert not await port_is_open("127.0.0.1", full.getsockname()[1])


async def test_long_wait_ends_when_the_port_opens() -> None:
    port = FakePort([False, False, False, True])
    await port.watcher.wait(60.0)
    assert port.slept == [2.0, 2.0, 2.0]


async def test_wait_is_not_shortened_while_the_port_is_closed() -> None:
    port = FakePort([False] * 10)
    await port.watcher.wait(7.0)
    assert port.slept == [2.0, 2.0, 2.0, 1.0]


@pytest.mark.parametrize("random", [0.0, 1.0])
async def test_wait_is_under_five_seconds_when_the_port_is_open_from_the_start(random: float) -> None:
    port = FakePort([True], random=random)
    await port.watcher.wait(60.0)
    assert len(port.slept) == 1
    assert 3.0 <= port.slept[0] <= 4.8


async def test_short_wait_is_not_extended_when_the_port_is_open_from_the_start() -> None:
    port = FakePort([True])
    await port.watcher.wait(2.0)
    assert port.slept == [2.0]


async def test_wait_of_one_second_does_not_probe() -> None:
    port = FakePort([])
    await port.watcher.wait(1.0)
    assert port.slept == [1.0]
