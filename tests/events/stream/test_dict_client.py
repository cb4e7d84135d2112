"""Clients that return dicts as cocapi does, used instead of our own."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from coc2mqtt.clash import (
    BadRequestError,
    ClashError,
    DeniedError,
    InvalidResponseError,
    IpNotAllowedError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    ServerError,
    ThrottledError,
    UnreachableError,
    WrongTokenError,
)
from coc2mqtt.events import ClanWatcher
from coc2mqtt.events.stream.library_client import LibraryClient
from tests.support.bodies import clan
from tests.support.dict_clients import FixedResultClient, http_error, network_error

if TYPE_CHECKING:
    from tests.events.conftest import Bench

CLAN = clan()


def error(**fields: Any) -> dict[str, Any]:
    return {"result": "error", **fields}


# A client's result, and the error that it becomes.
ERRORS: list[tuple[object, type[ClashError]]] = [
    (http_error(400), BadRequestError),
    (http_error(403), DeniedError),
    (http_error(404), NotFoundError),
    (http_error(429), ThrottledError),
    (http_error(500), ServerError),
    (http_error(502), ServerError),
    (http_error(503), MaintenanceError),
    (http_error(504), ServerError),
    (network_error("timeout"), UnreachableError),
    (network_error("connection"), UnreachableError),
    (error(message="Max retries exceeded", error_type="retry_exhausted"), UnreachableError),
    (error(message="Invalid JSON response from API", error_type="json"), InvalidResponseError),
    (error(message="Invalid params for method"), BadRequestError),
    (error(message="Service Unavailable", status_code=503), MaintenanceError),
    (error(message="Connection error", status_code=0, error_type="connection"), UnreachableError),
    (error(reason="inMaintenance", message="API is currently in maintenance"), MaintenanceError),
    (error(status=503, reason="unknownException", message="upstream is overloaded"), ServerError),
    (error(reason="notFound"), NotFoundError),
    (error(reason="accessDenied", message="Invalid authorization"), WrongTokenError),
    (
        error(reason="accessDenied.invalidIp", message="API key does not allow access from IP 203.0.113.7"),
        IpNotAllowedError,
    ),
    (error(reason="requestThrottled"), ThrottledError),
    (error(message="Not found"), NotFoundError),
    (error(message="Access denied"), DeniedError),
    (error(message="Something happened"), InvalidResponseError),
    (error(message=None), InvalidResponseError),
    (error(message="lone surrogate \ud83d"), InvalidResponseError),
    (error(), InvalidResponseError),
    (None, InvalidResponseError),
    (["a list"], InvalidResponseError),
    ({"tag": {1, 2}}, InvalidResponseError),
    (OSError("no route to host"), UnreachableError),
    (RuntimeError("not in async context"), UnreachableError),
]


@pytest.mark.parametrize(("result", "expected"), ERRORS)
async def test_error_of_a_dict_client_becomes_a_typed_error(result: object, expected: type[ClashError]) -> None:
    with pytest.raises(ClashError) as caught:
        await LibraryClient(FixedResultClient(result)).player("#2PP")
    assert type(caught.value) is expected
    str(caught.value).encode()


async def test_invalid_ip_of_a_dict_client_names_the_address() -> None:
    denied = error(reason="accessDenied.invalidIp", message="API key does not allow access from IP 203.0.113.7")
    with pytest.raises(IpNotAllowedError) as caught:
        await LibraryClient(FixedResultClient(denied)).clan("#2PP")
    assert caught.value.address == "203.0.113.7"


async def test_denied_war_of_an_available_clan_is_a_private_war_log() -> None:
    client = LibraryClient(FixedResultClient(http_error(403), clan=CLAN))
    with pytest.raises(PrivateWarLogError, match="clan #2PP has a private war log"):
        await client.current_war("#2PP")


@pytest.mark.parametrize(
    ("of_clan", "expected"), [(http_error(403), DeniedError), (network_error("timeout"), UnreachableError)]
)
async def test_denied_war_of_a_failing_clan_raises_the_clan_error(of_clan: object, expected: type[ClashError]) -> None:
    with pytest.raises(ClashError) as caught:
        await LibraryClient(FixedResultClient(http_error(403), clan=of_clan)).current_war("#2PP")
    assert type(caught.value) is expected


async def test_wrong_token_for_a_war_is_not_a_private_war_log() -> None:
    denied = error(reason="accessDenied", message="Invalid authorization", http_status=403)
    with pytest.raises(WrongTokenError):
        await LibraryClient(FixedResultClient(denied, clan=CLAN)).current_war("#2PP")


async def test_client_without_war_log_method_raises_not_found() -> None:
    with pytest.raises(NotFoundError, match="no method clan_war_log"):
        await LibraryClient(FixedResultClient(CLAN)).war_log("#2PP")


async def test_response_is_independent_of_the_objects_of_the_client() -> None:
    body = clan()
    response = await LibraryClient(FixedResultClient(body)).clan("#2PP")
    body["name"] = "changed by the client"
    assert response.data == CLAN


@pytest.mark.parametrize("odd", [{"tag": "#2PP", "name": "lone surrogate \ud83d"}, {"tag": "#2PP", "number": 2**70}])
async def test_values_that_only_the_standard_library_encodes_are_accepted(odd: dict[str, Any]) -> None:
    response = await LibraryClient(FixedResultClient(odd)).clan("#2PP")
    assert b"#2PP" in response.body


async def test_cancelled_request_of_a_dict_client_stays_cancelled() -> None:
    with pytest.raises(asyncio.CancelledError):
        await LibraryClient(FixedResultClient(asyncio.CancelledError())).clan("#2PP")


async def test_tag_known_only_to_the_client_is_watched(bench: Bench) -> None:
    watcher = ClanWatcher(FixedResultClient(clan(tag="#TestClan")), bench.state, bench.queue, ["#TestClan"])
    assert await watcher._poll_once() == []
    assert bench.state.get_clan("#TestClan") == clan(tag="#TestClan")


def test_client_method_patched_later_is_used() -> None:
    client = FixedResultClient(http_error(404))
    library = LibraryClient(client)

    async def clan_tag(_: str) -> object:
        await asyncio.sleep(0)
        return CLAN

    client.clan_tag = clan_tag  # type: ignore[method-assign]  # as tests and wrappers do
    assert asyncio.run(library.clan("#2PP")).data == CLAN


@pytest.mark.parametrize(
    ("config", "rate"),
    [
        (None, math.inf),
        (SimpleNamespace(enable_rate_limiting=True, requests_per_second=10.0), 10.0),
        (SimpleNamespace(enable_rate_limiting=False, requests_per_second=10.0), math.inf),
        (SimpleNamespace(requests_per_second=0), math.inf),
    ],
)
def test_rate_limit_of_a_dict_client_comes_from_its_config(config: object, rate: float) -> None:
    client = FixedResultClient(CLAN)
    client.config = config  # type: ignore[attr-defined]  # as cocapi has it
    assert LibraryClient(client).requests_per_second == rate


@pytest.mark.parametrize(("caching", "warnings"), [(True, 1), (False, 0)])
def test_client_that_caches_responses_logs_a_warning(caching: bool, warnings: int) -> None:
    client = FixedResultClient(CLAN)
    client.config = SimpleNamespace(enable_caching=caching)  # type: ignore[attr-defined]  # as cocapi has it
    with capture_logs() as logs:
        LibraryClient(client)
    assert len(logs) == warnings
    assert all("enable_caching=False" in line["hint"] for line in logs)


def test_object_without_client_methods_raises_type_error() -> None:
    with pytest.raises(TypeError, match="SimpleNamespace cannot be used as a client, it has no method clan_tag"):
        LibraryClient(SimpleNamespace())


async def test_invalid_tag_is_not_found_with_either_client(bench: Bench) -> None:
    for client in (LibraryClient(bench.api), LibraryClient(FixedResultClient(http_error(400)))):
        for request in (client.clan, client.current_war, client.war_log, client.player):
            with pytest.raises(NotFoundError):
                await request("#TAG1")
    with pytest.raises(BadRequestError):
        await LibraryClient(FixedResultClient(http_error(400))).clan("#2PP")
