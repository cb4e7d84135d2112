"""Tests of a connection during and after a long outage of the broker."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client import negotiation
from coc2mqtt.mqtt.client.connection import Connection, Session
from coc2mqtt.mqtt.client.errors import ConnackTimeoutError, NotAuthorizedError, UnreachableBrokerError
from coc2mqtt.mqtt.client.reconnect import port_is_open
from tests.support.connections import OPTIONS
from tests.support.recording_session import running
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from tests.conftest import StartMosquitto
    from tests.support.broker import Mosquitto

    Lines = list[MutableMapping[str, Any]]

pytestmark = pytest.mark.usefixtures("no_stray_errors")


def probing_connection(broker: Mosquitto, **options: Any) -> Connection:
    """Return a connection that probes the port of a broker, as the bridge's does."""
    to_broker = replace(OPTIONS, port=broker.port)
    return Connection(to_broker, port_probe=partial(port_is_open, to_broker.host, to_broker.port), **options)


async def test_broker_back_after_long_outage_is_reconnected_within_five_seconds(
    mosquitto: StartMosquitto,
) -> None:
    broker = mosquitto()
    sessions: asyncio.Queue[Session] = asyncio.Queue()
    waited = 0.0
    long_wait = asyncio.Event()

    async def sleep(seconds: float) -> None:
        """Sleep at fifty times the speed."""
        nonlocal waited
        waited += seconds
        if waited > 100:
            long_wait.set()
        await asyncio.sleep(seconds / 50)

    async def on_session(session: Session) -> None:
        sessions.put_nowait(session)
        await asyncio.Event().wait()

    connection = probing_connection(broker, on_session=on_session, sleep=sleep)
    async with running(connection.run()), asyncio.timeout(LONG_ENOUGH):
        await sessions.get()
        broker.kill()
        await long_wait.wait()  # the backoff is now a minute
        broker.restart()
        before = waited
        await sessions.get()
        assert waited - before < 4


async def test_broker_restarted_five_times_is_reconnected_within_two_seconds_each(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    sessions: asyncio.Queue[Session] = asyncio.Queue()
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        """Sleep at fifty times the speed."""
        waits.append(seconds)
        await asyncio.sleep(seconds / 50)

    async def on_session(session: Session) -> None:
        await session.publish("coc/bridge/state", b"online", retain=True)
        sessions.put_nowait(session)
        await asyncio.Event().wait()

    connection = probing_connection(broker, on_session=on_session, sleep=sleep)
    async with running(connection.run()), asyncio.timeout(LONG_ENOUGH):
        await sessions.get()
        for _ in range(5):
            waits.clear()
            # As quickly as a service manager: the broker runs again before the port is probed.
            broker.restart()
            await sessions.get()
            assert sum(waits) <= 2.0


async def test_outage_with_alternating_errors_logs_each_error_once(
    monkeypatch: pytest.MonkeyPatch, log_lines: Lines
) -> None:
    reasons = itertools.cycle(
        [UnreachableBrokerError("unreachable"), ConnackTimeoutError("no CONNACK"), NotAuthorizedError("not authorized")]
    )
    attempts = asyncio.Semaphore(0)

    async def fail(*_: object, **__: object) -> Session:
        attempts.release()
        raise next(reasons)

    async def no_sleep(_: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(negotiation, "open_session", fail)
    connection = Connection(replace(OPTIONS, protocol="5"), on_session=lambda _: asyncio.sleep(0), sleep=no_sleep)
    async with running(connection.run()):
        for _ in range(100):
            await attempts.acquire()
    assert [line["reason"] for line in log_lines] == ["unreachable", "no CONNACK", "not authorized"]
