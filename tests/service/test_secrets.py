"""No output of the bridge and its commands contains a secret, in any situation."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from coc2mqtt.demo import faults
from tests.support.bridge_process import PASSWORD, TOKEN
from tests.support.broker import free_port
from tests.support.observer import observing
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from coc2mqtt.demo import DemoServer
    from coc2mqtt.demo.faults import Fault, Handler
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import MakeBridge, MakeSettings
    from tests.support.observer import Observer

pytestmark = pytest.mark.process

SECRETS = (TOKEN, PASSWORD)
LOGS = pytest.mark.parametrize("log_format", ["console", "json"])


def assert_no_secret(output: str | bytes) -> None:
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    for secret in SECRETS:
        assert secret not in text


def api_has_status(observer: Observer, status: str) -> bool:
    return bool(observer.retained("coc/api/state/status")["state"] == status)


def refuse_with_headers(status: int) -> Fault:
    """Respond with an error that quotes the request headers, as a careless proxy does."""

    async def fault(request: web.Request, _handler: Handler) -> web.Response:
        return faults.json_response(status, "badRequest", f"you sent {dict(request.headers)}")

    return fault


async def output_of(*arguments: str, status: int) -> str:
    """Run Python with arguments and return its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(LONG_ENOUGH):
        output, _ = await process.communicate()
    assert process.returncode == status, output
    return output.decode()


@LOGS
async def test_run_with_all_kinds_of_failures_leaks_no_secret(
    mosquitto: StartMosquitto,
    server: DemoServer,
    bridge: MakeBridge,
    settings: MakeSettings,
    log_format: str,
) -> None:
    player = settings(0)["watch"]["players"][0]["tag"]
    broker = mosquitto(users={"me": PASSWORD})
    mqtt = {"host": "127.0.0.1", "port": broker.port, "username": "me", "password": PASSWORD}
    running = bridge(settings(broker.port, mqtt=mqtt, log={"level": "debug", "format": log_format}))
    output: list[bytes] = []
    async with observing(broker.port, username="me", password=PASSWORD) as observer:
        await running.start()
        await observer.wait_until(lambda: observer.retained("coc/api/state/status"), "the first API status")
        await observer.request("watch", kind="player", tag=player, interval=3600)
        for command in ("list", "poll", "health_check", "no_such_command"):
            await observer.request(command)
        await observer.request_raw("watch", b"\xff{")
        for fault, status in (
            (refuse_with_headers(403), "denied"),
            (faults.refusal(503, "inMaintenance"), "maintenance"),
        ):
            server.faults.add(fault)
            await observer.wait_until(partial(api_has_status, observer, status), status)
            server.faults.clear()
            await observer.wait_until(partial(api_has_status, observer, "ok"), "the API to recover")
        server.faults.add(refuse_with_headers(400), path=f"/v1/players/{player}")
        await observer.request("poll", kind="player", tag=player)
        await observer.wait_until(
            lambda: [one for one in observer.events if "poll_error" in one.topic], "a failed poll"
        )
        output += [message.topic.encode() + b" " + message.payload for message in observer.received]
        assert any(b"bridge/health" in one for one in output)
        assert any(b"homeassistant/device" in one for one in output)
    broker.kill()
    await running.wait_for_log("broker connection lost")
    await running.stop()
    assert len(output) > 20
    assert_no_secret(b"\n".join(output))
    assert_no_secret(running.log)


def write_config(folder: Path, settings: dict[str, Any]) -> str:
    path = folder / "coc2mqtt.yaml"
    path.write_text(yaml.safe_dump({"journal": {"path": str(folder / "coc2mqtt.db")}, **settings}))
    return str(path)


@pytest.mark.parametrize(
    ("command", "status"),
    [(["check"], 1), (["healthcheck", "--timeout", "0.5"], 1), (["config", "show"], 0)],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
async def test_command_output_contains_no_secret(
    settings: MakeSettings, tmp_path: Path, command: list[str], status: int
) -> None:
    mqtt = {"host": "127.0.0.1", "port": free_port(), "username": "me", "password": PASSWORD}
    config = write_config(tmp_path, settings(0, mqtt=mqtt))
    assert_no_secret(await output_of("-m", "coc2mqtt", *command, "--config", config, status=status))


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("api", "tokens", [f"{TOKEN} {PASSWORD}"]),
        ("api", "tokens", {TOKEN: PASSWORD}),
        ("mqtt", "password", [PASSWORD]),
        ("mqtt", "password", {"secret": PASSWORD}),
        ("mqtt", "username", {"secret": PASSWORD}),
    ],
)
async def test_configuration_error_does_not_contain_the_secret(
    settings: MakeSettings, tmp_path: Path, section: str, key: str, value: object
) -> None:
    invalid = settings(1883)
    invalid[section] = {**invalid[section], "username": "me", key: value} if section == "mqtt" else {key: value}
    output = await output_of("-m", "coc2mqtt", "run", "--config", write_config(tmp_path, invalid), status=2)
    assert f"{section}.{key}" in output
    assert_no_secret(output)


@LOGS
async def test_traceback_of_a_crash_contains_no_secret(
    mosquitto: StartMosquitto, settings: MakeSettings, tmp_path: Path, log_format: str
) -> None:
    broker = mosquitto(users={"me": PASSWORD})
    mqtt = {"host": "127.0.0.1", "port": broker.port, "username": "me", "password": PASSWORD}
    config = write_config(tmp_path, settings(broker.port, mqtt=mqtt, log={"level": "debug", "format": log_format}))
    program = (
        "import asyncio, os, signal, sys\n"
        "from coc2mqtt.cli import app\n"
        "from coc2mqtt.clash.client import ClashClient\n"
        "async def broken(self, tag):\n"
        "    asyncio.get_running_loop().call_later(1, os.kill, os.getpid(), signal.SIGTERM)\n"
        "    token = self._tokens[0].get_secret_value()\n"
        "    raise KeyError(tag)\n"
        "ClashClient.player = broken\n"
        f"sys.argv = ['coc2mqtt', 'run', '--config', {config!r}]\n"
        "app.main()\n"
    )
    output = await output_of("-c", program, status=0)
    assert "KeyError" in output
    assert "Traceback" in output or log_format == "json"
    assert_no_secret(output)
