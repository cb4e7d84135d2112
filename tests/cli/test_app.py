"""The commands as they are typed: what they print, and the status that they end with."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from coc2mqtt.cli.app import app
from coc2mqtt.util.event_loop import LOOP_VARIABLE
from tests.support.bridge_process import PASSWORD, TOKEN, BridgeProcess
from tests.support.broker import free_port, subscribe_once
from tests.support.commands import Ended, begin, command, end
from tests.support.paths import ROOT
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import StartMosquitto

    Write = Callable[[dict[str, Any]], str]

ACL = (ROOT / "config" / "coc2mqtt.acl").read_text()
NOBODY = "http://127.0.0.1:9/v1"  # the discard service, which nobody runs


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("COC2MQTT_") and name != LOOP_VARIABLE:
            monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration file and return its path."""

    def do(settings: dict[str, Any]) -> str:
        path = tmp_path / "coc2mqtt.yaml"
        path.write_text(yaml.safe_dump(settings))
        return str(path)

    return do


@pytest.fixture
def silent() -> Iterator[int]:
    """Return a port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def without(program: str, folder: Path) -> dict[str, str]:
    """Return variables with which a package cannot be imported, as if it were not installed."""
    (folder / f"{program}.py").write_text("raise ImportError")
    return {"PYTHONPATH": str(folder)}


@pytest.mark.process
async def test_it_can_be_run_as_a_module_and_tells_its_version() -> None:
    assert (await command("version")).out == "0.1.0\n"


def test_version_option_prints_the_version() -> None:
    ended = CliRunner().invoke(app, ["--version"])
    assert (ended.exit_code, ended.stdout) == (0, "0.1.0\n")


@pytest.mark.parametrize("name", ["run", "check", "healthcheck"])
def test_a_wrong_file_ends_every_command_before_it_begins(name: str, write: Write) -> None:
    ended = CliRunner().invoke(app, [name, "--config", write({"mqtt": {"hots": "a"}})])
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("coc2mqtt: ")
    assert ended.stderr.count("\n") == 1
    assert "unknown setting mqtt.hots" in ended.stderr


@pytest.mark.process
async def test_a_file_that_is_not_there_is_one_sentence() -> None:
    ended = await command("run", COC2MQTT_CONFIG="/no/file")
    assert ended == Ended(2, "", "coc2mqtt: /no/file does not exist: name the file with --config or COC2MQTT_CONFIG\n")


def test_without_a_token_nothing_is_run() -> None:
    ended = CliRunner().invoke(app, ["run"])
    assert ended.exit_code == 2
    assert ended.stderr.startswith("coc2mqtt: api.tokens: is empty: create a token")


@pytest.mark.process
async def test_a_token_that_cannot_be_one_is_not_shown(write: Write) -> None:
    ended = await command("run", "--config", write({"api": {"tokens": [f"{TOKEN} {PASSWORD}"]}}))
    assert ended.status == 2
    assert "token 1 of 1 in api.tokens is empty or has invalid characters" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.process
async def test_a_journal_that_cannot_be_had_is_one_sentence(write: Write, tmp_path: Path) -> None:
    path = tmp_path / "no" / "a.db"
    settings = {"api": {"tokens": [TOKEN]}, "mqtt": {"host": "127.0.0.1"}, "journal": {"path": str(path)}}
    ended = await command("run", "--config", write(settings))
    assert ended.status == 1
    assert ended.err.startswith(
        f"coc2mqtt: cannot open the journal {path} because the folder {path.parent} does not exist"
    )
    assert ended.err.count("\n") == 1


@pytest.mark.process
async def test_a_taken_port_is_one_sentence(write: Write, tmp_path: Path, silent: int) -> None:
    settings = {"api": {"tokens": [TOKEN]}, "mqtt": {"port": silent}, "journal": {"path": str(tmp_path / "a.db")}}
    ended = await command("run", "--config", write(settings))
    assert ended.status == 1
    assert ended.err.startswith(f"coc2mqtt: the embedded broker cannot use 127.0.0.1:{silent} (Address already in use)")
    assert ended.err.count("\n") == 1


@pytest.mark.process
@pytest.mark.parametrize("name", ["run", "demo"])
async def test_without_the_embedded_broker_it_is_told_how_to_get_it(name: str, tmp_path: Path) -> None:
    variables = {"COC2MQTT_API__TOKENS": TOKEN, "COC2MQTT_JOURNAL__PATH": str(tmp_path / "a.db")}
    ended = await command(name, **variables, **without("amqtt", tmp_path))
    assert ended.status == 1
    said = f"coc2mqtt: the embedded broker is not installed: run {sys.executable} -m pip install 'amqtt"
    assert ended.err.startswith(said)
    assert ended.err.count("\n") == 1


def test_the_schema_is_json() -> None:
    ended = CliRunner().invoke(app, ["config", "schema"])
    assert ended.exit_code == 0
    assert json.loads(ended.stdout)["title"] == "Settings"


def test_the_schemas_of_all_payloads_are_listed_printed_and_written(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["schema"])
    assert listed.exit_code == 0
    assert ["event-member_joined", "coc/clan/<TAG>/member_joined"] in [
        line.split() for line in listed.stdout.splitlines()
    ]
    printed = CliRunner().invoke(app, ["schema", "event-member_joined"])
    assert json.loads(printed.stdout)["title"] == "MemberJoinedEvent"
    written = CliRunner().invoke(app, ["schema", "--write", str(tmp_path)])
    assert written.exit_code == 0
    assert (tmp_path / "schemas" / "event-member_joined.json").read_text() == printed.stdout
    assert "schemas/event-member_joined.json" in (tmp_path / "payloads.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["member"], "there is no schema 'member': 'coc2mqtt schema' lists those that there are"),
        (["--write", "/dev/null/docs"], "the schemas cannot be written below /dev/null/docs: Not a directory"),
    ],
)
def test_a_schema_that_cannot_be_had_is_told_in_one_sentence(arguments: list[str], reason: str) -> None:
    ended = CliRunner().invoke(app, ["schema", *arguments])
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f"coc2mqtt: {reason}")
    assert ended.stderr.count("\n") == 1


def test_the_configuration_in_effect_is_shown_without_its_secrets(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write({"api": {"tokens": [TOKEN]}, "mqtt": {"host": "a", "username": "me", "password": PASSWORD}})
    monkeypatch.setenv("COC2MQTT_MQTT__PORT", "1884")
    shown = CliRunner().invoke(app, ["config", "show", "--config", path])
    assert shown.exit_code == 0
    settings = yaml.safe_load(shown.stdout)
    assert (
        settings["mqtt"] | {"host": "a", "port": 1884, "username": "me", "password": "**********"} == settings["mqtt"]
    )
    assert settings["api"]["tokens"] == ["**********"]
    assert TOKEN not in shown.output
    assert PASSWORD not in shown.output


@pytest.mark.parametrize("mqtt", [{"host": "a", "username": "me", "password": PASSWORD}, {"port": 1884}])
def test_shown_configuration_is_a_configuration_file(write: Write, mqtt: dict[str, Any]) -> None:
    shown = CliRunner().invoke(app, ["config", "show", "--config", write({"mqtt": mqtt})])
    again = CliRunner().invoke(app, ["config", "show", "--config", write(yaml.safe_load(shown.stdout))])
    assert (again.exit_code, again.stdout) == (0, shown.stdout)


@pytest.mark.process
@pytest.mark.parametrize("name", ["run", "check", "healthcheck", "demo"])
async def test_unknown_event_loop_ends_a_command(name: str, write: Write) -> None:
    config = [] if name == "demo" else ["--config", write({"api": {"tokens": [TOKEN]}})]
    ended = await command(name, *config, COC2MQTT_LOOP="trio")
    assert ended == Ended(2, "", "coc2mqtt: COC2MQTT_LOOP: must be auto, asyncio or uvloop, got 'trio'\n")


@pytest.mark.process
async def test_a_check_that_fails_says_so_by_its_status(write: Write, tmp_path: Path) -> None:
    settings = {
        "mqtt": {"host": "127.0.0.1", "port": free_port(), "username": "a", "password": PASSWORD},
        "journal": {"path": str(tmp_path / "a.db")},
    }
    ended = await command("check", "--config", write(settings))
    assert (ended.status, ended.err) == (1, "")
    assert [line.split(":")[0] for line in ended.out.splitlines()] == [
        "ok      configuration",
        "FAILED  token",
        "FAILED  broker",
        "ok      journal",
    ]
    assert not (tmp_path / "a.db").exists()


@pytest.mark.process
async def test_a_bridge_tells_that_it_is_well_under_the_access_list_of_the_example(
    mosquitto: StartMosquitto, tmp_path: Path, write: Write
) -> None:
    broker = mosquitto(users={"coc2mqtt": PASSWORD, "viewer": "sees"}, acl=ACL)
    settings = {
        "api": {"tokens": [TOKEN], "base_url": NOBODY},
        "mqtt": {"host": broker.host, "port": broker.port, "username": "coc2mqtt", "password": PASSWORD},
    }
    path = write(settings)
    ended = await command("healthcheck", "--config", path, "--timeout", "0.5")
    said = (
        "unhealthy: the bridge does not answer within 0.5 s: see whether it runs, its log, and whether the broker lets"
    )
    assert ended == Ended(1, "", f"{said} coc2mqtt read coc/bridge/request/+\n")
    bridge = BridgeProcess(tmp_path, settings)
    await bridge.start()
    try:
        async with asyncio.timeout(LONG_ENOUGH):
            while not await subscribe_once(broker.port, "coc/bridge/state", "-u", "viewer", "-P", "sees"):
                pass
        ended = await command("healthcheck", "--config", path)
    finally:
        assert await bridge.end() == 0
    assert ended == Ended(0, "healthy\n", "")
    assert "not accepted" not in bridge.log
    assert "not granted" not in bridge.log


@pytest.mark.process
async def test_a_health_check_without_a_broker_fails_at_once(write: Write) -> None:
    port = free_port()
    ended = await command("healthcheck", "--config", write({"mqtt": {"host": "127.0.0.1", "port": port}}))
    assert ended.status == 1
    assert ended.err.startswith(f"unhealthy: nothing is listening at 127.0.0.1:{port}: check")


@pytest.mark.process
async def test_a_health_check_of_a_broker_that_hangs_ends_in_time(write: Write, silent: int) -> None:
    settings = write({"mqtt": {"host": "127.0.0.1", "port": silent}})
    ended = await command("healthcheck", "--config", settings, "--timeout", "0.5")
    said = (
        f"unhealthy: the broker at 127.0.0.1:{silent} does not answer within 0.5 s: see whether it runs, and its log\n"
    )
    assert ended == Ended(1, "", said)


@pytest.mark.process
@pytest.mark.parametrize("arguments", ["config schema", "schema"])
async def test_command_whose_reader_is_gone_ends_well_and_in_silence(arguments: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "coc2mqtt", *arguments.split()), stdout=writer, stderr=asyncio.subprocess.PIPE
        )
        _, err = await process.communicate()
    finally:
        os.close(writer)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.process
@pytest.mark.parametrize("arguments", ["config schema", "demo --seconds 120"])
async def test_command_whose_output_cannot_be_written_fails_in_one_sentence(arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'exec "$@" >/dev/full', "sh", sys.executable, "-m", "coc2mqtt", *arguments.split()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said = "coc2mqtt: the output cannot be written (no space left on device): redirect it elsewhere\n"
    assert await end(process) == Ended(1, "", said)


@pytest.mark.process
@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
async def test_error_that_nobody_can_read_keeps_its_exit_status(closed: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "coc2mqtt", "run", "--config", "/no/file")
    )
    assert await process.wait() == 2


@pytest.mark.process
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
async def test_characters_that_the_terminal_lacks_are_replaced(write: Write, encoding: str) -> None:
    path = write({"mqtt": {"base_topic": "clans-\N{CROSSED SWORDS}-ü"}})
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": encoding}
    process = await begin("config", "show", "--config", path, **variables)
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert "clans-\N{CROSSED SWORDS}-ü".encode(encoding, errors="replace") in out


@pytest.mark.process
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
async def test_error_with_characters_that_the_terminal_lacks_is_shown(write: Write, encoding: str) -> None:
    path = write({"log": {"level": "\N{CROSSED SWORDS}"}})
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": encoding}
    for arguments in (["check", "--config", path], ["run", "--config", f"{path}-\N{CROSSED SWORDS}"]):
        process = await begin(*arguments, **variables)
        out, err = await process.communicate()
        assert (process.returncode, out) == (2, b"")
        assert err.startswith(b"coc2mqtt: ")
        assert err.count(b"\n") == 1
