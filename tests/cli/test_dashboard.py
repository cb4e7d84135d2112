"""``coc2mqtt dashboard``: its output for the retained topics of a bridge, and its errors."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import aiomqtt
import orjson
import pytest
import yaml

from coc2mqtt.cli.dashboard import DashboardError, print_dashboard
from coc2mqtt.config.settings import Settings
from coc2mqtt.mqtt.client.connection import ConnectionOptions
from coc2mqtt.mqtt.embedded_broker import EmbeddedBroker
from tests.support.bridge_process import PASSWORD, TOKEN
from tests.support.broker import free_port
from tests.support.commands import run_command
from tests.support.sessions import connected_session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartMosquitto
    from tests.support.broker import Mosquitto

INFO = {"instance": "home", "homeassistant": True, "version": "1"}
WATCHES = {
    "watches": [
        {"kind": "player", "tag": "#900PUCPV", "name": "Zoë", "war": None},
        {"kind": "clan", "tag": "#2PP", "name": "The Order ⚔", "war": True},
        {"kind": "clan", "tag": "#8QQ", "name": None, "war": False},
    ]
}


async def publish(broker: Mosquitto, base: str = "coc", **topics: Any) -> None:
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for name, payload in topics.items():
            body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
            await client.publish(f"{base}/bridge/{name}", body, qos=1, retain=True)


async def run(port: int, *, timeout: float = 5.0, **mqtt: Any) -> str:  # noqa: ASYNC109 - passed on
    settings = Settings.model_validate({"mqtt": {"host": "127.0.0.1", "port": port, **mqtt}})
    return await print_dashboard(settings, timeout=timeout)


async def error_of(port: int, **options: Any) -> str:
    with pytest.raises(DashboardError) as raised:
        await run(port, **options)
    return str(raised.value)


async def test_dashboard_contains_all_watches_by_name(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    await publish(broker, info=INFO, watches=WATCHES)
    text = await run(broker.port)
    views = yaml.safe_load(text)["views"]
    assert [view["title"] for view in views] == ["The Order ⚔", "#8QQ", "Players", "coc2mqtt"]
    assert views[2]["sections"][0]["cards"][0]["heading"] == "Zoë"
    assert "*id" not in text
    assert text.startswith("# A dashboard")


async def test_dashboard_of_hundreds_of_watches(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    tags = [f"#2{a}{b}{c}" for a in "02" for b in "0289PYLQGR" for c in "0289PYLQGR"]
    watches = [{"kind": "player", "tag": tag, "name": f"P {tag}", "note": "x" * 400} for tag in tags]
    await publish(broker, info=INFO, watches={"watches": watches})
    text = await run(broker.port)
    assert all(f"P {tag}" in text for tag in tags)


async def test_dashboard_uses_the_instance_of_the_bridge(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    await publish(broker, "clash/base", info={**INFO, "instance": "my-home"}, watches=WATCHES)
    assert "sensor.coc2mqtt_my_home_queue" in await run(broker.port, base_topic="clash/base")


async def test_broker_without_topics_of_a_bridge_is_reported(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    await publish(broker, "other", info=INFO, watches=WATCHES)
    assert await error_of(broker.port) == (
        "the topic coc/bridge/info has no retained message: start the bridge once with this broker and base topic, and"
        " check that the broker allows this user to read it"
    )


async def test_bridge_without_watches_is_reported(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    await publish(broker, info=INFO, watches={"watches": []})
    assert (await error_of(broker.port)).startswith("the bridge watches nothing: add a clan or a player")


async def test_bridge_without_discovery_is_reported(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    await publish(broker, info={**INFO, "homeassistant": False}, watches=WATCHES)
    assert "set homeassistant.enabled to true" in await error_of(broker.port)


@pytest.mark.parametrize(
    "watches",
    [b"not JSON", [], {"watches": [{"kind": "clan", "tag": "no tag"}]}, {"watches": [{"kind": "war", "tag": "#2PP"}]}],
)
async def test_message_of_another_program_is_reported(mosquitto: StartMosquitto, watches: Any) -> None:
    broker = mosquitto()
    await publish(broker, info=INFO, watches=watches)
    assert (await error_of(broker.port)).startswith("the message on coc/bridge/watches is from another program")


@pytest.mark.slow
async def test_broker_that_ignores_mqtt_5_is_read_with_3_1_1() -> None:
    pytest.importorskip("amqtt", reason="the extra 'embedded' is not installed")
    async with EmbeddedBroker(port=0) as broker:
        async with connected_session(ConnectionOptions(broker.host, broker.port, "writer"), "3.1.1") as writer:
            for name, payload in (("info", INFO), ("watches", WATCHES)):
                await writer.publish(f"coc/bridge/{name}", orjson.dumps(payload), retain=True)
        assert "The Order" in await run(broker.port)


async def test_missing_broker_is_reported() -> None:
    port = free_port()
    assert (await error_of(port)).startswith(f"nothing is listening at 127.0.0.1:{port}: ")


async def test_hanging_broker_is_reported_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert await error_of(port, timeout=0.2) == (
            f"the broker at 127.0.0.1:{port} did not respond within 0.2 s: check that it is running, and its log"
        )


@pytest.mark.process
async def test_command_prints_the_dashboard_or_one_sentence(mosquitto: StartMosquitto, tmp_path: Path) -> None:
    broker = mosquitto()
    path = tmp_path / "coc2mqtt.yaml"
    login = {"username": "coc2mqtt", "password": PASSWORD}
    settings = {"api": {"tokens": [TOKEN]}, "mqtt": {"host": broker.host, "port": broker.port, **login}}
    path.write_text(yaml.safe_dump(settings))
    completed = await run_command("dashboard", "--config", str(path))
    assert (completed.status, completed.out) == (1, "")
    assert completed.err.startswith("coc2mqtt: the topic coc/bridge/info has no retained message")
    assert completed.err.count("\n") == 1
    await publish(broker, info=INFO, watches=WATCHES)
    completed = await run_command("dashboard", "--config", str(path))
    assert (completed.status, completed.err) == (0, "")
    assert yaml.safe_load(completed.out)["title"] == "Clash of Clans"
