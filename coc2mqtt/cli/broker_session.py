"""A session with the broker of the configuration, for commands that ask the running bridge."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from typing import TYPE_CHECKING, Any, Never, TypeVar

from coc2mqtt.clients import connection_options
from coc2mqtt.mqtt.client.connection import Connection, Session
from coc2mqtt.mqtt.client.errors import MqttError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.config.settings import Settings

T = TypeVar("T")

# `bridge/watches` of ten thousand watches, at 170 bytes each.
_MAX_PAYLOAD_BYTES = 2 * 1024 * 1024


async def run_in_session(
    settings: Settings,
    work: Callable[[Session], Awaitable[T]],
    *,
    timeout: float,  # noqa: ASYNC109 - covers several steps
) -> T:
    """Connect to the broker, and return the result of ``work``; both together take at most ``timeout`` seconds.

    Raises MqttError if the connection fails or is lost, or if the broker does not respond in time, and TimeoutError if
    only ``work`` is not done in time.
    """
    options = connection_options(settings)
    # A client ID of its own and no will: otherwise the broker would disconnect the bridge.
    client_id = f"{options.client_id}-{secrets.token_hex(4)}"
    options = dataclasses.replace(
        options,
        client_id=client_id,
        will=None,
        max_payload=_MAX_PAYLOAD_BYTES,
        # A broker that does not respond to MQTT 5 must leave time for 3.1.1.
        timeout=min(options.timeout, timeout / 2),
    )
    connected = asyncio.Event()

    async def on_session(session: Session) -> None:
        connected.set()
        raise _WorkDone(await work(session))

    async def give_up(_: float) -> Never:
        raise MqttError(connection.status.last_error or "the connection to the broker was lost")

    connection = Connection(options, on_session=on_session, sleep=give_up)
    try:
        async with asyncio.timeout(timeout):
            await connection.run()
    except _WorkDone as done:
        result: T = done.result
        return result
    except TimeoutError:
        if connected.is_set():
            raise
        broker = f"the broker at {options.host}:{options.port}"
        raise MqttError(
            f"{broker} did not respond within {timeout:g} s: check that it is running, and its log"
        ) from None


class _WorkDone(Exception):  # noqa: N818 - not an error: stops the connection
    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result
