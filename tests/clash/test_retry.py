from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import stamina
import structlog
from aiohttp import web
from pydantic import SecretStr
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from coc2mqtt.clash import (
    BadRequestError,
    ClashClient,
    ClashError,
    DeniedError,
    InvalidResponseError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    ServerError,
    ThrottledError,
    TruncatedResponseError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]
    ServeRaw = Callable[[bytes], Awaitable[str]]


class Script:
    """A server that gives one answer after the other, the last one for ever, and notes when and by which token."""

    def __init__(self, *answers: tuple[int, bytes, dict[str, str]]) -> None:
        self._answers = list(answers)
        self.moments: list[float] = []
        self.tokens: list[str] = []

    async def __call__(self, request: web.Request) -> web.Response:
        self.moments.append(asyncio.get_running_loop().time())
        self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
        status, body, headers = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return web.Response(status=status, body=body, headers=headers)


GOOD = (200, b"{}", dict[str, str]())
TROUBLE = (502, b"<html>", dict[str, str]())


def client(base_url: str, tokens: int = 1, attempts: int = 3, requests_per_second: float = 1000.0) -> ClashClient:
    return ClashClient(
        [SecretStr(f"t{number}") for number in range(tokens)],
        base_url=base_url,
        attempts=attempts,
        requests_per_second=requests_per_second,
    )


@pytest.mark.usefixtures("no_backoff")
async def test_a_passing_fault_is_tried_again_until_it_has_passed(serve: Serve) -> None:
    script = Script(TROUBLE, TROUBLE, GOOD)
    async with client(await serve(script)) as api:
        assert (await api.clan("#2PP")).data == {}
    assert len(script.moments) == 3


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("attempts", [1, 2, 4])
async def test_attempts_are_counted_in_all_and_the_last_error_stands(serve: Serve, attempts: int) -> None:
    script = Script(TROUBLE)
    async with client(await serve(script), attempts=attempts) as api:
        with pytest.raises(ServerError):
            await api.clan("#2PP")
    assert len(script.moments) == attempts


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (503, b'{"reason":"inMaintenance"}', MaintenanceError),
        (403, b'{"reason":"accessDenied"}', PrivateWarLogError),
        (403, b"", DeniedError),
        (404, b"", NotFoundError),
        (400, b"", BadRequestError),
        (302, b"", InvalidResponseError),
        (200, b"<html>", InvalidResponseError),
    ],
)
async def test_what_another_attempt_cannot_mend_is_not_tried_again(
    serve: Serve, status: int, body: bytes, error: type[ClashError]
) -> None:
    script = Script((status, body, {}), GOOD)
    async with client(await serve(script)) as api:
        with pytest.raises(error):
            await api.current_war("#2PP")
    assert len(script.moments) == 1


@pytest.mark.usefixtures("no_backoff")
async def test_an_answer_that_was_cut_off_is_asked_for_again(serve: Serve) -> None:
    requests = 0

    async def cut_first(request: web.Request) -> web.StreamResponse:
        nonlocal requests
        requests += 1
        if requests > 1:
            return web.json_response({"a": 1})
        response = web.StreamResponse(headers={"Content-Length": "99"})
        await response.prepare(request)
        await response.write(b'{"a": ')
        assert request.transport is not None
        request.transport.close()
        return response

    async with client(await serve(cut_first)) as api:
        assert (await api.clan("#2PP")).data == {"a": 1}
    assert requests == 2


