"""Any bytes in place of an HTTP response cause an error at most, and the next response is accepted."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from coc2mqtt.clash import ClashClient
from coc2mqtt.clash.rate_limiter import TokenRateLimiter
from coc2mqtt.events.polling.api_monitor import ApiMonitor
from coc2mqtt.events.polling.clan_poller import ClanPoller
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.util.runtime import loop_factory
from tests.fuzz.examples import fuzzed
from tests.fuzz.fake_poller import InMemoryStore, check_event, check_states
from tests.fuzz.malformed import ANY_BYTES, corrupted, mutated, to_bytes
from tests.fuzz.valid_bodies import NOON, game

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import DrawFn

    from coc2mqtt.events.resource import Snapshot

pytestmark = pytest.mark.fuzz

TOKEN = "token-that-nobody-may-read"
# The timeout of one request (seconds).
TIMEOUT_S = 2.0
GOOD = game().bodies[Kind.CLAN][0]
CLAN = Resource(Kind.CLAN, game().tags[Kind.CLAN])
STATUSES = (100, 101, 200, 204, 206, 301, 304, 400, 401, 403, 404, 429, 500, 503, 999)
USUAL_FIRST_LINES = [f"HTTP/1.1 {status} OK" for status in STATUSES]
FIRST_LINES = f"""HTTP/1.1 200
HTTP/1.0 200 OK
HTTP/2 200 OK
HTTP/1.1 20 OK
HTTP/1.1 2000 OK
HTTP/1.1 -1 OK
HTTP/1.1 x
HTTP/1.1 403 {TOKEN}
HTTP/1.1 200 {"x" * 9000}
HTTP
GET / HTTP/1.1
SSH-2.0-OpenSSH_9.2
220 mail ESMTP
\0

""".splitlines()
HEADERS = f"""Content-Type: text/html
Content-Type: application/json; charset=utf-16
Content-Type: ;;;=
Content-Type: \xff/\xff
Content-Length: 5
Content-Length: 99999999
Content-Length: -1
Content-Length: x
Content-Length: 1, 2
Transfer-Encoding: chunked
Transfer-Encoding: gzip, chunked
Transfer-Encoding: x
Connection: upgrade
Upgrade: h2c
Content-Encoding: gzip
Content-Encoding: deflate
Content-Encoding: br
Content-Encoding: zstd
Content-Encoding: x
Cache-Control: max-age=60
Cache-Control: max-age={"9" * 30}
Cache-Control: max-age=\xb2
Cache-Control: ,,=,
Retry-After: 5
Retry-After: -5
Retry-After: {"9" * 5000}
Retry-After:
Set-Cookie: a=b
Set-Cookie: \x01=;;;
Set-Cookie: a=b; expires=never; domain=..
Location: //[
Location: http://x/{TOKEN}
Date: never
no colon
: no name
two words: x
 folded
X: {"x" * 9000}
X:\0
X: \xff
X: {TOKEN}""".splitlines()
# The parts of a date, each sometimes invalid.
DATES = st.tuples(
    st.sampled_from(["Mon, ", "Mon ", "", "Foo, "]),
    st.sampled_from(["01", "99", "0", "-1", "9" * 20]),
    st.sampled_from([" Jan ", "-Jan-", " Foo ", " 13 "]),
    st.sampled_from(["2027", "27", "0000", "99999", "9" * 20]),
    st.sampled_from([" 00:00:00", " 24:60:61", " 00:00", "", " 1.2.3", " \u0661:00"]),
    st.sampled_from([" GMT", " +0000", " +9999", " -2359", "", " +" + "9" * 12, " +" + "9" * 30]),
).map("".join)
RETRY_AFTER = (DATES | st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=20)).map(
    lambda text: f"Retry-After: {text}"
)
BODIES = (
    ANY_BYTES
    | mutated(GOOD).map(to_bytes)
    | corrupted(orjson.dumps(GOOD))
    | st.just(f'{{"message":"{TOKEN}"}}'.encode())
)
CODINGS: list[Callable[[bytes], bytes]] = [
    *(lambda body: body, lambda body: body, gzip.compress, zlib.compress, lambda body: gzip.compress(body)[:-4]),
    *(lambda body: b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), lambda body: b"%x\r\n%b" % (len(body) + 5, body)),
    *(lambda body: b"zz\r\n" + body, lambda body: b"-1\r\n" + body, lambda body: body * 3),
]


@st.composite
def http_replies(draw: DrawFn) -> bytes:
    """All bytes that a server sends before it closes the connection."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    headers = draw(st.lists(st.sampled_from(HEADERS) | RETRY_AFTER, max_size=4))
    body = draw(st.sampled_from(CODINGS))(draw(BODIES))
    if draw(st.booleans()):
        headers.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([draw(st.sampled_from(USUAL_FIRST_LINES) | st.sampled_from(FIRST_LINES)), *headers, "", ""])
    return head.encode("latin-1", errors="replace") + body


class Server:
    """Sends ``reply`` for every request."""

    def __init__(self) -> None:
        self.reply = b""

    async def respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.reply)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def good_reply() -> bytes:
    body = orjson.dumps(GOOD)
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class HttpPolledClan:
    """A clan that is polled over real HTTP, by a client without retries and pauses."""

    def __init__(self, api: ClashClient) -> None:
        self.store = InMemoryStore()
        monitor = ApiMonitor(self.store, now=NOON.timestamp, on_change=lambda _: None)
        context = PollContext(api, self.store, monitor, NOON.timestamp, NOON.timestamp)
        self._poller = ClanPoller(context, CLAN.tag, interval=60)
        self._api = api

    async def poll(self) -> Snapshot:
        # A throttled token would pause.
        self._api._rate_limiter = TokenRateLimiter(1, 1e6)
        start = asyncio.get_running_loop().time()
        await self._poller.poll()
        assert asyncio.get_running_loop().time() - start < 2 * TIMEOUT_S
        snapshot = self.store.now(CLAN)
        assert snapshot is not None
        check_states(CLAN, snapshot)
        return snapshot


def test_any_http_reply_is_an_error_or_a_response_and_the_next_poll_works(count_example: Callable[[], None]) -> None:
    async def start() -> ClashClient:
        listening = await stack.enter_async_context(await asyncio.start_server(server.respond, "127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        client = ClashClient(
            [SecretStr(TOKEN)],
            base_url=url,
            requests_per_second=1e6,
            timeout=TIMEOUT_S,
            attempts=1,
            max_body_bytes=300_000,
        )
        return await stack.enter_async_context(client)

    async def example(reply: bytes) -> None:
        polled = HttpPolledClan(api)
        server.reply = good_reply()
        before = await polled.poll()
        server.reply = reply
        after = await polled.poll()
        if "trouble" in after.memo:
            assert after.data == before.data == GOOD
        server.reply = good_reply()
        last = await polled.poll()
        # The reply may have been almost valid and accepted.
        assert after.data != GOOD or (last.data == GOOD and "trouble" not in last.memo)
        assert (await api.clan(CLAN.tag)).data == GOOD
        for entry in polled.store.entries:
            check_event(entry)
        assert TOKEN not in str(polled.store.entries)

    server, stack = Server(), AsyncExitStack()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        api = runner.run(start())

        @fuzzed(short=150, long=10_000)
        @given(http_replies())
        def check_reply(reply: bytes) -> None:
            count_example()
            runner.run(example(reply))

        try:
            check_reply()
        finally:
            runner.run(stack.aclose())
