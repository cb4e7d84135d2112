"""What goes on when the program dies: the API, and a broker that remembers in a file."""

from __future__ import annotations

import asyncio
import os
import zlib
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson
from paho.mqtt.client import topic_matches_sub

from coc2mqtt.clash import ApiResponse, ClashClient, NotFoundError
from coc2mqtt.mqtt.client.errors import ConnectionLostError
from coc2mqtt.mqtt.client.session import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from coc2mqtt.mqtt.client.session import Session

Json = dict[str, Any]
# Longer than the journal takes (seconds).
_SLOW = 0.003
# By path, such as `/clans/#2PP/currentwar`.
Bodies = dict[str, Json]


class ScriptedApi:
    """Says what it is told to; ``asked`` is called with each path, right before the answer arrives."""

    requests_per_second = 10_000.0

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.asked: Callable[[str], None] = lambda _: None

    @property
    def client(self) -> ClashClient:
        return cast("ClashClient", self)

    def show(self, bodies: Bodies) -> None:
        self._bodies = bodies

    async def clan(self, tag: str) -> ApiResponse:
        return await self._answer(f"/clans/{tag}")

    async def current_war(self, tag: str) -> ApiResponse:
        return await self._answer(f"/clans/{tag}/currentwar")

    async def war_log(self, tag: str) -> ApiResponse:
        return await self._answer(f"/clans/{tag}/warlog")

    async def player(self, tag: str) -> ApiResponse:
        return await self._answer(f"/players/{tag}")

    async def _answer(self, path: str) -> ApiResponse:
        await asyncio.sleep(0)
        self.asked(path)
        if path not in self._bodies:
            raise NotFoundError("nothing is known of it")
        return ApiResponse(200, orjson.dumps(self._bodies[path]), 0.0)


@dataclass(frozen=True)
class Published:
    """A message that the broker has got, in which run of the program."""

    run: int
    topic: str
    payload: bytes
    retain: bool

    @property
    def data(self) -> Any:
        return orjson.loads(self.payload)


class FileBroker:
    """Writes down each message before it acknowledges it.

    A message that is written down in part has not arrived: the kernel ends a write at a page's end where another thread
    ends the process meanwhile.
    """

    def __init__(self, path: Path, *, run: int) -> None:
        self._path = path
        self.run = run
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        self.published = self._read()
        self.taken: Callable[[], None] = lambda: None

    @staticmethod
    def recall(path: Path) -> list[Published]:
        """Return what was published in all runs."""
        broker = FileBroker(path, run=0)
        os.close(broker._file)
        return broker.published

    def take(self, topic: str, payload: bytes, *, retain: bool) -> None:
        line = {"run": self.run, "topic": topic, "payload": payload.decode(), "retain": retain}
        os.write(self._file, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        self.published.append(Published(self.run, topic, payload, retain))
        self.taken()

    def _read(self) -> list[Published]:
        written = self._path.read_bytes()
        arrived = written[: written.rfind(b"\n") + 1]
        os.truncate(self._path, len(arrived))
        sessions = [orjson.loads(line) for line in arrived.splitlines()]
        return [Published(**{**line, "payload": line["payload"].encode()}) for line in sessions]


def retained(published: list[Published]) -> Mapping[str, bytes]:
    """Return what the broker retains of it."""
    last = {message.topic: message.payload for message in published if message.retain}
    return {topic: payload for topic, payload in last.items() if payload}


def events(published: list[Published]) -> list[Published]:
    """Return the events, as all that is not retained and no answer."""
    return [one for one in published if not one.retain and not one.topic.startswith("coc/bridge/response/")]


class FakeSession:
    """A session with the broker; it breaks at its event ``breaks_at``, counted from 1 on.

    That event arrives, and its acknowledgement gets lost. What is on its way then does not arrive.
    """

    protocol = "5"
    max_packet_size = 268_435_455

    def __init__(self, broker: FileBroker, *, breaks_at: int | None = None) -> None:
        self._broker = broker
        self._left = breaks_at
        self._broken = asyncio.get_running_loop().create_future()
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._early: deque[Message] = deque()
        self._listening = False
        self._interceptors: list[Callable[[Message], bool]] = []
        self._behind: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def session(self) -> Session:
        return cast("Session", self)

    def bring(self, request: Message) -> None:
        """Have a request come in, once requests are subscribed to."""
        if self._listening:
            self._incoming.put_nowait(request)
        else:
            self._early.append(request)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        correlation_data: bytes | None = None,  # noqa: ARG002
        replaceable: bool = False,  # noqa: ARG002
    ) -> None:
        # Some are slow: what others say after them is acknowledged long before they arrive. What is said of the same
        # tag stays behind them, as on any connection.
        async with self._behind[topic.rpartition("/")[0]]:
            await asyncio.sleep(_SLOW if not retain and zlib.crc32(payload) % 3 == 0 else 0)
            if not self._broken.done():
                self._broker.take(topic, payload, retain=retain)
                self._wear(retain=retain)
        # While its acknowledgement is on its way back.
        await asyncio.sleep(0)
        if self._broken.done():
            raise ConnectionLostError("the line is broken")

    def _wear(self, *, retain: bool) -> None:
        if self._left is not None and not retain:
            self._left -= 1
            if self._left == 0:
                self._broken.set_result(None)

    async def subscribe(self, topic_filter: str, qos: int = 1, *, skip_own_and_retained: bool = False) -> None:  # noqa: ARG002
        if topic_filter.endswith("/bridge/info"):
            # Something retained that names nobody: who looks for a rival would else wait for half a second.
            self._incoming.put_nowait(Message(topic_filter, b"{}", retain=True))
        elif topic_filter.endswith("/request/+"):
            self._listening = True
            while self._early:
                self._incoming.put_nowait(self._early.popleft())

    def add_interceptor(self, take: Callable[[Message], bool]) -> None:
        self._interceptors.append(take)

    async def read_retained(self, topic_filter: str, take: Callable[[Message], None]) -> None:
        for topic, payload in retained(self._broker.published).items():
            if topic_matches_sub(topic_filter, topic):
                take(Message(topic, payload, retain=True))
        await asyncio.sleep(0)
        if self._broken.done():
            raise ConnectionLostError("the line is broken")

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            message = asyncio.ensure_future(self._incoming.get())
            await asyncio.wait([message, self._broken], return_when=asyncio.FIRST_COMPLETED)
            if self._broken.done():
                message.cancel()
                raise ConnectionLostError("the line is broken")
            if not any(intercept(message.result()) for intercept in self._interceptors):
                yield message.result()
