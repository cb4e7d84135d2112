"""The subscriber of a run: it is connected to the broker itself, and misses nothing that this one gives to anybody."""

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

# paho complains of each broker that dies.
_QUIET = logging.getLogger(f"{__name__}.wire")
_QUIET.setLevel(logging.CRITICAL + 1)

_MARKER = "chaos/marker"
# Else a marker waits 40 ms behind an acknowledgement, and whoever waits for the marker with it.
_SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
# As published: only so the publisher's own retain flag can be seen.
_FILTERS = [(topic, SubscribeOptions(qos=1, retainAsPublished=True)) for topic in ("coc/#", _MARKER)]


class Subscriber:
    """Takes in everything below ``coc/``, with QoS 1, over one connection for each life of the broker.

    ``receipts`` is all that ever came, ``latest`` what was last published on each topic in this life of the broker;
    ``clock`` gives the seconds of the run.
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
        self._life = 0

    async def attend(self, present: asyncio.Event) -> None:
        """Subscribe, set ``present``, and listen until the broker is gone."""
        self.latest = {}
        self._life += 1
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
        """Return when everything has come that the broker had accepted before this was called.

        Mosquitto gives a subscriber its messages of QoS 1 in the order in which it accepted them: what comes behind
        all of them is a message that is published now.
        """
        number = next(self._numbers)
        await self._publish(_MARKER, str(number).encode())
        await self.until(lambda: self._marked >= number)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something that came in makes the condition true."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: bool(condition()))

    async def next_event(self) -> None:
        """Wait for the next event."""
        before = len(self.receipts)
        await self.until(lambda: any(receipt.seen.is_event for receipt in self.receipts[before:]))

    async def request(self, command: str) -> Any:
        """Ask the bridge, and return the data of its answer."""
        transaction = uuid.uuid4().hex
        before = len(self.receipts)
        await self._publish(f"coc/bridge/request/{command}", orjson.dumps({"transaction": transaction}))

        def answers() -> list[Any]:
            said = (receipt.seen for receipt in self.receipts[before:])
            found = [seen.data for seen in said if seen.topic == f"coc/bridge/response/{command}"]
            return [data for data in found if data.get("transaction") == transaction]

        await self.until(answers)
        return answers()[0]["data"]

    def said(self, topic: str) -> Any:
        """Return what was last published on a topic in this life of the broker, None where nothing was."""
        seen = self.latest.get(topic)
        return seen.data if seen is not None and seen.payload else None

    async def _publish(self, topic: str, payload: bytes) -> None:
        assert self._client is not None, "there is no connection to the broker"
        await self._client.publish(topic, payload, qos=1)

    async def _take(self, message: aiomqtt.Message) -> None:
        seen = ReceivedMessage(str(message.topic), bytes(message.payload), bool(message.retain))
        async with self._arrived:
            if seen.topic == _MARKER:
                self._marked = int(seen.payload)
            else:
                self.receipts.append(Receipt(self._clock(), seen, self._life))
                self.latest[seen.topic] = seen
            self._arrived.notify_all()
