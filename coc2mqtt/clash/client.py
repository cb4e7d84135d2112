"""The client: asks the Clash of Clans API, at a token's pace, and gives an answer or a typed error."""

from __future__ import annotations

import asyncio
import ssl
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

import structlog
from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from pydantic import SecretStr
from yarl import URL

from coc2mqtt.clash.error_response import ErrorResponse
from coc2mqtt.clash.errors import (
    ClashError,
    InvalidResponseError,
    IpNotAllowedError,
    ThrottledError,
    WrongTokenError,
)
from coc2mqtt.clash.headers import parse_retry_after, remaining_life
from coc2mqtt.clash.proxy import ProxyError, proxy_for
from coc2mqtt.clash.rate_limiter import RateLimitedError, TokenRateLimiter
from coc2mqtt.clash.resolver import SystemResolver
from coc2mqtt.clash.response import ApiResponse
from coc2mqtt.clash.retry import retrying
from coc2mqtt.clash.tags import normalize_tag, tag_to_path
from coc2mqtt.clash.transport_errors import failure_of
from coc2mqtt.util.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType

DEFAULT_BASE_URL = "https://api.clashofclans.com/v1"
DEFAULT_MAX_BODY = 4 * 1024 * 1024
DEFAULT_USER_AGENT = "coc2mqtt"

_log = structlog.get_logger()

