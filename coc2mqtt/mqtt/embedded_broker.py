"""The embedded broker: MQTT without any set-up, to try the bridge with."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Self

from coc2mqtt.util.extras import install_command

if TYPE_CHECKING:
    from types import TracebackType

    from amqtt.broker import Broker

_STOP_TIMEOUT = 1.0


class EmbeddedBrokerError(Exception):
    """The embedded broker cannot be started; the text says why and what to do."""


class EmbeddedBroker:
    """amqtt's broker on this machine's loopback, open to every local program; an async context manager.

    It speaks MQTT 3.1.1 only, and is silent on a CONNECT of version 5 with a will or a user name: connect to it with
    3.1.1. Wills work. Its traps: it delivers retained messages to subscribers that did not ask for them and nothing on
    ``$share/…``, a taken-over client stays, a client that falls silent is not timed out, and nothing outlives a stop.

    Entering raises EmbeddedBrokerError. ``port`` is the one in use: a free one if it was 0, or taken and ``fallback``
    is set.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 1883, *, fallback: bool = False) -> None:
        self.host = host
        self.port = port
        self._fallback = fallback
        self._broker: Broker | None = None
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        if not ip_address(self.host).is_loopback:
            raise EmbeddedBrokerError(
                f"the embedded broker lets everybody in, so it cannot listen on {self.host}: use 127.0.0.1, or a broker"
                " of your own that asks for passwords"
            )
        self._broker = await _start_broker()
        try:
            self._server = await self._listen()
        except OSError as error:
            await self._broker.shutdown()
            reason = os.strerror(error.errno or 0)
            raise EmbeddedBrokerError(
                f"the embedded broker cannot use {self.host}:{self.port} ({reason}): if another broker runs there, name"
                " it as mqtt.host, else set another mqtt.port"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._broker is not None:
            self._server.close()
            # Before amqtt ends: it forgets clients that never sent a CONNECT, and up to Python 3.11 its reader of a
            # client can miss its cancellation (in `wait_for`) and would be waited for until the client speaks.
            for writer in self._clients.values():
                writer.close()
            if self._clients:
                await asyncio.wait(self._clients, timeout=_STOP_TIMEOUT)
            await self._broker.shutdown()

    async def _listen(self) -> asyncio.Server:
        try:
            return await asyncio.start_server(self._serve, self.host, self.port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not self._fallback:
                raise
        return await asyncio.start_server(self._serve, self.host, 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand a client to amqtt. Its own listener would tell neither its port nor deal with clients that vanish."""
        from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter  # noqa: PLC0415 - an optional extra

        task = asyncio.current_task()
        if self._broker is None or task is None:
            return
        self._clients[task] = writer
        try:
            with contextlib.closing(writer), contextlib.suppress(OSError):
                await self._broker.external_connected(
                    StreamReaderAdapter(reader), StreamWriterAdapter(writer), "default"
                )
        finally:
            del self._clients[task]


async def _start_broker() -> Broker:
    try:
        from amqtt.broker import Broker  # noqa: PLC0415 - an optional extra, and slow to import
        from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType  # noqa: PLC0415 - the same
    except ImportError:
        command = await asyncio.to_thread(install_command, "embedded")  # it reads files
        raise EmbeddedBrokerError(
            f"the embedded broker is not installed: run {command}, or set mqtt.host to a broker of your own"
        ) from None
    # A line for each connection and packet, and tracebacks of clients that just go away.
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    # Both passed explicitly: the defaults listen on every address, log each packet, and need psutil.
    broker = Broker(
        BrokerConfig(
            listeners={"default": ListenerConfig(type=ListenerType.EXTERNAL)},
            plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        )
    )
    await broker.start()
    return broker
