"""The scripted API as a process of its own: as light as it can be, so that it is never what is waited for.

It prints its port and serves until it is ended. ``/control/<verb>`` is for the benchmark, everything else for those who
are measured.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from array import array
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import orjson
import uvloop

from bench.clans import Clans

Json = dict[str, Any]

_END = b"\r\n\r\n"
_HEAD = (
    b"HTTP/1.1 %s\r\nContent-Type: application/json; charset=utf-8\r\nCache-Control: max-age=%d\r\n"
    b"Content-Length: %d\r\n\r\n"
)
_OK, _NOT_FOUND = b"200 OK", b"404 Not Found"
# So that nobody asks for what is beside the point more often than once.
_LONG = 600
# Tokens are named so; a token's number is noted with each of its requests.
_TOKEN = b"Bearer bench-"


class Record:
    """What was asked for and what was changed, since the last ``clear``. Times are monotonic seconds."""

    def __init__(self, clans: int) -> None:
        self._clans = clans
        self.clear()

    def clear(self) -> None:
        """Forget what was, but not how the clans are now."""
        self.asked = array("d")
        self.answered = array("d")
        self.tokens = array("b")
        # A clan by its number, a clan's war by its number after those of all clans.
        self.resources = array("l")
        self.others = 0
        self.polls = array("l", [0]) * self._clans
        self.wars = array("l", [0]) * self._clans
        # How many clans, and wars, were polled so often at least.
        self.rounds = [0]
        self.war_rounds = [0]
        self.changes: list[tuple[int, int, float]] = []

    def ask(self, resource: int, token: int) -> int:
        """Note a request and return its number."""
        self.asked.append(time.monotonic())
        self.answered.append(0.0)
        self.tokens.append(token)
        self.resources.append(resource)
        return len(self.asked) - 1


class Script:
    """What the clans do: nothing, or a change at each request (``each``), or so many a second all in all (``rate``)."""

    def __init__(self, clans: Clans) -> None:
        self.clans = clans
        self.versions = array("l", [0]) * clans.count
        self.each = False
        self._rate = 0.0
        self._since = 0.0
        self._made = 0

    def set(self, *, each: bool, rate: float) -> None:
        """Change how it goes on, from now."""
        self.each, self._rate, self._since, self._made = each, rate, time.monotonic(), 0

    def look(self, number: int) -> bool:
        """Let a clan be asked for; returns whether it changed for that."""
        if not self.each:
            if not self._rate or (time.monotonic() - self._since) * self._rate < self._made + 1:
                return False
            self._made += 1
        self.versions[number] += 1
        return True


class Api:
    """The answers."""

    def __init__(self, clans: Clans, *, latency: float) -> None:
        self.record = Record(clans.count)
        self.script = Script(clans)
        self.latency = latency
        self._clans = clans

    def answer(self, head: bytes) -> tuple[bytes, int, tuple[int, int] | None]:
        """Return the answer to a request, its number in the record (-1 for none), and what it tells for the first time.

        That is the number of a clan and its new version.
        """
        path = head[4 : head.index(b" ", 4)]
        if path.startswith(b"/v1/clans/%23"):
            tag, _, what = path[13:].partition(b"/")
            number = self._clans.number(tag.decode())
            if number is not None and what in (b"", b"currentwar"):
                resource = number + self._clans.count if what else number
                asked = self.record.ask(resource, _token(head))
                return self._war(number, asked) if what else self._clan(number, asked)
        self.record.others += 1
        if path.startswith(b"/control/"):
            return _whole(_OK, 0, orjson.dumps(self._control(path.decode()))), -1, None
        if path.startswith(b"/v1/locations"):
            return _whole(_OK, _LONG, b'{"items":[]}'), -1, None
        return _whole(_NOT_FOUND, _LONG, b'{"reason":"notFound"}'), -1, None

    def _clan(self, number: int, asked: int) -> tuple[bytes, int, tuple[int, int] | None]:
        _count(self.record.polls, self.record.rounds, number)
        # The first look at a clan sees it as it is.
        changed = self.script.look(number)
        version = self.script.versions[number]
        return _whole(_OK, 0, self._clans.body(number, version)), asked, (number, version) if changed else None

    def _war(self, number: int, asked: int) -> tuple[bytes, int, None]:
        _count(self.record.wars, self.record.war_rounds, number)
        return _whole(_OK, 0, self._clans.war(number)), asked, None

    def _control(self, path: str) -> Json:
        url = urlsplit(path)
        options = dict(parse_qsl(url.query))
        match url.path.removeprefix("/control/"):
            case "counts":
                return self._counts()
            case "clear":
                self.record.clear()
            case "script":
                self.script.set(each=options.get("each") == "1", rate=float(options.get("rate", "0")))
            case "bump":
                # So many clans change while nobody looks; the answer that tells of it is none that was waited for.
                for number in range(0, self._clans.count, self._clans.count // int(options["clans"])):
                    self.script.versions[number] += 1
            case "times":
                record = self.record
                return {name: list(getattr(record, name)) for name in ("asked", "answered", "tokens", "resources")}
            case "changes":
                return {"changes": self.record.changes}
            case "versions":
                return {"versions": list(self.script.versions)}
        return {}

    def _counts(self) -> Json:
        record = self.record
        return {
            "now": time.monotonic(),
            "polls": len(record.asked),
            "clan_polls": sum(record.polls),
            "others": record.others,
            "rounds": _complete(record.rounds, self._clans.count),
            "war_rounds": _complete(record.war_rounds, self._clans.count),
            "changes": len(record.changes),
        }


class _Connection(asyncio.Protocol):
    def __init__(self, api: Api) -> None:
        self._api = api
        self._buffer = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none by its class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while _END in self._buffer:
            head, _, self._buffer = self._buffer.partition(_END)
            answer, asked, news = self._api.answer(head)
            if self._api.latency and asked >= 0:
                self._loop.call_later(self._api.latency, self._write, answer, asked, news)
            else:
                self._write(answer, asked, news)

    def _write(self, answer: bytes, asked: int, news: tuple[int, int] | None) -> None:
        if self._transport.is_closing():
            return
        if asked >= 0:
            record, now = self._api.record, time.monotonic()
            # What was asked for before a `clear` is no longer known.
            if asked < len(record.answered):
                record.answered[asked] = now
            if news is not None:
                record.changes.append((*news, now))
        self._transport.write(answer)


def _token(head: bytes) -> int:
    start = head.find(_TOKEN)
    if start < 0:
        return 0
    return int(head[start + len(_TOKEN) :].split(b"\r", 1)[0])


def _whole(status: bytes, max_age: int, body: bytes) -> bytes:
    return _HEAD % (status, max_age, len(body)) + body


def _count(polls: array[int], rounds: list[int], number: int) -> None:
    polls[number] += 1
    nth = polls[number]
    if nth > len(rounds):
        rounds.append(0)
    rounds[nth - 1] += 1


def _complete(rounds: list[int], clans: int) -> int:
    return sum(polled == clans for polled in rounds)


async def _serve(options: argparse.Namespace) -> None:
    api = Api(Clans(options.clans, width=options.width, full=options.full), latency=options.latency)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(api), "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clans", type=int, required=True)
    parser.add_argument("--width", type=int, default=5, help="how many members each change changes")
    parser.add_argument("--full", action="store_true", help="bodies as long as the real ones")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer is written")
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
