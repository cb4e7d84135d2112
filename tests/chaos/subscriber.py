"""The subscriber of a run, connected directly to the broker so that it receives every message."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import uuid
from typing import TYPE_CHECKING, Any

import aiomqtt
import orjson
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.chaos.checks import Receipt
from tests.support.observer import ReceivedMessage

if TYPE_CHECKING:
    from collections.abc import Callable

# paho logs an error for each killed broker.
_QUIET = logging.getLogger(f"{__name__}.wire")
_QUIET.setLevel(logging.CRITICAL + 1)

_MARKER = "chaos/marker"
# Without this, Nagle's algorithm delays each marker by 40 ms.
_SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
# Keep the publisher's retain flag.
_FILTERS = [(topic, SubscribeOptions(qos=1, retainAsPublished=True)) for topic in ("coc/#", _MARKER)]


class Subscriber:
    """Receives everything below ``coc/`` with QoS 1, over one connection per run of the broker.

    ``receipts`` has all messages; ``latest`` has the last one on each topic in the current run of the broker. ``clock``
    returns the seconds since the start of the run.
    """

    def __init__(self, port: int, *, username: str, password: str, clock: Callable[[], float]) -> None:
        self.receipts: list[Receipt] = []
        self.latest: dict[str, ReceivedMessage] = {}
        self._port = port
        self._username = username
        self._password = password
        self._clock = clock
        self._client: aiomqtt.Client | None = None
        self._arrived = asyncio.Condition()
        self._numbers = itertools.count(1)
        self._marked = 0
        self._broker_run = 0

    async def run(self, present: asyncio.Event) -> None:
        """Subscribe, set ``present``, and receive messages until the broker is gone."""
        self.latest = {}
        self._broker_run += 1
        with contextlib.suppress(aiomqtt.MqttError):
            async with aiomqtt.Client(
                "127.0.0.1",
                self._port,
                username=self._username,
                password=self._password,
                protocol=aiomqtt.ProtocolVersion.V5,
                logger=_QUIET,
                socket_options=_SOCKET_OPTIONS,
            ) as client:
                await client.subscribe(_FILTERS)
                self._client = client
                present.set()
                async for message in client.messages:
                    await self._take(message)

    async def catch_up(self) -> None:
        """Return when all messages that the broker accepted before this call have arrived.

        Mosquitto sends QoS 1 messages to a subscriber in the order in which it accepted them, so a marker published now
        arrives after all of them.
        """
        number = next(self._numbers)
        await self._publish(_MARKER, str(number).encode())
        await self.until(lambda: self._marked >= number)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a received message makes the condition true."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: bool(condition()))

    async def next_event(self) -> None:
        """Wait for the next event."""
        before = len(self.receipts)
        await self.until(lambda: any(receipt.message.is_event for receipt in self.receipts[before:]))

    async def request(self, command: str) -> Any:
        """Send a request to the bridge, and return the data of the response."""
        transaction = uuid.uuid4().hex
        before = len(self.receipts)
        await self._publish(f"coc/bridge/request/{command}", orjson.dumps({"transaction": transaction}))

        def answers() -> list[Any]:
            latest_data = (receipt.message for receipt in self.receipts[before:])
            found = [seen.data for seen in latest_data if seen.topic == f"coc/bridge/response/{command}"]
            return [data for data in found if data.get("transaction") == transaction]

        await self.until(answers)
        return answers()[0]["data"]

    def latest_data(self, topic: str) -> Any:
        """Return the last message on a topic in the current run of the broker, or None."""
        seen = self.latest.get(topic)
        return seen.data if seen is not None and seen.payload else None

    async def _publish(self, topic: str, payload: bytes) -> None:
        assert self._client is not None, "not connected to the broker"
        await self._client.publish(topic, payload, qos=1)

    async def _take(self, message: aiomqtt.Message) -> None:
        seen = ReceivedMessage(str(message.topic), bytes(message.payload), bool(message.retain))
        async with self._arrived:
            if seen.topic == _MARKER:
                self._marked = int(seen.payload)
            else:
                self.receipts.append(Receipt(self._clock(), seen, self._broker_run))
                self.latest[seen.topic] = seen
            self._arrived.notify_all()
