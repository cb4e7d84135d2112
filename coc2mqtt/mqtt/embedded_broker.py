"""The embedded broker, for trying the bridge without setting up a broker."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.metadata
import importlib.util
import logging
import os
import re
import shlex
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

    from amqtt.broker import Broker

_STOP_TIMEOUT_S = 1.0
_EXTRA_MARKER = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


class EmbeddedBrokerError(Exception):
    """The embedded broker cannot be started; the message states the reason and what to do."""


class EmbeddedBroker:
    """An async context manager that runs amqtt's broker on the loopback interface, open to every local program.

    amqtt supports MQTT 3.1.1 only, and does not answer a CONNECT of version 5 with a will or a user name: connect with
    3.1.1. Wills work. Its limitations: it delivers retained messages to subscribers that did not subscribe to them, and
    nothing on ``$share/…``; it does not disconnect a client whose client ID is taken over, nor one that exceeds its
    keepalive; it stores nothing on disk.

    Entering raises EmbeddedBrokerError. ``port`` is the port in use: a free one if 0 was given, or if the given one is
    in use and ``fallback`` is set.
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
                f"the embedded broker accepts every client, so it cannot listen on {self.host}: use 127.0.0.1, or your"
                " own broker with passwords"
            )
        self._broker = await _start_broker()
        try:
            self._server = await self._listen()
        except OSError as error:
            await self._broker.shutdown()
            reason = os.strerror(error.errno or 0)
            raise EmbeddedBrokerError(
                f"the embedded broker cannot use {self.host}:{self.port} ({reason}): if another broker runs there, set"
                " mqtt.host to it, otherwise set another mqtt.port"
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None and self._broker is not None:
            self._server.close()
            # Before the shutdown: amqtt does not close clients that never sent a CONNECT, and up to Python 3.11 its
            # reader of a client can miss its cancellation (in `wait_for`), and would be awaited until the client sends
            # something.
            for writer in self._clients.values():
                writer.close()
            if self._clients:
                await asyncio.wait(self._clients, timeout=_STOP_TIMEOUT_S)
            await self._broker.shutdown()

    async def _listen(self) -> asyncio.Server:
        try:
            return await asyncio.start_server(self._serve, self.host, self.port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not self._fallback:
                raise
        return await asyncio.start_server(self._serve, self.host, 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a client to amqtt, whose own listener does not expose its port and fails on clients that disconnect."""
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
            f"the embedded broker is not installed: run {command}, or set mqtt.host to your own broker"
        ) from None
    # amqtt logs a line for each connection and packet, and tracebacks for clients that disconnect.
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    # Both are explicit because the defaults listen on every address, log each packet, and need psutil.
    broker = Broker(
        BrokerConfig(
            listeners={"default": ListenerConfig(type=ListenerType.EXTERNAL)},
            plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        )
    )
    await broker.start()
    return broker


def install_command(extra: str) -> str:
    """Return the shell command that installs the packages of an extra into the running interpreter.

    It names the packages instead of ``coc2mqtt[extra]``, because this package may be installed from a checkout and need
    not be on an index.
    """
    requirements = [requirement.partition(";") for requirement in importlib.metadata.requires("coc2mqtt") or ()]
    packages = [name.strip() for name, _, marker in requirements if extra in _EXTRA_MARKER.findall(marker)]
    python = shlex.quote(sys.executable)
    has_pip = importlib.util.find_spec("pip") is not None
    tool = f"{python} -m pip install" if has_pip else f"uv pip install --python {python}"
    return " ".join([tool, *map(shlex.quote, packages or [f"coc2mqtt[{extra}]"])])
