"""An asyncio client for the Clash of Clans API that returns responses or raises typed errors, and its interface."""

from __future__ import annotations

import asyncio
import random
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, Self

import structlog
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar
from pydantic import SecretStr
from yarl import URL

from coc2mqtt.clash.connector import ProxyError, create_connector, proxy_for
from coc2mqtt.clash.error_response import ErrorResponse
from coc2mqtt.clash.errors import (
    ClashError,
    DeniedError,
    InvalidResponseError,
    IpNotAllowedError,
    ThrottledError,
    WrongTokenError,
)
from coc2mqtt.clash.rate_limiter import RateLimitedError, TokenRateLimiter
from coc2mqtt.clash.response import ApiResponse, parse_retry_after, remaining_freshness
from coc2mqtt.clash.tags import normalize_tag, tag_to_path
from coc2mqtt.clash.transport_errors import transport_error
from coc2mqtt.util.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

DEFAULT_BASE_URL = "https://api.clashofclans.com/v1"
DEFAULT_MAX_BODY_BYTES = 4 * 1024 * 1024
DEFAULT_USER_AGENT = "coc2mqtt"

_log = structlog.get_logger()

_CHUNK_BYTES = 64 * 1024
# Limits the status line and each header. Proxies add long headers.
_MAX_HEADER_BYTES = 64 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# The delay before another attempt doubles from the first to the longest one. The jitter keeps requests that failed
# together from being retried together.
_FIRST_RETRY_DELAY_S = 0.5
_LONGEST_RETRY_DELAY_S = 5.0
_RETRY_JITTER_S = 1.0

# How long a throttled token is paused if the API sends no Retry-After, and at most: a nonsensical Retry-After must not
# stop all polling.
_DEFAULT_PAUSE_S = 5.0
_MAX_PAUSE_S = 120.0
# A request fails at once if all tokens are paused for longer than this: its caller must learn of the throttling.
_MAX_WAIT_FOR_TOKEN_S = 10.0
# After this many pauses of all tokens in a row, every request fails at once during a pause, however short it is.
# Otherwise each of hundreds of waiting requests would be throttled in turn.
_MAX_PAUSES_IN_A_ROW = 3
# How long a rejected token is skipped while others work: it may have been fixed on the developer site by then.
_REJECTED_PAUSE_S = 300.0


class ClashApi(Protocol):
    """A client that returns an ApiResponse for each resource, or raises a ClashError."""

    @property
    def is_open(self) -> bool:
        """Whether requests can be made."""

    @property
    def requests_per_second(self) -> float:
        """The highest rate of requests; infinity without a limit."""

    async def clan(self, tag: str) -> ApiResponse:
        """Fetch a clan with its ``memberList``."""

    async def current_war(self, tag: str) -> ApiResponse:
        """Fetch a clan's current war; raises PrivateWarLogError if the clan hides it."""

    async def war_log(self, tag: str) -> ApiResponse:
        """Fetch a clan's past wars, the newest first; raises PrivateWarLogError if the clan hides them."""

    async def league_group(self, tag: str) -> ApiResponse:
        """Fetch the clan war league group of a clan; raises NotFoundError without one."""

    async def league_war(self, war_tag: str) -> ApiResponse:
        """Fetch a war of a clan war league by its own tag; a private war log does not hide it."""

    async def raid_seasons(self, tag: str, limit: int = 1) -> ApiResponse:
        """Fetch the last raid weekends of a clan, the newest first."""

    async def player(self, tag: str) -> ApiResponse:
        """Fetch a player."""

    async def gold_pass(self) -> ApiResponse:
        """Fetch the start and the end of the current gold pass season."""

    async def ranked_group(self, group_tag: str, season: int, player_tag: str) -> ApiResponse:
        """Fetch a league group of ranked battles, with the battles of one of its players in a season (its id)."""

    async def league_history(self, tag: str) -> ApiResponse:
        """Fetch the past seasons of a player's ranked battles, the oldest first."""

    async def battle_log(self, tag: str) -> ApiResponse:
        """Fetch the last battles of a player of all types, the newest first."""