@pytest.mark.usefixtures("no_backoff")
async def test_an_answer_that_is_always_cut_off_is_a_bad_answer(serve_raw: ServeRaw) -> None:
    async with client(await serve_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")) as api:
        with pytest.raises(InvalidResponseError) as raised:
            await api.clan("#2PP")
    assert isinstance(raised.value, TruncatedResponseError)
    assert raised.value.kind == "bad_answer"


@pytest.mark.usefixtures("no_backoff")
async def test_a_server_that_comes_back_is_reached_again(serve: Serve) -> None:
    drops = 2

    async def drop(request: web.Request) -> web.Response:
        nonlocal drops
        if drops:
            drops -= 1
            assert request.transport is not None
            request.transport.close()
        return web.json_response({})

    async with client(await serve(drop)) as api:
        assert (await api.clan("#2PP")).data == {}
    assert drops == 0


@pytest.mark.looptime
@pytest.mark.usefixtures("no_backoff")
async def test_further_attempts_keep_the_pace(serve: Serve) -> None:
    script = Script(TROUBLE, TROUBLE, GOOD)
    async with client(await serve(script), requests_per_second=20) as api:
        await api.clan("#2PP")
    assert script.moments[-1] - script.moments[0] > 2 / 20 * 0.9


@pytest.mark.looptime
async def test_a_throttled_token_waits_as_long_as_the_api_asks(serve: Serve) -> None:
    script = Script((429, b"", {"Retry-After": "0.2"}), GOOD)
    async with client(await serve(script)) as api:
        await api.clan("#2PP")
    first, second = script.moments
    assert 0.18 < second - first < 0.4


async def test_a_throttled_token_rests_while_another_one_serves(serve: Serve) -> None:
    script = Script((429, b'{"reason":"requestThrottled"}', {}), GOOD)
    async with client(await serve(script), tokens=2) as api:
        for _ in range(5):
            await api.clan("#2PP")
    assert script.tokens == ["t0"] + ["t1"] * 5


async def test_when_every_token_is_throttled_the_error_says_so(serve: Serve) -> None:
    script = Script((429, b"", {"Retry-After": "60"}))
    async with client(await serve(script), tokens=2, attempts=2) as api:
        with pytest.raises(ThrottledError) as raised:
            await api.clan("#2PP")
    assert script.tokens == ["t0", "t1"]
    assert raised.value.retry_after == 60


async def test_a_request_can_be_cancelled_between_two_attempts(serve: Serve) -> None:
    script = Script((429, b"", {"Retry-After": "5"}), GOOD)
    async with client(await serve(script)) as api:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await api.clan("#2PP")
    assert len(script.moments) == 1


@pytest.mark.looptime
async def test_token_throttled_for_long_fails_the_request_at_once(serve: Serve) -> None:
    script = Script((429, b"", {"Retry-After": "3600"}), GOOD)
    async with client(await serve(script)) as api:
        start = asyncio.get_running_loop().time()
        with pytest.raises(ThrottledError):
            await api.clan("#2PP")
        with pytest.raises(ThrottledError, match="every token"):
            await api.clan("#2PP")
        assert asyncio.get_running_loop().time() - start < 1
        await asyncio.sleep(121)  # a nonsensical header costs two minutes at most
        assert (await api.clan("#2PP")).data == {}
    assert len(script.moments) == 2


@pytest.mark.looptime
async def test_requests_in_line_fail_at_once_when_the_throttling_goes_on(serve: Serve) -> None:
    script = Script((429, b"", {}))
    async with client(await serve(script), attempts=1) as api:
        start = asyncio.get_running_loop().time()
        outcomes = await asyncio.gather(*(api.clan("#2PP") for _ in range(300)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {ThrottledError}
        assert 9 < asyncio.get_running_loop().time() - start < 12, "as long as three rests, and no longer"


@pytest.mark.looptime
async def test_requests_in_line_wait_while_a_token_rests_for_a_moment(serve: Serve) -> None:
    script = Script((429, b"", {}), GOOD, (429, b"", {}), GOOD)
    async with client(await serve(script)) as api:
        answers = await asyncio.gather(*(api.clan("#2PP") for _ in range(20)))
    assert len(answers) == 20


@pytest.fixture
def heard() -> Iterator[list[RetryDetails]]:
    """What another user of stamina in the same program hears of retries."""
    heard: list[RetryDetails] = []

    def hear(details: RetryDetails) -> None:
        heard.append(details)

    set_on_retry_hooks([hear])
    yield heard
    set_on_retry_hooks(None)


@pytest.mark.usefixtures("no_backoff")
async def test_retries_are_not_told_to_the_hooks_of_others_and_theirs_still_are(
    serve: Serve, heard: list[RetryDetails]
) -> None:
    async with client(await serve(Script(TROUBLE, GOOD))) as api, client(await serve(Script(TROUBLE, GOOD))) as other:
        await api.clan("#2PP")
        await other.clan("#2PP")
    assert heard == []

    @stamina.retry(on=OSError, attempts=2)
    def fail_elsewhere() -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - it has no message
        fail_elsewhere()
    assert len(heard) == 1


@pytest.mark.usefixtures("no_backoff")
async def test_retries_write_no_log_line(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with structlog.testing.capture_logs() as lines:
        async with client(await serve(Script(TROUBLE, GOOD))) as api:
            await api.clan("#2PP")
    assert lines == []
    assert [record for record in caplog.records if record.name.startswith("stamina")] == []


@pytest.mark.usefixtures("no_backoff")
async def test_no_connection_is_tried_again(unused_tcp_port: int) -> None:
    async with client(f"http://127.0.0.1:{unused_tcp_port}/v1", attempts=2) as api:
        with pytest.raises(UnreachableError):
            await api.clan("#2PP")
