"""Tests of the waits between connects, in simulated time, with scripted sessions and errors."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Never, cast

import pytest

from coc2mqtt.mqtt.client import negotiation
from coc2mqtt.mqtt.client.connection import Connection, Session
from coc2mqtt.mqtt.client.errors import (
    BrokerShutdownError,
    ConnackTimeoutError,
    ConnectError,
    ConnectionLostError,
    NotAuthorizedError,
    TlsError,
    UnreachableBrokerError,
    WrongCredentialsError,
)
from tests.support.connections import OPTIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, MutableMapping

    Lines = list[MutableMapping[str, Any]]
    Step = ConnectError | tuple[float, ConnectionLostError]

pytestmark = pytest.mark.looptime

LOST = ConnectionLostError("lost")


class ScriptedSession:
    """A session that is lost with an error after some seconds."""

    protocol = "5"
    connected_at = 0.0

    def __init__(self, seconds: float, error: ConnectionLostError) -> None:
        self._seconds = seconds
        self._error = error

    async def monitor(self) -> Never:
        await asyncio.sleep(self._seconds)
        raise self._error

    async def disconnect(self, _offline_messages: object) -> None: ...

    def abort(self) -> None: ...


class Attempts:
    """Follows a script at each attempt to connect, and records the waits since the end of the previous one."""

    def __init__(self, script: Iterable[Step]) -> None:
        self._script = iter(script)
        self._ended_at: float | None = None
        self.waits: list[float] = []
        self.port_is_open = True

    async def open_session(self, *_: object, **__: object) -> Session:
        now = asyncio.get_running_loop().time()
        if self._ended_at is not None:
            self.waits.append(now - self._ended_at)
        step = next(self._script)
        seconds = 0.0 if isinstance(step, ConnectError) else step[0]
        self._ended_at = now + seconds
        if isinstance(step, ConnectError):
            raise step
        return cast("Session", ScriptedSession(*step))

    async def port_probe(self) -> bool:
        return self.port_is_open


@asynccontextmanager
async def connecting(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connection]:
    monkeypatch.setattr(negotiation, "open_session", attempts.open_session)
    connection = Connection(
        replace(OPTIONS, protocol="5"),
        on_session=lambda _: asyncio.sleep(0),
        port_probe=attempts.port_probe,
        rng=lambda: 1.0,
    )
    task = asyncio.create_task(connection.run())
    try:
        yield connection
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_broker_restarted_five_times_in_a_minute_waits_two_seconds_each(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = Attempts([*[(10.0, LOST)] * 5, (1e9, LOST)])
    attempts.port_is_open = False
    async with connecting(attempts, monkeypatch) as connection:
        await asyncio.sleep(60)
        assert connection.status.connected
    assert len(attempts.waits) == 5
    assert max(attempts.waits) <= 2.0


@pytest.mark.parametrize("lost", [LOST, BrokerShutdownError("bye")])
async def test_established_session_resets_the_backoff_of_failed_connects(
    monkeypatch: pytest.MonkeyPatch, lost: ConnectionLostError
) -> None:
    unreachable = [UnreachableBrokerError("unreachable")] * 6
    attempts = Attempts([*unreachable, (0.5, lost), *unreachable, (0.5, lost), (1e9, LOST)])
    attempts.port_is_open = False
    async with connecting(attempts, monkeypatch):
        await asyncio.sleep(1000)
    backing_off = [1, 2, 4, 8, 16, 32]
    assert attempts.waits == pytest.approx([*backing_off, 1.5, *backing_off, 1.5])


@pytest.mark.parametrize("error", [ConnackTimeoutError("no CONNACK"), TlsError("no TLS"), UnreachableBrokerError("?")])
async def test_open_port_is_tried_at_least_every_five_seconds(
    monkeypatch: pytest.MonkeyPatch, error: ConnectError
) -> None:
    attempts = Attempts(itertools.repeat(error))
    async with connecting(attempts, monkeypatch):
        await asyncio.sleep(600)
    assert max(attempts.waits) <= 5.0
    assert len(attempts.waits) >= 120


@pytest.mark.parametrize("error", [WrongCredentialsError("wrong"), NotAuthorizedError("no"), ConnectError("banned")])
async def test_rejection_by_the_broker_backs_off_to_a_minute_with_an_open_port(
    monkeypatch: pytest.MonkeyPatch, error: ConnectError
) -> None:
    attempts = Attempts(itertools.repeat(error))
    async with connecting(attempts, monkeypatch):
        await asyncio.sleep(300)
    assert attempts.waits[:8] == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])


async def test_sessions_taken_over_silently_by_another_client_back_off(
    monkeypatch: pytest.MonkeyPatch, log_lines: Lines
) -> None:
    attempts = Attempts(itertools.repeat((1.5, LOST)))
    async with connecting(attempts, monkeypatch):
        await asyncio.sleep(3600)
    assert max(attempts.waits[:5]) <= 2.0
    assert attempts.waits[-1] == pytest.approx(61)
    (line,) = [line for line in log_lines if line["event"] == "the broker closes every session within seconds"]
    assert "stop another client with the client ID 'coc2mqtt_home'" in line["hint"]


async def test_slow_port_probe_does_not_delay_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(Attempts):
        async def port_probe(self) -> bool:
            await asyncio.sleep(1.0)
            return False

    attempts = Slow([(10.0, LOST), (1e9, LOST)])
    async with connecting(attempts, monkeypatch):
        await asyncio.sleep(60)
    assert attempts.waits == pytest.approx([1.5])
