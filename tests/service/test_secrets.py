"""Whatever a bridge and its commands emit in good and in bad times, no secret is in it."""

from __future__ import annotations

import asyncio
import signal
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
    from collections.abc import Callable
    from pathlib import Path

    from aiohttp import web

    from coc2mqtt.demo import DemoServer
    from coc2mqtt.demo.faults import Fault, Handler
    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import BridgeProcess
    from tests.support.observer import Observer

    MakeBridge = Callable[[dict[str, Any]], BridgeProcess]
    MakeSettings = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.process

SECRETS = (TOKEN, PASSWORD)
LOGS = pytest.mark.parametrize("log_format", ["console", "json"])


def assert_clean(said: str | bytes) -> None:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    for secret in SECRETS:
        assert secret not in text


def api_is(observer: Observer, status: str) -> bool:
    return bool(observer.retained("coc/api/state/status")["state"] == status)


def refuse_loudly(status: int) -> Fault:
    """Refuse with a message that repeats the request's headers, as a careless proxy does."""

    async def fault(request: web.Request, _handler: Handler) -> web.Response:
        return faults.json_response(status, "badRequest", f"you sent {dict(request.headers)}")

    return fault


async def output_of(*arguments: str, status: int) -> str:
    """Run Python with arguments and return all that it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(LONG_ENOUGH):
        said, _ = await process.communicate()
    assert process.returncode == status, said
    return said.decode()


@LOGS
async def test_a_full_run_with_everything_that_can_go_wrong_tells_no_secret(
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
    emitted: list[bytes] = []
    async with observing(broker.port, username="me", password=PASSWORD) as observer:
        await running.start()
        await observer.until(lambda: observer.retained("coc/api/state/status"), "a first look")
        await observer.request("watch", kind="player", tag=player, interval=3600)
        for command in ("list", "poll", "health_check", "no_such_command"):
            await observer.request(command)
        await observer.answer_to("watch", b"\xff{")
        for fault, status in ((refuse_loudly(403), "denied"), (faults.refusal(503, "inMaintenance"), "maintenance")):
            server.faults.add(fault)
            await observer.until(partial(api_is, observer, status), status)
            server.faults.clear()
            await observer.until(partial(api_is, observer, "ok"), "the API's return")
        server.faults.add(refuse_loudly(400), path=f"/v1/players/{player}")
        await observer.request("poll", kind="player", tag=player)
        await observer.until(lambda: [one for one in observer.events if "poll_error" in one.topic], "a poll that fails")
        emitted += [message.topic.encode() + b" " + message.payload for message in observer.seen]
        assert any(b"bridge/health" in one for one in emitted)
        assert any(b"homeassistant/device" in one for one in emitted)
    broker.kill()
    while "broker connection lost" not in running.log:  # noqa: ASYNC110 - nothing tells of a line in a file
        await asyncio.sleep(0.05)
    await running.end(signal.SIGTERM)
    assert len(emitted) > 20
    assert_clean(b"\n".join(emitted))
    assert_clean(running.log)


def written(folder: Path, settings: dict[str, Any]) -> str:
    path = folder / "coc2mqtt.yaml"
    path.write_text(yaml.safe_dump({"journal": {"path": str(folder / "coc2mqtt.db")}, **settings}))
    return str(path)


@pytest.mark.parametrize(
    ("command", "status"),
    [(["check"], 1), (["healthcheck", "--timeout", "0.5"], 1), (["config", "show"], 0)],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
async def test_no_command_tells_a_secret(
    settings: MakeSettings, tmp_path: Path, command: list[str], status: int
) -> None:
    mqtt = {"host": "127.0.0.1", "port": free_port(), "username": "me", "password": PASSWORD}
    config = written(tmp_path, settings(0, mqtt=mqtt))
    assert_clean(await output_of("-m", "coc2mqtt", *command, "--config", config, status=status))


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
async def test_a_mistake_in_the_configuration_is_told_without_the_secret(
    settings: MakeSettings, tmp_path: Path, section: str, key: str, value: object
) -> None:
    mistaken = settings(1883)
    mistaken[section] = {**mistaken[section], "username": "me", key: value} if section == "mqtt" else {key: value}
    said = await output_of("-m", "coc2mqtt", "run", "--config", written(tmp_path, mistaken), status=2)
    assert f"{section}.{key}" in said
    assert_clean(said)


@LOGS
async def test_a_crash_report_tells_no_secret(
    mosquitto: StartMosquitto, settings: MakeSettings, tmp_path: Path, log_format: str
) -> None:
    broker = mosquitto(users={"me": PASSWORD})
    mqtt = {"host": "127.0.0.1", "port": broker.port, "username": "me", "password": PASSWORD}
    config = written(tmp_path, settings(broker.port, mqtt=mqtt, log={"level": "debug", "format": log_format}))
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
    said = await output_of("-c", program, status=0)
    assert "KeyError" in said
    assert "Traceback" in said or log_format == "json"
    assert_clean(said)
