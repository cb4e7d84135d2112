"""Connecting with the version of MQTT that the broker speaks."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from coc2mqtt.mqtt.client.errors import ConnackTimeoutError, UnsupportedProtocolError
from coc2mqtt.mqtt.client.session import Session, open_session
from coc2mqtt.util.exceptions import first_exception

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol
    from coc2mqtt.mqtt.client.poison_messages import Quarantine

Result = TypeVar("Result")


class ProtocolNegotiator:
    """Connects with the version of MQTT that the broker speaks, and remembers which. ``clock`` gives Unix time.

    ``quarantine`` is shared by all sessions.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        clock: Callable[[], float] = time.time,
        quarantine: Quarantine | None = None,
    ) -> None:
        self._options = options
        self._open = partial(open_session, options, clock=clock, quarantine=quarantine)
        self._known: Protocol | None = None if options.protocol == "auto" else options.protocol

    async def dial(self) -> Session:
        """Connect with the known version, else with 5 and then with 3.1.1; raises ConnectError.

        What worked is kept until the program ends or the broker says that it does not speak it: a broker that is
        silent on version 5 would cost a time-out at every reconnect, and one that once spoke 5 and is silent now is
        in trouble, not old.
        """
        first = self._known or "5"
        try:
            session = await self._open(first)
        except (UnsupportedProtocolError, ConnackTimeoutError) as error:
            in_trouble = self._known is not None and isinstance(error, ConnackTimeoutError)
            if self._options.protocol != "auto" or in_trouble:
                raise
            session = await self._open("3.1.1" if first == "5" else "5")
        self._known = session.protocol
        return session


async def visit(options: ConnectionOptions, name: str, work: Callable[[Session], Awaitable[Result]]) -> Result:
    """Connect once beside the bridge, do some work over the session, leave, and return what the work returns.

    The client id ends in ``name`` and there is no will: a bridge that runs with the same options keeps its
    connection. Raises ConnectError, ConnectionLostError, and what the work raises.
    """
    options = dataclasses.replace(options, client_id=f"{options.client_id}-{name}", will=None)
    session = await ProtocolNegotiator(options).dial()
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task else 0
    try:
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(session.receive())
            result = await work(session)
            receiving.cancel()  # before the goodbye, which would be a loss of the connection to it
        await session.leave()
    except BaseExceptionGroup as errors:
        # A TaskGroup lets the errors of its tasks win over a cancellation from outside, which must not be lost.
        if task and task.cancelling() > cancelled_before:
            raise asyncio.CancelledError from None
        raise first_exception(errors) from None
    finally:
        session.drop()
    return result
