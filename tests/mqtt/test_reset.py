"""A connection that is reset directly after the broker sent data, on both event loops."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client.errors import ConnectionLostError, SessionTakenOverError
from coc2mqtt.mqtt.client.options import ConnectionOptions
from tests.support.sessions import connected_session
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from coc2mqtt.mqtt.client.session import Session

    Run = Callable[[Coroutine[Any, Any, None]], None]

_CONNACK = bytes.fromhex("20 03 00 00 00")
_PUBLISH = bytes.fromhex("30 07 00 03") + b"abc" + bytes.fromhex("00") + b"x"
_TAKEN_OVER = bytes.fromhex("e0 02 8e 00")
_NO_LINGER = struct.pack("ii", 1, 0)


def loops() -> list[Any]:
    try:
        import uvloop  # noqa: PLC0415 - an optional extra
    except ImportError:
        skip = pytest.mark.skip(reason="the extra 'fast' is not installed")
        return [asyncio.run, pytest.param(None, id="uvloop", marks=skip)]
    return [asyncio.run, pytest.param(uvloop.run, id="uvloop")]


async def accept_client(listener: socket.socket) -> socket.socket:
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(listener)
    connection.setblocking(False)
    await loop.sock_recv(connection, 1000)
    await loop.sock_sendall(connection, _CONNACK)
    return connection


def send_and_reset(connection: socket.socket, data: bytes) -> None:
    """Send and reset without an iteration of the event loop in between, so that the client sees both at once."""
    connection.send(data)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    connection.close()


@asynccontextmanager
async def session_and_broker() -> AsyncIterator[tuple[Session, socket.socket]]:
    """Connect a session to a socket that the test controls; the event loop must not report any errors."""
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        options = ConnectionOptions("127.0.0.1", listener.getsockname()[1], "reset", timeout=LONG_ENOUGH)
        accepting = asyncio.create_task(accept_client(listener))
        async with connected_session(options) as session:
            yield session, await accepting
    assert errors == []


async def monitor(session: Session) -> None:
    await session.monitor()


async def send(session: Session) -> None:
    await session.publish("coc/a", b"1")


@pytest.mark.parametrize("run", loops())
@pytest.mark.parametrize(
    ("operation", "data", "expected"),
    [
        (monitor, 3 * _PUBLISH, ConnectionLostError),
        (monitor, 3 * _PUBLISH + _TAKEN_OVER, SessionTakenOverError),
        (send, 3 * _PUBLISH, ConnectionLostError),
    ],
    ids=["receiving", "receiving with reason", "sending"],
)
def test_reset_is_noticed_at_once_after_reading_all_data(
    run: Run,
    operation: Callable[[Session], Coroutine[Any, Any, None]],
    data: bytes,
    expected: type[ConnectionLostError],
) -> None:
    async def scenario() -> None:
        async with session_and_broker() as (session, broker):
            task = asyncio.create_task(operation(session))
            await asyncio.sleep(0)
            send_and_reset(broker, data)
            async with asyncio.timeout(LONG_ENOUGH):
                with pytest.raises(expected):
                    await task
                if expected is SessionTakenOverError:
                    assert [(await anext(session.messages())).payload for _ in range(3)] == [b"x"] * 3

    run(scenario())