class ClashClient:
    """A client for the Clash of Clans API: ``async with ClashClient(tokens) as api: await api.clan("#2PP")``.

    Each token makes at most ``requests_per_second`` requests, evenly spaced. Several tokens are used in turn, and a
    throttled token is paused while the others continue. ``timeout`` limits one whole request in seconds, without the
    time that it waits for the rate limiter.

    Temporary failures are retried, up to ``attempts`` attempts in all. A request whose token was rejected is retried
    with another one, if there is one. Responses of more than ``max_body_bytes`` are rejected. Redirects are not
    followed.

    The operating system resolves names, for each new connection. The proxy in the environment is used
    (``HTTPS_PROXY``, ``NO_PROXY``), and so are the authorities in ``SSL_CERT_FILE``. ``wall_clock`` returns Unix time
    and is needed to parse dates in headers.

    Every request raises InvalidTagError before anything is sent, RuntimeError if the client is not open, and a
    ClashError without a usable response. No message and no repr contains a token or the proxy's password.
    """

    def __init__(
        self,
        tokens: Sequence[SecretStr],
        *,
        base_url: str = DEFAULT_BASE_URL,
        requests_per_second: float = 25.0,
        timeout: float = 10.0,
        attempts: int = 3,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        user_agent: str = DEFAULT_USER_AGENT,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = validate_tokens(tokens)
        self._base_url = validate_base_url(base_url)
        self._rate_limiter = TokenRateLimiter(len(self._tokens), requests_per_second)
        self._requests_per_second = len(self._tokens) * requests_per_second
        self._timeout = timeout
        self._attempts = attempts
        self._max_body_bytes = max_body_bytes
        self._user_agent = user_agent
        self._wall_clock = wall_clock
        self._session: ClientSession | None = None
        # Indices of the tokens whose last response rejected them.
        self._rejected: set[int] = set()
        # Pauses of all tokens since the last response that was not a throttling.
        self._pauses_in_a_row = 0
        self._proxy: URL | None = None
        self._redact = Redactor()

    @property
    def is_open(self) -> bool:
        """Whether requests can be made: from entering the client until it is closed."""
        return self._session is not None

    @property
    def requests_per_second(self) -> float:
        """The highest rate of requests with all tokens together."""
        return self._requests_per_second

    async def __aenter__(self) -> Self:
        if self._session is not None:
            raise RuntimeError("the client is open already: enter it once and share it")
        proxy = self._find_proxy()
        self._proxy = None if proxy is None else proxy.with_user(None)
        login = [] if proxy is None else [(proxy.user or "", proxy.password or "")]
        self._redact = Redactor([token.get_secret_value() for token in self._tokens], logins=login)
        self._session = ClientSession(
            connector=await create_connector(self._base_url),
            cookie_jar=DummyCookieJar(),
            headers={"Accept": "application/json", "User-Agent": self._user_agent},
            timeout=ClientTimeout(total=self._timeout),
            # Not `trust_env`: that would read a password from ~/.netrc for each request.
            proxy=proxy,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        return self

    def _find_proxy(self) -> URL | None:
        try:
            proxy = proxy_for(URL(self._base_url))
        except ProxyError as error:
            _log.warning("proxy ignored", reason=str(error))
            return None
        if proxy is not None:
            _log.info("using a proxy for the API", proxy=f"{proxy.host}:{proxy.port}")
        return proxy

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; does nothing if the client is not open."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def clan(self, tag: str) -> ApiResponse:
        """Fetch a clan with its ``memberList``."""
        tag = normalize_tag(tag)
        return await self._get(f"/clans/{tag_to_path(tag)}", f"clan {tag}")

    async def current_war(self, tag: str) -> ApiResponse:
        """Fetch a clan's regular war; raises PrivateWarLogError if the clan hides it."""
        tag = normalize_tag(tag)
        return await self._get(f"/clans/{tag_to_path(tag)}/currentwar", f"clan {tag}", needs_war_log=True)

    async def war_log(self, tag: str) -> ApiResponse:
        """Fetch a clan's past wars, the newest first; raises PrivateWarLogError if the clan hides them."""
        tag = normalize_tag(tag)
        return await self._get(f"/clans/{tag_to_path(tag)}/warlog", f"clan {tag}", needs_war_log=True)

    async def league_group(self, tag: str) -> ApiResponse:
        """Fetch the clan war league group of a clan; raises NotFoundError without one."""
        tag = normalize_tag(tag)
        return await self._get(f"/clans/{tag_to_path(tag)}/currentwar/leaguegroup", f"league group of clan {tag}")

    async def league_war(self, war_tag: str) -> ApiResponse:
        """Fetch a war of a clan war league by its own tag; a private war log does not hide it."""
        war_tag = normalize_tag(war_tag)
        return await self._get(f"/clanwarleagues/wars/{tag_to_path(war_tag)}", f"league war {war_tag}")

    async def raid_seasons(self, tag: str, limit: int = 1) -> ApiResponse:
        """Fetch the last ``limit`` raid weekends of a clan, the newest first."""
        tag = normalize_tag(tag)
        return await self._get(f"/clans/{tag_to_path(tag)}/capitalraidseasons?limit={limit}", f"clan {tag}")

    async def player(self, tag: str) -> ApiResponse:
        """Fetch a player."""
        tag = normalize_tag(tag)
        return await self._get(f"/players/{tag_to_path(tag)}", f"player {tag}")

    async def gold_pass(self) -> ApiResponse:
        """Fetch the start and the end of the current gold pass season."""
        return await self._get("/goldpass/seasons/current", "the gold pass")

    async def ranked_group(self, group_tag: str, season: int, player_tag: str) -> ApiResponse:
        """Fetch a league group of ranked battles, with the battles of one of its players in a season (its id)."""
        group, player = tag_to_path(normalize_tag(group_tag)), tag_to_path(normalize_tag(player_tag))
        return await self._get(f"/leaguegroup/{group}/{season}?playerTag={player}", f"league group {group_tag}")

    async def league_history(self, tag: str) -> ApiResponse:
        """Fetch the past seasons of a player's ranked battles, the oldest first."""
        tag = normalize_tag(tag)
        return await self._get(f"/players/{tag_to_path(tag)}/leaguehistory", f"player {tag}")

    async def battle_log(self, tag: str) -> ApiResponse:
        """Fetch the last battles of a player of all types, the newest first."""
        tag = normalize_tag(tag)
        return await self._get(f"/players/{tag_to_path(tag)}/battlelog", f"player {tag}")

    async def _get(self, path: str, subject: str, *, needs_war_log: bool = False) -> ApiResponse:
        """Make a request, and retry temporary failures. Retries are not logged: only state changes are."""
        if self._session is None:
            raise RuntimeError("the client is not open: use it inside 'async with ClashClient(...) as api:'")
        session = self._session
        # `encoded` keeps yarl from changing the `%23` of a tag.
        url = URL(self._base_url + path, encoded=True)
        for attempt in range(1, self._attempts):
            try:
                return await self._request(session, url, subject, needs_war_log=needs_war_log)
            except ClashError as error:
                if not error.retryable:
                    raise
                delay = _retry_delay(error, attempt)
            await asyncio.sleep(delay)
        return await self._request(session, url, subject, needs_war_log=needs_war_log)

    async def _request(self, session: ClientSession, url: URL, subject: str, *, needs_war_log: bool) -> ApiResponse:
        try:
            token_index = await self._rate_limiter.acquire(self._max_pause)
        except RateLimitedError:
            raise self._all_tokens_throttled() from None
        token = self._tokens[token_index].get_secret_value()
        try:
            async with session.get(
                url, headers={"Authorization": f"Bearer {token}"}, allow_redirects=False
            ) as response:
                body = await self._read(response)
        except (TimeoutError, ClientError) as error:
            # Not chained: aiohttp's errors contain the request's headers.
            failure = transport_error(error, url, proxy=self._proxy, timeout=self._timeout)
            failure.args = (self._redact(str(failure)),)
            raise failure from None

        if response.status != HTTPStatus.TOO_MANY_REQUESTS:
            self._pauses_in_a_row = 0
        headers = response.headers
        max_age = remaining_freshness(",".join(headers.getall("Cache-Control", [])), headers.get("Age", ""))
        if response.status == HTTPStatus.OK:
            self._rejected.discard(token_index)
            body = body.removeprefix(_BYTE_ORDER_MARK)
            _check_object(response, body)
            return ApiResponse(response.status, body, max_age)
        error_response = ErrorResponse(
            status=response.status,
            # A proxy's error page may show the request's headers.
            body=body.replace(token.encode(), b"***"),
            subject=subject,
            token=f"token {token_index + 1} of {len(self._tokens)}" if len(self._tokens) > 1 else "the token",
            needs_war_log=needs_war_log,
            max_age=max_age,
            retry_after=parse_retry_after(headers.get("Retry-After", ""), now=self._wall_clock()),
            redact=self._redact,
        )
        raise self._pause_token(error_response.to_error(), token_index)

    async def _read(self, response: ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            size += len(chunk)
            if size > self._max_body_bytes:
                raise InvalidResponseError(
                    f"the API's response is longer than {self._max_body_bytes} bytes: check api.base_url",
                    status=response.status,
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _max_pause(self) -> float:
        """Return how many seconds a request waits at most while all tokens are paused."""
        return _MAX_WAIT_FOR_TOKEN_S if self._pauses_in_a_row < _MAX_PAUSES_IN_A_ROW else 0.0

    def _all_tokens_throttled(self) -> ThrottledError:
        error = ThrottledError(
            "the API throttles every token: lower api.requests_per_second, or check what else uses the keys",
            retry_after=self._rate_limiter.all_paused_for,
        )
        error.retryable = False
        return error

    def _pause_token(self, error: ClashError, token_index: int) -> ClashError:
        """Pause a throttled or rejected token, and return the error with ``retryable`` set accordingly."""
        limiter = self._rate_limiter
        if isinstance(error, ThrottledError):
            pause = _DEFAULT_PAUSE_S if error.retry_after is None else error.retry_after
            were_all_paused = limiter.all_paused_for > 0
            limiter.pause(token_index, min(pause, _MAX_PAUSE_S))
            # Several throttled requests that were in flight together count as one pause.
            self._pauses_in_a_row += limiter.all_paused_for > 0 and not were_all_paused
            error.retryable = limiter.next_slot_in <= self._max_pause()
        elif isinstance(error, WrongTokenError | IpNotAllowedError):
            self._rejected.add(token_index)
            if len(self._rejected) < len(self._tokens):
                _log.warning("API token rejected, skipping it for 5 minutes", reason=str(error))
                limiter.pause(token_index, _REJECTED_PAUSE_S)
                error.retryable = True
        return error


def validate_tokens(tokens: Sequence[SecretStr]) -> list[SecretStr]:
    """Return the tokens without surrounding white space; raises ValueError if one is malformed or there is none."""
    if not tokens:
        raise ValueError(
            "the Clash of Clans API needs a token: create a key at https://developer.clashofclans.com and add it to "
            "api.tokens"
        )
    stripped = [token.get_secret_value().strip() for token in tokens]
    for number, token in enumerate(stripped, start=1):
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError(
                f"token {number} of {len(stripped)} in api.tokens is empty or has invalid characters: copy it again "
                "from https://developer.clashofclans.com"
            )
    return [SecretStr(token) for token in stripped]


def validate_base_url(base_url: str) -> str:
    """Return the URL without a trailing slash; raises ValueError if it cannot be the API's."""
    url = URL(base_url)
    if url.scheme not in ("http", "https") or not url.host or url.user or url.query_string or url.fragment:
        raise ValueError(
            f"api.base_url must be an http or https URL without a user and a query, such as {DEFAULT_BASE_URL}"
        )
    return str(url).rstrip("/")


def _retry_delay(error: ClashError, attempt: int) -> float:
    """Return how many seconds to wait after a failed attempt, of which the first is 1."""
    if isinstance(error, ThrottledError | DeniedError):
        # The token is paused: the rate limiter delays the next attempt if no other token is available.
        return 0.0
    jitter = random.uniform(0.0, _RETRY_JITTER_S)  # noqa: S311 - not for secrets
    return min(_FIRST_RETRY_DELAY_S * 2.0 ** (attempt - 1) + jitter, _LONGEST_RETRY_DELAY_S)


def _check_object(response: ClientResponse, body: bytes) -> None:
    # This only checks both ends, which is cheap. Invalid JSON in between is detected when the body is decoded.
    text = body.strip()
    if response.content_type == "text/html" or not (text.startswith(b"{") and text.endswith(b"}")):
        found = "an HTML page" if response.content_type == "text/html" else "not a JSON object"
        raise InvalidResponseError(
            f"the API's response is {found}: if this persists, check api.base_url",
            status=response.status,
        )