_CONNECTIONS = 100
_CHUNK = 64 * 1024
# Bytes of a response's first line and of one header: proxies add long ones.
_LONGEST_HEADER = 64 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Seconds for which a throttled token rests: when the API does not say, and at most (a nonsensical Retry-After must
# not end the watch).
_PAUSE = 5.0
_LONGEST_PAUSE = 120.0
# A request whose tokens all rest for longer than this (seconds) fails at once: who asked must learn of it. So it does
# however short the rest is once all tokens were throttled so many times in a row: else each of hundreds would wait.
_LONGEST_WAIT = 10.0
_PAUSES_IN_A_ROW = 3
# Seconds for which a refused token rests while another one is taken: it may be mended on the developer site.
_REFUSED_PAUSE = 300.0


class ClashClient:
    """The Clash of Clans API, to be used as ``async with ClashClient(tokens) as api``.

    Each token makes at most ``requests_per_second`` requests, evenly spaced; several take turns, and a throttled one
    rests while the others go on. ``timeout`` is in seconds for one whole request, not counting the wait for its
    slot. Passing faults are tried again, ``attempts`` times in all; so is what a token was refused for, as long as
    there is another one. An answer of more than ``max_body`` bytes is refused. Redirects are not followed.
    Names are resolved by the operating system, at each new connection. The proxy that the environment names is used
    (``HTTPS_PROXY``, ``NO_PROXY``), and so are the authorities that ``SSL_CERT_FILE`` names. ``wall_clock`` gives
    Unix time and serves to read dates in headers.

    Every method raises InvalidTagError before anything is sent, RuntimeError when the client is not open, and a
    ClashError for any other answer than a good one. No message and no repr holds a token or the proxy's password.
    """

    def __init__(
        self,
        tokens: Sequence[SecretStr],
        *,
        base_url: str = DEFAULT_BASE_URL,
        requests_per_second: float = 25.0,
        timeout: float = 10.0,
        attempts: int = 3,
        max_body: int = DEFAULT_MAX_BODY,
        user_agent: str = DEFAULT_USER_AGENT,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = _checked_tokens(tokens)
        self._base_url = _checked_base_url(base_url)
        self._pace = TokenRateLimiter(len(self._tokens), requests_per_second)
        self._rate = len(self._tokens) * requests_per_second
        self._timeout = timeout
        self._max_body = max_body
        self._user_agent = user_agent
        self._wall_clock = wall_clock
        self._retrying = retrying(attempts)
        self._session: ClientSession | None = None
        self._refused: set[int] = set()
        # How often all tokens were throttled since the last response of another kind.
        self._pauses = 0
        self._proxy: URL | None = None
        self._redact = Redactor()

    @property
    def is_open(self) -> bool:
        """Whether requests can be made: from entering the client until it is closed."""
        return self._session is not None

    @property
    def requests_per_second(self) -> float:
        """How many requests all tokens together may make in a second."""
        return self._rate

    async def __aenter__(self) -> Self:
        if self._session is not None:
            raise RuntimeError("the client is open already: enter it once and share it")
        proxy = self._proxy_in_use()
        self._proxy = None if proxy is None else proxy.with_user(None)
        login = [] if proxy is None else [(proxy.user or "", proxy.password or "")]
        self._redact = Redactor([token.get_secret_value() for token in self._tokens], logins=login)
        # Read anew: aiohttp's own context is as old as the import. It reads files, which blocks.
        tls = await asyncio.to_thread(ssl.create_default_context) if self._base_url.startswith("https") else True
        self._session = ClientSession(
            connector=TCPConnector(limit=_CONNECTIONS, resolver=SystemResolver(), ssl=tls),
            cookie_jar=DummyCookieJar(),
            headers={"Accept": "application/json", "User-Agent": self._user_agent},
            timeout=ClientTimeout(total=self._timeout),
            # Not `trust_env`: that would look for a password in ~/.netrc at each request.
            proxy=proxy,
            max_line_size=_LONGEST_HEADER,
            max_field_size=_LONGEST_HEADER,
        )
        return self

    def _proxy_in_use(self) -> URL | None:
        try:
            proxy = proxy_for(URL(self._base_url))
        except ProxyError as error:
            _log.warning("proxy ignored", reason=str(error))
            return None
        if proxy is not None:
            _log.info("api is reached through a proxy", proxy=f"{proxy.host}:{proxy.port}")
        return proxy

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; a client that is not open stays as it is."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def clan(self, tag: str) -> ApiResponse:
        """Ask for a clan with its ``memberList``."""
        tag = normalize_tag(tag)
        return await self._get(f"/clans/{tag_to_path(tag)}", f"clan {tag}")

    async def current_war(self, tag: str) -> ApiResponse:
        """Ask for a clan's regular war; PrivateWarLogError when the clan hides it."""
        tag = normalize_tag(tag)
        return await self._get(f"/clans/{tag_to_path(tag)}/currentwar", f"clan {tag}", war_log=True)

    async def war_log(self, tag: str) -> ApiResponse:
        """Ask for a clan's past wars, the newest first; PrivateWarLogError when the clan hides them."""
        tag = normalize_tag(tag)
        return await self._get(f"/clans/{tag_to_path(tag)}/warlog", f"clan {tag}", war_log=True)

    async def player(self, tag: str) -> ApiResponse:
        """Ask for a player."""
        tag = normalize_tag(tag)
        return await self._get(f"/players/{tag_to_path(tag)}", f"player {tag}")

    async def _get(self, path: str, subject: str, *, war_log: bool = False) -> ApiResponse:
        if self._session is None:
            raise RuntimeError("the client is not open: use it inside 'async with ClashClient(...) as api:'")
        # The `%23` of a tag is to arrive as it is, so yarl is told to leave the path alone.
        url = URL(self._base_url + path, encoded=True)
        try:
            return await self._attempt(self._session, url, subject, war_log=war_log)
        except ClashError as error:
            failure = error
        # Handed over in a list that is emptied: an error that its own traceback leads to does not go by itself.
        failures = [failure]
        del failure
        return await self._try_again(failures, partial(self._attempt, self._session, url, subject, war_log=war_log))

    async def _try_again(
        self, failures: list[ClashError], attempt: Callable[[], Awaitable[ApiResponse]]
    ) -> ApiResponse:
        """Go on after a first attempt, which nearly always succeeds and so goes without what trying again costs."""

        async def next_attempt() -> ApiResponse:
            if failures:
                raise failures.pop()
            return await attempt()

        return await self._retrying(next_attempt)

    async def _attempt(self, session: ClientSession, url: URL, subject: str, *, war_log: bool) -> ApiResponse:
        try:
            number = await self._pace.permit(self._longest_rest)
        except RateLimitedError:
            raise self._resting() from None
        token = self._tokens[number].get_secret_value()
        try:
            async with session.get(
                url, headers={"Authorization": f"Bearer {token}"}, allow_redirects=False
            ) as response:
                body = await self._read(response)
        except (TimeoutError, ClientError) as error:
            # aiohttp's own errors hold the request's headers.
            failure = failure_of(error, url, proxy=self._proxy, timeout=self._timeout)
            failure.args = (self._redact(str(failure)),)
            raise failure from None

        if response.status != HTTPStatus.TOO_MANY_REQUESTS:
            self._pauses = 0
        headers = response.headers
        max_age = remaining_life(",".join(headers.getall("Cache-Control", [])), headers.get("Age", ""))
        if response.status == HTTPStatus.OK:
            self._refused.discard(number)
            body = body.removeprefix(_BYTE_ORDER_MARK)
            _check_object(response, body)
            return ApiResponse(response.status, body, max_age)
        refusal = ErrorResponse(
            status=response.status,
            # A proxy's error page may show the request's headers.
            body=body.replace(token.encode(), b"***"),
            subject=subject,
            token=f"token {number + 1} of {len(self._tokens)}" if len(self._tokens) > 1 else "the token",
            war_log=war_log,
            max_age=max_age,
            retry_after=parse_retry_after(response.headers.get("Retry-After", ""), now=self._wall_clock()),
            redact=self._redact,
        )
        raise self._noted(refusal.error(), number)

    async def _read(self, response: ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > self._max_body:
                raise InvalidResponseError(
                    f"the API's answer is longer than {self._max_body} bytes: check api.base_url",
                    status=response.status,
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _longest_rest(self) -> float:
        return _LONGEST_WAIT if self._pauses < _PAUSES_IN_A_ROW else 0.0

    def _resting(self) -> ThrottledError:
        error = ThrottledError(
            "the API throttles every token: lower api.requests_per_second, or see who else uses the keys",
            retry_after=self._pace.rest,
        )
        error.passing = False
        return error

    def _noted(self, error: ClashError, number: int) -> ClashError:
        if isinstance(error, ThrottledError):
            pause = _PAUSE if error.retry_after is None else error.retry_after
            rested = self._pace.rest > 0
            self._pace.pause(number, min(pause, _LONGEST_PAUSE))
            # Of many requests that were under way together the first one counts.
            self._pauses += self._pace.rest > 0 and not rested
            error.passing = self._pace.wait <= self._longest_rest()
        elif isinstance(error, WrongTokenError | IpNotAllowedError):
            self._refused.add(number)
            if len(self._refused) < len(self._tokens):
                _log.warning("a token of several is refused and set aside for a while", reason=str(error))
                self._pace.pause(number, _REFUSED_PAUSE)
                error.passing = True
        return error


def _check_object(response: ClientResponse, body: bytes) -> None:
    # A look at both ends costs nothing; whether it is JSON all through shows when it is decoded.
    text = body.strip()
    if response.content_type == "text/html" or not (text.startswith(b"{") and text.endswith(b"}")):
        found = "an HTML page" if response.content_type == "text/html" else "no JSON object"
        raise InvalidResponseError(
            f"the API's answer is {found}: look again later, and check api.base_url if it stays so",
            status=response.status,
        )


def _checked_tokens(tokens: Sequence[SecretStr]) -> list[SecretStr]:
    if not tokens:
        raise ValueError(
            "there is no token for the Clash of Clans API: create a key at https://developer.clashofclans.com "
            "and put it into api.tokens"
        )
    checked = [token.get_secret_value().strip() for token in tokens]
    for number, token in enumerate(checked, start=1):
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError(
                f"token {number} of {len(checked)} in api.tokens is empty or holds characters that no token has: "
                "copy it again from https://developer.clashofclans.com"
            )
    return [SecretStr(token) for token in checked]


def _checked_base_url(base_url: str) -> str:
    url = URL(base_url)
    if url.scheme not in ("http", "https") or not url.host or url.user or url.query_string or url.fragment:
        raise ValueError(
            f"api.base_url must be such as {DEFAULT_BASE_URL}, with http or https and without a user or a query"
        )
    return str(url).rstrip("/")
