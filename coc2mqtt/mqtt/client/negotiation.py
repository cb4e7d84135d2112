"""Connecting with the version of MQTT that the broker supports."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from coc2mqtt.mqtt.client.errors import ConnackTimeoutError, UnsupportedProtocolError
from coc2mqtt.mqtt.client.session import Session, open_session
from coc2mqtt.util.tasks import first_exception

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol
    from coc2mqtt.mqtt.client.poison_messages import PoisonMessageFilter

Result = TypeVar("Result")


class ProtocolNegotiator:
    """Opens sessions with the version of MQTT that the broker supports, and remembers that version.

    ``clock`` returns Unix time. ``poison_filter`` is shared by all sessions.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        clock: Callable[[], float] = time.time,
        poison_filter: PoisonMessageFilter | None = None,
    ) -> None:
        self._options = options
        self._open = partial(open_session, options, clock=clock, poison_filter=poison_filter)
        self._supported: Protocol | None = None if options.protocol == "auto" else options.protocol

    async def connect(self) -> Session:
        """Connect with the last version that worked, otherwise with 5 and then with 3.1.1. Raises ConnectError.

        The version is remembered until the program stops or the broker reports that it does not support it. A broker
        that does not answer a CONNECT of version 5 would otherwise cost a timeout at every reconnect. A broker that
        supported 5 before and does not answer now is unhealthy, not old, so 3.1.1 is not tried.
        """
        first = self._supported or "5"
        try:
            session = await self._open(first)
        except (UnsupportedProtocolError, ConnackTimeoutError) as error:
            is_unhealthy = self._supported is not None and isinstance(error, ConnackTimeoutError)
            if self._options.protocol != "auto" or is_unhealthy:
                raise
            session = await self._open("3.1.1" if first == "5" else "5")
        self._supported = session.protocol
        return session


async def run_temporary_session(
    options: ConnectionOptions, suffix: str, work: Callable[[Session], Awaitable[Result]]
) -> Result:
    """Connect once, call ``work`` with the session, disconnect, and return the result.

    The client ID ends in ``suffix`` and the connection has no will, so a bridge that runs with the same options keeps
    its connection. Raises ConnectError, ConnectionLostError, and the errors of ``work``.
    """
    options = dataclasses.replace(options, client_id=f"{options.client_id}-{suffix}", will=None)
    session = await ProtocolNegotiator(options).connect()
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task else 0
    try:
        async with asyncio.TaskGroup() as group:
            monitoring = group.create_task(session.monitor())
            result = await work(session)
            monitoring.cancel()  # before the disconnect, which it would report as a lost connection
        await session.disconnect()
    except BaseExceptionGroup as errors:
        # A TaskGroup lets the errors of its tasks win over a cancellation from outside, which must not be lost.
        if task and task.cancelling() > cancelled_before:
            raise asyncio.CancelledError from None
        raise first_exception(errors) from None
    finally:
        session.abort()
    return result
