"""The crash harness: the API and the broker that survive the program's death."""

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
# Longer than a journal write takes.
_SLOW_PUBLISH_S = 0.003
# Bodies by path, such as `/clans/#2PP/currentwar`.
Bodies = dict[str, Json]


class ScriptedApi:
    """Returns scripted bodies; ``on_request`` is called with each path right before the response."""

    requests_per_second = 10_000.0

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.on_request: Callable[[str], None] = lambda _: None

    @property
    def client(self) -> ClashClient:
        return cast("ClashClient", self)

    def show(self, bodies: Bodies) -> None:
        self._bodies = bodies

    async def clan(self, tag: str) -> ApiResponse:
        return await self._respond(f"/clans/{tag}")

    async def current_war(self, tag: str) -> ApiResponse:
        return await self._respond(f"/clans/{tag}/currentwar")

    async def war_log(self, tag: str) -> ApiResponse:
        return await self._respond(f"/clans/{tag}/warlog")

    async def league_group(self, tag: str) -> ApiResponse:
        return await self._respond(f"/clans/{tag}/currentwar/leaguegroup")

    async def league_war(self, war_tag: str) -> ApiResponse:
        return await self._respond(f"/clanwarleagues/wars/{war_tag}")

    async def raid_seasons(self, tag: str, limit: int = 1) -> ApiResponse:
        return await self._respond(f"/clans/{tag}/capitalraidseasons?limit={limit}")

    async def gold_pass(self) -> ApiResponse:
        return await self._respond("/goldpass/seasons/current")

    async def ranked_group(self, group_tag: str, season: int, player_tag: str) -> ApiResponse:
        return await self._respond(f"/leaguegroup/{group_tag}/{season}?playerTag={player_tag}")

    async def league_history(self, tag: str) -> ApiResponse:
        return await self._respond(f"/players/{tag}/leaguehistory")

    async def battle_log(self, tag: str) -> ApiResponse:
        return await self._respond(f"/players/{tag}/battlelog")

    async def player(self, tag: str) -> ApiResponse:
        return await self._respond(f"/players/{tag}")

    async def _respond(self, path: str) -> ApiResponse:
        await asyncio.sleep(0)
        self.on_request(path)
        if path not in self._bodies:
            raise NotFoundError("not found")
        return ApiResponse(200, orjson.dumps(self._bodies[path]), 0.0)


@dataclass(frozen=True)
class Published:
    """A message that the broker received, with the number of the run of the program."""

    run: int
    topic: str
    payload: bytes
    retain: bool

    @property
    def data(self) -> Any:
        return orjson.loads(self.payload)


class FileBroker:
    """Appends each message to a file before it acknowledges it.

    A partly written message counts as not received: the kernel ends a write at a page boundary if another thread ends
    the process.
    """

    def __init__(self, path: Path, *, run: int) -> None:
        self._path = path
        self.run = run
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        self.published = self._read()
        self.on_message: Callable[[], None] = lambda: None

    @staticmethod
    def read_messages(path: Path) -> list[Published]:
        """Return the messages of all runs."""
        broker = FileBroker(path, run=0)
        os.close(broker._file)
        return broker.published

    def store(self, topic: str, payload: bytes, *, retain: bool) -> None:
        line = {"run": self.run, "topic": topic, "payload": payload.decode(), "retain": retain}
        os.write(self._file, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        self.published.append(Published(self.run, topic, payload, retain))
        self.on_message()

    def _read(self) -> list[Published]:
        written = self._path.read_bytes()
        arrived = written[: written.rfind(b"\n") + 1]
        os.truncate(self._path, len(arrived))
        sessions = [orjson.loads(line) for line in arrived.splitlines()]
        return [Published(**{**line, "payload": line["payload"].encode()}) for line in sessions]


def retained(published: list[Published]) -> Mapping[str, bytes]:
    """Return the retained messages by topic."""
    last = {message.topic: message.payload for message in published if message.retain}
    return {topic: payload for topic, payload in last.items() if payload}


def events(published: list[Published]) -> list[Published]:
    """Return the events: all messages that are neither retained nor responses."""
    return [one for one in published if not one.retain and not one.topic.startswith("coc/bridge/response/")]


class FakeSession:
    """A session with the broker that breaks at its event ``breaks_at``, counted from 1.

    That event is delivered, but its acknowledgement is lost. Messages in flight are not delivered.
    """

    protocol = "5"
    max_packet_size = 268_435_455

    def __init__(self, broker: FileBroker, *, breaks_at: int | None = None) -> None:
        self._broker = broker
        self._events_left = breaks_at
        self._broken = asyncio.get_running_loop().create_future()
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._undelivered: deque[Message] = deque()
        self._subscribed = False
        self._interceptors: list[Callable[[Message], bool]] = []
        self._topic_locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def session(self) -> Session:
        return cast("Session", self)

    def deliver(self, request: Message) -> None:
        """Deliver a request once the bridge has subscribed to requests."""
        if self._subscribed:
            self._incoming.put_nowait(request)
        else:
            self._undelivered.append(request)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        correlation_data: bytes | None = None,  # noqa: ARG002
        replaceable: bool = False,  # noqa: ARG002
    ) -> None:
        # Some messages are slow: later messages on other topics are acknowledged before they arrive. Messages about the
        # same tag keep their order, as on any connection.
        async with self._topic_locks[topic.rpartition("/")[0]]:
            await asyncio.sleep(_SLOW_PUBLISH_S if not retain and zlib.crc32(payload) % 3 == 0 else 0)
            if not self._broken.done():
                self._broker.store(topic, payload, retain=retain)
                self._count_event(retain=retain)
        # The acknowledgement is in flight.
        await asyncio.sleep(0)
        if self._broken.done():
            raise ConnectionLostError("the connection is broken")

    def _count_event(self, *, retain: bool) -> None:
        if self._events_left is not None and not retain:
            self._events_left -= 1
            if self._events_left == 0:
                self._broken.set_result(None)

    async def subscribe(self, topic_filter: str, qos: int = 1, *, skip_own_and_retained: bool = False) -> None:  # noqa: ARG002
        if topic_filter.endswith("/bridge/info"):
            # A retained message without an instance spares the search for a duplicate instance half a second.
            self._incoming.put_nowait(Message(topic_filter, b"{}", retain=True))
        elif topic_filter.endswith("/request/+"):
            self._subscribed = True
            while self._undelivered:
                self._incoming.put_nowait(self._undelivered.popleft())

    def add_interceptor(self, intercept: Callable[[Message], bool]) -> None:
        self._interceptors.append(intercept)

    async def read_retained(self, topic_filter: str, on_message: Callable[[Message], None]) -> None:
        for topic, payload in retained(self._broker.published).items():
            if topic_matches_sub(topic_filter, topic):
                on_message(Message(topic, payload, retain=True))
        await asyncio.sleep(0)
        if self._broken.done():
            raise ConnectionLostError("the connection is broken")

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            message = asyncio.ensure_future(self._incoming.get())
            await asyncio.wait([message, self._broken], return_when=asyncio.FIRST_COMPLETED)
            if self._broken.done():
                message.cancel()
                raise ConnectionLostError("the connection is broken")
            if not any(intercept(message.result()) for intercept in self._interceptors):
                yield message.result()
