from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.mqtt.client.reconnect import Backoff, PortWatcher, SessionBackoff, port_is_open
from tests.support.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Iterable


def test_backoff_waits_double_from_one_second_to_one_minute() -> None:
    backoff = Backoff(rng=lambda: 1.0)
    assert [backoff.next_delay() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_backoff_jitter_removes_at_most_half_but_keeps_one_second() -> None:
    backoff = Backoff(rng=lambda: 0.0)
    assert [backoff.next_delay() for _ in range(8)] == [1, 1, 2, 4, 8, 16, 30, 30]


def test_backoff_reset_restarts_with_the_shortest_wait() -> None:
    backoff = Backoff(rng=lambda: 1.0)
    assert [backoff.next_delay() for _ in range(3)] == [1, 2, 4]
    backoff.reset()
    assert backoff.next_delay() == 1


@pytest.mark.parametrize("lasted", [0.0, 3.0, 12.0, 59.0, 86400.0])
@pytest.mark.parametrize("random", [0.0, 1.0])
def test_session_backoff_after_session_of_any_length_waits_under_two_seconds(lasted: float, random: float) -> None:
    backoff = SessionBackoff(rng=lambda: random)
    waits = [backoff.next_delay(lasted, closed_by_broker=False) for _ in range(50)]
    assert all(1.0 <= wait <= 1.5 for wait in waits)
    assert not backoff.suspects_takeover


def test_session_backoff_grows_when_running_broker_ends_brief_sessions() -> None:
    backoff = SessionBackoff(rng=lambda: 1.0)
    assert [backoff.next_delay(1.5, closed_by_broker=True) for _ in range(12)] == [*[1.5] * 5, 2, 3, 5, 9, 17, 33, 61]
    assert backoff.suspects_takeover


def test_session_backoff_stays_short_when_running_broker_ends_longer_sessions() -> None:
    backoff = SessionBackoff(rng=lambda: 1.0)
    assert {backoff.next_delay(20.0, closed_by_broker=True) for _ in range(50)} == {1.5}


def test_session_backoff_is_reset_by_a_stable_minute() -> None:
    backoff = SessionBackoff(rng=lambda: 1.0)
    for _ in range(10):
        backoff.next_delay(1.0, closed_by_broker=True)
    assert backoff.next_delay(59.0, closed_by_broker=True) == 1.5
    assert backoff.suspects_takeover
    assert backoff.next_delay(60.0, closed_by_broker=True) == 1.5
    assert not backoff.suspects_takeover
    assert [backoff.next_delay(1.0, closed_by_broker=True) for _ in range(6)] == [*[1.5] * 5, 2]


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
