"""The scripted API in its own process, as light as possible so that it is never the bottleneck.

It prints its port and serves until it is killed. ``/control/<verb>`` is for the benchmark, all other paths are for the
measured programs.
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
from bench.parts import Parts

Json = dict[str, Any]

_END = b"\r\n\r\n"
_HEAD = (
    b"HTTP/1.1 %s\r\nContent-Type: application/json; charset=utf-8\r\nCache-Control: max-age=%d\r\n"
    b"Content-Length: %d\r\n\r\n"
)
_GROUP = b"currentwar/leaguegroup"
_PARTS = (b"currentwar", _GROUP, b"capitalraidseasons?limit=1")
_LEAGUE_WARS = b"/v1/clanwarleagues/wars/%23"
_OK, _NOT_FOUND = b"200 OK", b"404 Not Found"
# Keeps clients from polling irrelevant resources.
_LONG_MAX_AGE_S = 600
# The prefix of all tokens; the number after it is recorded with each request.
_TOKEN = b"Bearer bench-"


class Record:
    """The requests and changes since the last ``clear``. Times are monotonic seconds."""

    def __init__(self, clans: int) -> None:
        self._clans = clans
        self.clear()

    def clear(self) -> None:
        """Forget the requests, but not the versions of the clans."""
        self.requested_at = array("d")
        self.responded_at = array("d")
        self.tokens = array("b")
        # Clans by their number, their parts (war, league, raid weekend) by it plus the number of all clans.
        self.resources = array("l")
        self.others = 0
        self.polls = array("l", [0]) * self._clans
        self.parts = array("l", [0]) * self._clans
        # The number of clans, and of parts, that were polled at least once, twice, and so on.
        self.rounds = [0]
        self.part_rounds = [0]
        self.changes: list[tuple[int, int, float]] = []

    def add_request(self, resource: int, token: int) -> int:
        """Record a request and return its number."""
        self.requested_at.append(time.monotonic())
        self.responded_at.append(0.0)
        self.tokens.append(token)
        self.resources.append(resource)
        return len(self.requested_at) - 1


class Script:
    """The changes of the clans: none, one at each request (``each``), or a total of ``rate`` per second."""

    def __init__(self, clans: Clans) -> None:
        self.clans = clans
        self.versions = array("l", [0]) * clans.count
        self.each = False
        self._rate = 0.0
        self._since = 0.0
        self._made = 0

    def set(self, *, each: bool, rate: float) -> None:
        """Set the changes from now on."""
        self.each, self._rate, self._since, self._made = each, rate, time.monotonic(), 0

    def advance(self, number: int) -> bool:
        """Handle a request for a clan; return whether it changed."""
        if not self.each:
            if not self._rate or (time.monotonic() - self._since) * self._rate < self._made + 1:
                return False
            self._made += 1
        self.versions[number] += 1
        return True


class Api:
    """The responses."""

    def __init__(self, clans: Clans, *, latency: float) -> None:
        self.record = Record(clans.count)
        self.script = Script(clans)
        self.latency = latency
        self._clans = clans
        self._parts: Parts | None = None

    def respond(self, head: bytes) -> tuple[bytes, int, tuple[int, int] | None]:
        """Return the response to a request, its number in the record (-1 for none), and the change in it.

        A change is the number of a clan and its new version.
        """
        path = head[4 : head.index(b" ", 4)]
        if path.startswith(b"/v1/clans/%23"):
            tag, _, subresource = path[13:].partition(b"/")
            number = self._clans.number(tag.decode())
            if number is not None and subresource in _PARTS:
                request_number = self.record.add_request(number + self._clans.count, _token(head))
                return self._part(subresource, number, request_number)
            if number is not None and not subresource:
                return self._clan(number, self.record.add_request(number, _token(head)))
        self.record.others += 1
        if path.startswith(_LEAGUE_WARS):
            return self._league_war(path[len(_LEAGUE_WARS) :].decode())
        if path.startswith(b"/control/"):
            return _response(_OK, 0, orjson.dumps(self._control(path.decode()))), -1, None
        if path.startswith(b"/v1/locations"):
            return _response(_OK, _LONG_MAX_AGE_S, b'{"items":[]}'), -1, None
        return _response(_NOT_FOUND, _LONG_MAX_AGE_S, b'{"reason":"notFound"}'), -1, None

    def _clan(self, number: int, request_number: int) -> tuple[bytes, int, tuple[int, int] | None]:
        _count(self.record.polls, self.record.rounds, number)
        # The first poll of a clan returns its initial version.
        changed = self.script.advance(number)
        version = self.script.versions[number]
        return (
            _response(_OK, 0, self._clans.body(number, version)),
            request_number,
            (number, version) if changed else None,
        )

    def _part(self, what: bytes, number: int, request_number: int) -> tuple[bytes, int, None]:
        _count(self.record.parts, self.record.part_rounds, number)
        if what == b"currentwar":
            body = self._clans.war(number)
        elif what == _GROUP:
            body = self.parts.group(self._clans.code(number))
        else:
            self.script.advance(number)
            body = self.parts.raids(self.script.versions[number])
        return _response(_OK, 0, body), request_number, None

    def _league_war(self, tag: str) -> tuple[bytes, int, None]:
        """Return a war of a league, which is not recorded: it belongs to the poll of its group."""
        body, number = None, self._clans.number(f"2{tag[1:6]}")
        if number is not None:
            war = tag[6:]
            if self.parts.is_own_battle(war):
                self.script.advance(number)
            body = self.parts.war(self._clans.code(number), war, self.script.versions[number])
        return _response(_NOT_FOUND, 0, b"{}") if body is None else _response(_OK, 0, body), -1, None

    @property
    def parts(self) -> Parts:
        """The leagues and raid weekends; most benchmarks need none."""
        if self._parts is None:
            self._parts = Parts()
        return self._parts

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
                # Clans change without a request; the latency of these changes is not measured.
                for number in range(0, self._clans.count, self._clans.count // int(options["clans"])):
                    self.script.versions[number] += 1
            case "times":
                record = self.record
                return {
                    name: list(getattr(record, name))
                    for name in ("requested_at", "responded_at", "tokens", "resources")
                }
            case "changes":
                return {"changes": self.record.changes}
            case "versions":
                return {"versions": list(self.script.versions)}
        return {}

    def _counts(self) -> Json:
        record = self.record
        return {
            "now": time.monotonic(),
            "polls": len(record.requested_at),
            "clan_polls": sum(record.polls),
            "others": record.others,
            "rounds": _complete(record.rounds, self._clans.count),
            "part_rounds": _complete(record.part_rounds, self._clans.count),
            "changes": len(record.changes),
        }


class _Connection(asyncio.Protocol):
    def __init__(self, api: Api) -> None:
        self._api = api
        self._buffer = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is not a subclass of asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while _END in self._buffer:
            head, _, self._buffer = self._buffer.partition(_END)
            response, request_number, change = self._api.respond(head)
            if self._api.latency and request_number >= 0:
                self._loop.call_later(self._api.latency, self._write, response, request_number, change)
            else:
                self._write(response, request_number, change)

    def _write(self, response: bytes, request_number: int, change: tuple[int, int] | None) -> None:
        if self._transport.is_closing():
            return
        if request_number >= 0:
            record, now = self._api.record, time.monotonic()
            # Requests from before a `clear` are not recorded.
            if request_number < len(record.responded_at):
                record.responded_at[request_number] = now
            if change is not None:
                record.changes.append((*change, now))
        self._transport.write(response)


def _token(head: bytes) -> int:
    start = head.find(_TOKEN)
    if start < 0:
        return 0
    return int(head[start + len(_TOKEN) :].split(b"\r", 1)[0])


def _response(status: bytes, max_age: int, body: bytes) -> bytes:
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
    """Serve with the options of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clans", type=int, required=True)
    parser.add_argument("--width", type=int, default=5, help="how many members each change changes")
    parser.add_argument("--full", action="store_true", help="bodies as long as the real ones")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer is written")
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
