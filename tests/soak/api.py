"""The scripted API of the benchmark in its own process, with failures of single requests or of all requests.

It prints its port and serves until it is killed. In addition to the control paths of ``bench.api`` it has
``/control/faults?on=1``.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, urlsplit

import uvloop

from bench.api import Api
from bench.clans import Clans

if TYPE_CHECKING:
    from collections.abc import Callable

_END = b"\r\n\r\n"
_HEAD = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nCache-Control: max-age=0\r\nContent-Length: %d\r\n\r\n"
# The share of requests that fail alone, and the durations of working and failing periods (seconds).
_FAILING_SHARE = 0.05
_WORKING_S, _ALL_FAIL_S = (3.0, 9.0), (0.3, 1.5)
# The delay of a late response, and the time until an unanswered connection is closed (seconds).
_DELAY_S, _HANG_S = (0.2, 1.0), (1.0, 5.0)
_PROBE = b"/v1/clans/%23JY9J2Y99"


def _response(status: bytes, body: bytes, content_type: bytes = b"application/json; charset=utf-8") -> bytes:
    return _HEAD % (status, content_type, len(body)) + body


_PAGE = b"<html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>"
_NOT_FOUND = _response(b"404 Not Found", b'{"reason":"notFound"}')
# Maintenance is reported with 503; the HTML pages come from intermediaries.
_ERRORS = (
    _response(b"500 Internal Server Error", b'{"reason":"unknownException"}'),
    _response(b"502 Bad Gateway", _PAGE, b"text/html"),
    _response(b"503 Service Unavailable", b'{"reason":"inMaintenance"}'),
    _response(b"504 Gateway Timeout", b""),
    _response(b"429 Too Many Requests", b'{"reason":"requestThrottled"}'),
    _response(b"200 OK", _PAGE, b"text/html"),
    _response(b"200 OK", b""),
    _response(b"200 OK", b"{"),
)


class Faults:
    """Decides which requests fail, and how."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._on = False
        self._all_until = 0.0
        self._next_at = 0.0
        self._outage_fault: Callable[[Connection, bytes], None] | None = None

    def switch(self, *, on: bool) -> None:
        """Enable or disable faults."""
        self._on = on

    def next_fault(self, now: float) -> Callable[[Connection, bytes], None] | None:
        """Return the action that replaces the response to a request at ``now``, None for a normal response."""
        if not self._on:
            return None
        if now >= self._next_at:
            self._all_until = now + self._rng.uniform(*_ALL_FAIL_S)
            self._next_at = self._all_until + self._rng.uniform(*_WORKING_S)
            self._outage_fault = self._draw_fault()
        if now < self._all_until:
            return self._outage_fault
        return self._draw_fault() if self._rng.random() < _FAILING_SHARE else None

    def _draw_fault(self) -> Callable[[Connection, bytes], None]:
        rng = self._rng
        error, late, hang = rng.choice(_ERRORS), rng.uniform(*_DELAY_S), rng.uniform(*_HANG_S)
        return rng.choice(
            [
                *[lambda connection, _: connection.write(error)] * 3,
                lambda connection, _: connection.abort(),
                lambda connection, _: connection.close(),
                lambda connection, head: connection.truncate(head),
                lambda connection, head: connection.respond_in(late, head),
                lambda connection, _: connection.close_in(hang),
            ]
        )


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, api: Api, faults: Faults) -> None:
        self._api = api
        self._faults = faults
        self._buffer = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request."""
        self._buffer += data
        while _END in self._buffer:
            head, _, self._buffer = self._buffer.partition(_END)
            if head.startswith(b"GET /control/faults"):
                query = urlsplit(head.split(b" ")[1].decode()).query
                self._faults.switch(on=dict(parse_qsl(query))["on"] == "1")
                self.write(_response(b"200 OK", b"{}"))
            elif head.startswith(b"GET /control/"):
                self.respond(head)
            elif fault := self._faults.next_fault(self._loop.time()):
                fault(self, head)
            elif head.startswith(b"GET " + _PROBE):
                self.write(_NOT_FOUND)
            else:
                self.respond(head)

    def respond(self, head: bytes) -> None:
        """Write the response, and record the time of a change in it."""
        if self._transport.is_closing():
            return
        response, _, change = self._api.respond(head)
        if change is not None:
            self._api.record.changes.append((*change, time.monotonic()))
        self._transport.write(response)

    def respond_in(self, seconds: float, head: bytes) -> None:
        """Respond late."""
        self._loop.call_later(seconds, self.respond, head)

    def truncate(self, head: bytes) -> None:
        """Write half of the response and close the connection; a change in it does not count as delivered."""
        response, _, _ = self._api.respond(head)
        self.write(response[: len(response) // 2])
        self.close()

    def write(self, response: bytes) -> None:
        """Write some bytes, unless the client has disconnected."""
        if not self._transport.is_closing():
            self._transport.write(response)

    def close_in(self, seconds: float) -> None:
        """Close the connection later, without a response."""
        self._loop.call_later(seconds, self.close)

    def close(self) -> None:
        """Close the connection after pending writes."""
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()


async def _serve(options: argparse.Namespace) -> None:
    api = Api(Clans(options.clans, width=1), latency=0.0)
    faults = Faults(random.Random(options.seed))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(api, faults), "127.0.0.1", 0, backlog=1000)
    _print(str(server.sockets[0].getsockname()[1]))
    async with server:
        await server.serve_forever()


def _print(line: str) -> None:
    """Print a line for the process that started this one."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve with the options of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clans", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
