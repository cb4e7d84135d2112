"""The commands: their output and their exit status."""

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
from coc2mqtt.util.runtime import LOOP_VARIABLE
from tests.support.bridge_process import PASSWORD, TOKEN, BridgeProcess
from tests.support.broker import free_port, subscribe_once
from tests.support.commands import CompletedCommand, complete, run_command, start_command
from tests.support.paths import ROOT
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import StartMosquitto

    Write = Callable[[dict[str, Any]], str]

ACL = (ROOT / "config" / "coc2mqtt.acl").read_text()
UNREACHABLE_URL = "http://127.0.0.1:9/v1"  # the discard port, which is closed


@pytest.fixture(autouse=True)
def _no_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
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
def silent_port() -> Iterator[int]:
    """Return a port that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def without_package(name: str, folder: Path) -> dict[str, str]:
    """Return environment variables that make a package look not installed."""
    (folder / f"{name}.py").write_text("raise ImportError")
    return {"PYTHONPATH": str(folder)}


@pytest.mark.process
async def test_version_command_works_when_run_as_a_module() -> None:
    assert (await run_command("version")).out == "0.1.0\n"


def test_version_option_prints_the_version() -> None:
    completed = CliRunner().invoke(app, ["--version"])
    assert (completed.exit_code, completed.stdout) == (0, "0.1.0\n")


@pytest.mark.parametrize("name", ["run", "check", "healthcheck", "dashboard"])
def test_command_with_an_invalid_file_exits_before_it_starts(name: str, write: Write) -> None:
    completed = CliRunner().invoke(app, [name, "--config", write({"mqtt": {"hots": "a"}})])
    assert completed.exit_code == 2
    assert completed.stdout == ""
    assert completed.stderr.startswith("coc2mqtt: ")
    assert completed.stderr.count("\n") == 1
    assert "unknown setting mqtt.hots" in completed.stderr


@pytest.mark.process
async def test_missing_file_is_reported_in_one_line() -> None:
    completed = await run_command("run", COC2MQTT_CONFIG="/no/file")
    assert completed == CompletedCommand(
        2, "", "coc2mqtt: /no/file does not exist: name the file with --config or COC2MQTT_CONFIG\n"
    )


def test_run_without_a_token_exits() -> None:
    completed = CliRunner().invoke(app, ["run"])
    assert completed.exit_code == 2
    assert completed.stderr.startswith("coc2mqtt: api.tokens: is empty: create a token")


@pytest.mark.process
async def test_invalid_token_is_not_shown(write: Write) -> None:
    completed = await run_command("run", "--config", write({"api": {"tokens": [f"{TOKEN} {PASSWORD}"]}}))
    assert completed.status == 2
    assert "token 1 of 1 in api.tokens is empty or has invalid characters" in completed.err
    assert completed.err.count("\n") == 1


@pytest.mark.process
async def test_journal_that_cannot_be_opened_is_reported_in_one_line(write: Write, tmp_path: Path) -> None:
    path = tmp_path / "no" / "a.db"
    settings = {"api": {"tokens": [TOKEN]}, "mqtt": {"host": "127.0.0.1"}, "journal": {"path": str(path)}}
    completed = await run_command("run", "--config", write(settings))
    assert completed.status == 1
    assert completed.err.startswith(
        f"coc2mqtt: cannot open the journal {path} because the folder {path.parent} does not exist"
    )
    assert completed.err.count("\n") == 1


@pytest.mark.process
async def test_taken_port_of_the_embedded_broker_is_reported_in_one_line(
    write: Write, tmp_path: Path, silent_port: int
) -> None:
    settings = {"api": {"tokens": [TOKEN]}, "mqtt": {"port": silent_port}, "journal": {"path": str(tmp_path / "a.db")}}
    completed = await run_command("run", "--config", write(settings))
    assert completed.status == 1
    assert completed.err.startswith(
        f"coc2mqtt: the embedded broker cannot use 127.0.0.1:{silent_port} (Address already in use)"
    )
    assert completed.err.count("\n") == 1


@pytest.mark.process
@pytest.mark.parametrize("name", ["run", "demo"])
async def test_missing_embedded_broker_is_reported_with_its_install_command(name: str, tmp_path: Path) -> None:
    variables = {"COC2MQTT_API__TOKENS": TOKEN, "COC2MQTT_JOURNAL__PATH": str(tmp_path / "a.db")}
    completed = await run_command(name, **variables, **without_package("amqtt", tmp_path))
    assert completed.status == 1
    expected = f"coc2mqtt: the embedded broker is not installed: run {sys.executable} -m pip install 'amqtt"
    assert completed.err.startswith(expected)
    assert completed.err.count("\n") == 1


def test_config_schema_is_json() -> None:
    completed = CliRunner().invoke(app, ["config", "schema"])
    assert completed.exit_code == 0
    assert json.loads(completed.stdout)["title"] == "Settings"


def test_schema_without_arguments_lists_all_schemas_with_their_topics() -> None:
    completed = CliRunner().invoke(app, ["schema"])
    assert completed.exit_code == 0
    lines = [line.split() for line in completed.stdout.splitlines()]
    assert ["event-member_joined", "coc/clan/<TAG>/member_joined"] in lines


def test_schema_with_a_name_prints_the_schema() -> None:
    completed = CliRunner().invoke(app, ["schema", "event-member_joined"])
    assert json.loads(completed.stdout)["title"] == "MemberJoinedEvent"


def test_schema_write_writes_all_schemas_and_their_page(tmp_path: Path) -> None:
    completed = CliRunner().invoke(app, ["schema", "--write", str(tmp_path)])
    assert completed.exit_code == 0
    printed = CliRunner().invoke(app, ["schema", "event-member_joined"]).stdout
    assert (tmp_path / "schemas" / "event-member_joined.json").read_text() == printed
    assert "schemas/event-member_joined.json" in (tmp_path / "payloads.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["member"], "unknown schema 'member': run 'coc2mqtt schema' to list all schemas"),
        (["--write", "/dev/null/docs"], "cannot write the schemas to /dev/null/docs (Not a directory)"),
    ],
)
def test_schema_error_is_reported_in_one_line(arguments: list[str], reason: str) -> None:
    completed = CliRunner().invoke(app, ["schema", *arguments])
    assert completed.exit_code == 2
    assert completed.stderr.startswith(f"coc2mqtt: {reason}")
    assert completed.stderr.count("\n") == 1


def test_config_show_masks_secrets(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_config_show_output_is_a_valid_configuration_file(write: Write, mqtt: dict[str, Any]) -> None:
    shown = CliRunner().invoke(app, ["config", "show", "--config", write({"mqtt": mqtt})])
    again = CliRunner().invoke(app, ["config", "show", "--config", write(yaml.safe_load(shown.stdout))])
    assert (again.exit_code, again.stdout) == (0, shown.stdout)


@pytest.mark.process
@pytest.mark.parametrize("name", ["run", "check", "healthcheck", "dashboard", "demo"])
async def test_unknown_event_loop_is_reported_in_one_line(name: str, write: Write) -> None:
    config = [] if name == "demo" else ["--config", write({"api": {"tokens": [TOKEN]}})]
    completed = await run_command(name, *config, COC2MQTT_LOOP="trio")
    assert completed == CompletedCommand(
        2, "", "coc2mqtt: COC2MQTT_LOOP: must be auto, asyncio or uvloop, got 'trio'\n"
    )


@pytest.mark.process
async def test_failed_check_exits_with_status_1(write: Write, tmp_path: Path) -> None:
    settings = {
        "mqtt": {"host": "127.0.0.1", "port": free_port(), "username": "a", "password": PASSWORD},
        "journal": {"path": str(tmp_path / "a.db")},
    }
    completed = await run_command("check", "--config", write(settings))
    assert (completed.status, completed.err) == (1, "")
    assert [line.split(":")[0] for line in completed.out.splitlines()] == [
        "ok      configuration",
        "FAILED  token",
        "FAILED  broker",
        "ok      journal",
    ]
    assert not (tmp_path / "a.db").exists()


@pytest.mark.process
async def test_healthcheck_works_with_the_example_access_list(
    mosquitto: StartMosquitto, tmp_path: Path, write: Write
) -> None:
    broker = mosquitto(users={"coc2mqtt": PASSWORD, "viewer": "sees"}, acl=ACL)
    settings = {
        "api": {"tokens": [TOKEN], "base_url": UNREACHABLE_URL},
        "mqtt": {"host": broker.host, "port": broker.port, "username": "coc2mqtt", "password": PASSWORD},
    }
    path = write(settings)
    completed = await run_command("healthcheck", "--config", path, "--timeout", "0.5")
    assert completed == CompletedCommand(
        1,
        "",
        "unhealthy: the bridge did not respond within 0.5 s: check that it is running, its log, and that the broker"
        " allows coc2mqtt to read coc/bridge/request/+\n",
    )
    bridge = BridgeProcess(tmp_path, settings)
    await bridge.start()
    try:
        async with asyncio.timeout(LONG_ENOUGH):
            while not await subscribe_once(broker.port, "coc/bridge/state", "-u", "viewer", "-P", "sees"):
                pass
        completed = await run_command("healthcheck", "--config", path)
    finally:
        assert await bridge.stop() == 0
    assert completed == CompletedCommand(0, "healthy\n", "")
    assert [line for line in bridge.log.splitlines() if "[error" in line] == []


@pytest.mark.process
async def test_healthcheck_without_a_broker_fails_at_once(write: Write) -> None:
    port = free_port()
    completed = await run_command("healthcheck", "--config", write({"mqtt": {"host": "127.0.0.1", "port": port}}))
    assert completed.status == 1
    assert completed.err.startswith(f"unhealthy: nothing is listening at 127.0.0.1:{port}: check")


@pytest.mark.process
async def test_healthcheck_with_a_hanging_broker_fails_in_time(write: Write, silent_port: int) -> None:
    settings = write({"mqtt": {"host": "127.0.0.1", "port": silent_port}})
    completed = await run_command("healthcheck", "--config", settings, "--timeout", "0.5")
    broker = f"the broker at 127.0.0.1:{silent_port}"
    expected = f"unhealthy: {broker} did not respond within 0.5 s: check that it is running, and its log\n"
    assert completed == CompletedCommand(1, "", expected)


@pytest.mark.process
@pytest.mark.parametrize("arguments", ["config schema", "schema"])
async def test_command_with_closed_output_pipe_succeeds_silently(arguments: str) -> None:
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
async def test_command_with_unwritable_output_fails_with_one_line(arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'exec "$@" >/dev/full', "sh", sys.executable, "-m", "coc2mqtt", *arguments.split()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    expected = "coc2mqtt: the output cannot be written (no space left on device): redirect it elsewhere\n"
    assert await complete(process) == CompletedCommand(1, "", expected)


@pytest.mark.process
@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
async def test_command_with_unwritable_error_output_keeps_its_exit_status(closed: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "coc2mqtt", "run", "--config", "/no/file")
    )
    assert await process.wait() == 2


@pytest.mark.process
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
async def test_output_characters_missing_in_the_encoding_are_replaced(write: Write, encoding: str) -> None:
    path = write({"mqtt": {"base_topic": "clans-\N{CROSSED SWORDS}-ü"}})
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": encoding}
    process = await start_command("config", "show", "--config", path, **variables)
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert "clans-\N{CROSSED SWORDS}-ü".encode(encoding, errors="replace") in out


@pytest.mark.process
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
async def test_error_with_characters_missing_in_the_encoding_is_printed(write: Write, encoding: str) -> None:
    path = write({"log": {"level": "\N{CROSSED SWORDS}"}})
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": encoding}
    for arguments in (["check", "--config", path], ["run", "--config", f"{path}-\N{CROSSED SWORDS}"]):
        process = await start_command(*arguments, **variables)
        out, err = await process.communicate()
        assert (process.returncode, out) == (2, b"")
        assert err.startswith(b"coc2mqtt: ")
        assert err.count(b"\n") == 1
