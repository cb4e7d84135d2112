"""What ``coc2mqtt check`` finds out, against a scripted API and real brokers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from coc2mqtt.cli.check import check_everything
from coc2mqtt.config.settings import FixedSettings
from coc2mqtt.demo import DemoServer, World, faults
from tests.support.broker import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.conftest import StartMosquitto

    Check = Callable[..., Awaitable[tuple[bool, list[str]]]]

TOKEN = "token-that-nobody-may-see"
PASSWORD = "password-that-nobody-may-see"


@pytest.fixture
def world() -> World:
    return World(seed=7, members=5)


@pytest.fixture
async def server(world: World) -> AsyncIterator[DemoServer]:
    async with DemoServer(world, token=SecretStr(TOKEN)) as running:
        yield running


@pytest.fixture
def check(server: DemoServer, tmp_path: Path) -> Check:
    """Check settings, good ones but for what is given, and return whether all is well and what was said."""

    async def do(**settings: Any) -> tuple[bool, list[str]]:
        said: list[str] = []
        settings = {
            "mqtt": {"port": free_port()},
            "journal": {"path": str(tmp_path / "coc2mqtt.db")},
            **settings,
            "api": {"base_url": server.base_url, "tokens": [TOKEN], **settings.get("api", {})},
        }
        good = await check_everything(FixedSettings.model_validate(settings), say=said.append)
        assert not [line for line in said if TOKEN in line or PASSWORD in line]
        return good, said

    return do


def about(subject: str, said: list[str]) -> list[str]:
    return [line for line in said if line[8:].startswith(subject)]


async def test_all_is_well(check: Check, world: World) -> None:
    clan, player = world.clan_tags[0], world.player_tags[0]
    good, said = await check(watch={"clans": [clan], "players": [player]})
    assert good
    assert len(said) == 6
    assert all(line.startswith("ok ") for line in said)
    (found,) = about(f"clan {clan}", said)
    shown = world.clan(clan)
    assert shown is not None
    assert found.endswith(f": {shown['name']}")
    assert about(f"player {player}", said)


async def test_a_wrong_token_is_told(check: Check, server: DemoServer) -> None:
    good, said = await check(api={"tokens": ["wrong"]}, watch={"clans": ["#2PP"]})
    assert not good
    (line,) = about("token", said)
    assert line.startswith("FAILED  token 1 of 1: ")
    assert "developer.clashofclans.com" in line
    assert about("clan", said) == []
    assert server.requests.total() == 1


async def test_each_of_several_tokens_is_tried(check: Check, world: World) -> None:
    good, said = await check(api={"tokens": [TOKEN, "wrong", TOKEN]}, watch={"clans": list(world.clan_tags)})
    assert not good
    assert [line[:20] for line in about("token", said)] == [
        "ok      token 1 of 3",
        "FAILED  token 2 of 3",
        "ok      token 3 of 3",
    ]
    # With the good ones alone.
    assert all(line.startswith("ok ") for line in about("clan", said))


async def test_a_token_for_another_address_is_told_with_the_address(check: Check, server: DemoServer) -> None:
    server.faults.add(faults.wrong_address("203.0.113.7"))
    good, said = await check()
    assert not good
    assert "203.0.113.7" in about("token 1 of 1", said)[0]


async def test_a_maintenance_is_nobodys_mistake(check: Check, world: World) -> None:
    world.begin_maintenance()
    good, said = await check(watch={"clans": ["#2PP"]})
    assert good
    assert about("API", said)[0].startswith("later   API: ")


async def test_an_api_that_nobody_serves_is_told_once(check: Check) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    good, said = await check(api={"base_url": url, "tokens": ["a", "b"]})
    assert not good
    (line,) = about("API", said)
    assert line.startswith("FAILED  API: the API at 127.0.0.1 cannot be reached")
    assert about("token", said) == []


async def test_a_base_url_that_lacks_its_version_is_told(check: Check, server: DemoServer) -> None:
    good, said = await check(api={"base_url": f"{server.base_url}/elsewhere", "tokens": [TOKEN]})
    assert not good
    (line,) = about("API", said)
    assert "end api.base_url in /v1" in line


async def test_a_clan_that_does_not_exist_is_told(check: Check, world: World) -> None:
    good, said = await check(watch={"clans": ["#2YYYYY", world.clan_tags[0]]})
    assert not good
    assert [line.split(":")[0].split()[0] for line in about("clan", said)] == ["FAILED", "ok"]


async def test_a_good_broker_is_told_with_what_it_speaks(check: Check, mosquitto: StartMosquitto) -> None:
    broker = mosquitto(users={"me": PASSWORD})
    mqtt = {"host": broker.host, "port": broker.port, "username": "me", "password": PASSWORD}
    good, said = await check(mqtt=mqtt)
    assert good
    assert about("broker", said) == [
        f"ok      broker: 127.0.0.1:{broker.port} lets the bridge in, takes its messages, and speaks MQTT 5",
    ]


async def test_a_wrong_password_is_told(check: Check, mosquitto: StartMosquitto) -> None:
    broker = mosquitto(users={"me": "another"})
    mqtt = {"host": broker.host, "port": broker.port, "username": "me", "password": PASSWORD}
    good, said = await check(mqtt=mqtt)
    assert not good
    (line,) = about("broker", said)
    assert line.startswith("FAILED")
    assert "mqtt.username and mqtt.password" in line


async def test_wrong_password_in_quotes_is_answered_with_a_note(check: Check, mosquitto: StartMosquitto) -> None:
    broker = mosquitto(users={"me": PASSWORD})
    mqtt = {"host": broker.host, "port": broker.port, "username": "me", "password": f'"{PASSWORD}"'}
    good, said = await check(mqtt=mqtt)
    assert not good
    assert about("broker", said)[1].startswith("note    broker: mqtt.password has quotes or blanks around it, remove")


async def test_a_user_whom_the_access_list_keeps_from_work_is_told(check: Check, mosquitto: StartMosquitto) -> None:
    broker = mosquitto(users={"me": PASSWORD}, acl="user me\ntopic read coc/#\n")
    mqtt = {"host": broker.host, "port": broker.port, "username": "me", "password": PASSWORD}
    good, said = await check(mqtt=mqtt)
    assert not good
    (line,) = about("broker", said)
    assert line == (
        "FAILED  broker: the broker rejects messages on coc/bridge/check (not authorized): allow the topic for me"
        " on the broker"
    )


async def test_a_broker_that_is_not_there_is_told(check: Check) -> None:
    good, said = await check(mqtt={"host": "127.0.0.1", "port": free_port()})
    assert not good
    assert about("broker", said)[0].startswith("FAILED  broker: nothing is listening at 127.0.0.1")


async def test_a_port_that_the_embedded_broker_cannot_have_is_told(check: Check, mosquitto: StartMosquitto) -> None:
    good, said = await check(mqtt={"port": mosquitto().port})
    assert not good
    assert about("broker", said)[0].startswith("FAILED  broker: the embedded broker cannot use 127.0.0.1")


async def test_a_journal_that_cannot_be_had_is_told(check: Check, tmp_path: Path) -> None:
    for path, trouble in (
        (tmp_path / "no" / "a.db", f"the folder {tmp_path / 'no'} does not exist: create it, or set journal.path"),
        (tmp_path, f"{tmp_path} is a folder: set journal.path to a file, such as {tmp_path / 'coc2mqtt.db'}"),
    ):
        good, said = await check(journal={"path": str(path)})
        assert not good
        assert about("journal", said) == [f"FAILED  journal: {trouble}"]
