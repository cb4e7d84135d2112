"""``coc2mqtt check`` against a scripted API and real brokers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from coc2mqtt.cli.check import check_everything
from coc2mqtt.config.settings import FixedSettings
from coc2mqtt.demo import DemoServer, World, faults
from tests.support.bridge_process import PASSWORD, TOKEN
from tests.support.broker import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.conftest import StartMosquitto

    Check = Callable[..., Awaitable[tuple[bool, list[str]]]]


@pytest.fixture
def world() -> World:
    return World(seed=7, members=5)


@pytest.fixture
async def server(world: World) -> AsyncIterator[DemoServer]:
    async with DemoServer(world, token=SecretStr(TOKEN)) as running:
        yield running


@pytest.fixture
def check(server: DemoServer, tmp_path: Path) -> Check:
    """Check valid settings with the given changes; return whether all checks passed, and the printed lines."""

    async def do(**settings: Any) -> tuple[bool, list[str]]:
        lines: list[str] = []
        settings = {
            "mqtt": {"port": free_port()},
            "journal": {"path": str(tmp_path / "coc2mqtt.db")},
            **settings,
            "api": {"base_url": server.base_url, "tokens": [TOKEN], **settings.get("api", {})},
        }
        passed = await check_everything(FixedSettings.model_validate(settings), echo=lines.append)
        assert not [line for line in lines if TOKEN in line or PASSWORD in line]
        return passed, lines

    return do


def about(subject: str, lines: list[str]) -> list[str]:
    return [line for line in lines if line[8:].startswith(subject)]


async def test_check_of_valid_settings_passes(check: Check, world: World) -> None:
    clan, player = world.clan_tags[0], world.player_tags[0]
    passed, lines = await check(watch={"clans": [clan], "players": [player]})
    assert passed
    assert len(lines) == 6
    assert all(line.startswith("ok ") for line in lines)
    (found,) = about(f"clan {clan}", lines)
    shown = world.clan(clan)
    assert shown is not None
    assert found.endswith(f": {shown['name']}")
    assert about(f"player {player}", lines)


async def test_invalid_token_fails(check: Check, server: DemoServer) -> None:
    passed, lines = await check(api={"tokens": ["wrong"]}, watch={"clans": ["#2PP"]})
    assert not passed
    (line,) = about("token", lines)
    assert line.startswith("FAILED  token 1 of 1: ")
    assert "developer.clashofclans.com" in line
    assert about("clan", lines) == []
    assert server.requests.total() == 1


async def test_each_token_is_checked_separately(check: Check, world: World) -> None:
    passed, lines = await check(api={"tokens": [TOKEN, "wrong", TOKEN]}, watch={"clans": list(world.clan_tags)})
    assert not passed
    assert [line[:20] for line in about("token", lines)] == [
        "ok      token 1 of 3",
        "FAILED  token 2 of 3",
        "ok      token 3 of 3",
    ]
    # Watches are checked with the accepted tokens only.
    assert all(line.startswith("ok ") for line in about("clan", lines))


async def test_token_for_another_address_fails_with_the_address(check: Check, server: DemoServer) -> None:
    server.faults.add(faults.wrong_address("203.0.113.7"))
    passed, lines = await check()
    assert not passed
    assert "203.0.113.7" in about("token 1 of 1", lines)[0]


async def test_maintenance_skips_the_api_check(check: Check, world: World) -> None:
    world.start_maintenance()
    passed, lines = await check(watch={"clans": ["#2PP"]})
    assert passed
    assert about("API", lines)[0].startswith("skipped API: ")


async def test_unreachable_api_fails_once(check: Check) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    passed, lines = await check(api={"base_url": url, "tokens": ["a", "b"]})
    assert not passed
    (line,) = about("API", lines)
    assert line.startswith("FAILED  API: the API at 127.0.0.1 cannot be reached")
    assert about("token", lines) == []


async def test_base_url_without_version_fails(check: Check, server: DemoServer) -> None:
    passed, lines = await check(api={"base_url": f"{server.base_url}/elsewhere", "tokens": [TOKEN]})
    assert not passed
    (line,) = about("API", lines)
    assert "check that api.base_url ends in /v1" in line


async def test_unknown_clan_fails(check: Check, world: World) -> None:
    passed, lines = await check(watch={"clans": ["#2YYYYY", world.clan_tags[0]]})
    assert not passed
    assert [line.split(":")[0].split()[0] for line in about("clan", lines)] == ["FAILED", "ok"]


async def test_valid_broker_passes_with_its_protocol_version(check: Check, mosquitto: StartMosquitto) -> None:
    broker = mosquitto(users={"me": PASSWORD})
    mqtt = {"host": broker.host, "port": broker.port, "username": "me", "password": PASSWORD}
    passed, lines = await check(mqtt=mqtt)
    assert passed
    assert about("broker", lines) == [
        f"ok      broker: 127.0.0.1:{broker.port} accepts the connection and messages of the bridge (MQTT 5)",
    ]


async def test_wrong_password_fails(check: Check, mosquitto: StartMosquitto) -> None:
    broker = mosquitto(users={"me": "another"})
    mqtt = {"host": broker.host, "port": broker.port, "username": "me", "password": PASSWORD}
    passed, lines = await check(mqtt=mqtt)
    assert not passed
    (line,) = about("broker", lines)
    assert line.startswith("FAILED")
    assert "mqtt.username and mqtt.password" in line


async def test_wrong_password_in_quotes_adds_a_note(check: Check, mosquitto: StartMosquitto) -> None:
    broker = mosquitto(users={"me": PASSWORD})
    mqtt = {"host": broker.host, "port": broker.port, "username": "me", "password": f'"{PASSWORD}"'}
    passed, lines = await check(mqtt=mqtt)
    assert not passed
    assert about("broker", lines)[1].startswith("note    broker: mqtt.password is enclosed in quotes or spaces: remove")


async def test_user_denied_by_the_access_list_fails(check: Check, mosquitto: StartMosquitto) -> None:
    broker = mosquitto(users={"me": PASSWORD}, acl="user me\ntopic read coc/#\n")
    mqtt = {"host": broker.host, "port": broker.port, "username": "me", "password": PASSWORD}
    passed, lines = await check(mqtt=mqtt)
    assert not passed
    (line,) = about("broker", lines)
    assert line == (
        "FAILED  broker: the broker rejects messages on coc/bridge/check (not authorized): allow the topic for me"
        " on the broker"
    )


async def test_missing_broker_fails(check: Check) -> None:
    passed, lines = await check(mqtt={"host": "127.0.0.1", "port": free_port()})
    assert not passed
    assert about("broker", lines)[0].startswith("FAILED  broker: nothing is listening at 127.0.0.1")


async def test_taken_port_of_the_embedded_broker_fails(check: Check, mosquitto: StartMosquitto) -> None:
    passed, lines = await check(mqtt={"port": mosquitto().port})
    assert not passed
    assert about("broker", lines)[0].startswith("FAILED  broker: the embedded broker cannot use 127.0.0.1")


async def test_journal_in_an_unusable_place_fails(check: Check, tmp_path: Path) -> None:
    for path, problem in (
        (tmp_path / "no" / "a.db", f"the folder {tmp_path / 'no'} does not exist: create it, or set journal.path"),
        (tmp_path, f"{tmp_path} is a folder: set journal.path to a file, such as {tmp_path / 'coc2mqtt.db'}"),
    ):
        passed, lines = await check(journal={"path": str(path)})
        assert not passed
        assert about("journal", lines) == [f"FAILED  journal: {problem}"]
