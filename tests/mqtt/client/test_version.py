from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from coc2mqtt.mqtt.client.connection import Connection, Session, probe
from coc2mqtt.mqtt.client.errors import (
    ConnackTimeoutError,
    NotAuthorizedError,
    UnreachableBrokerError,
    UnsupportedProtocolError,
)
from tests.support.broker import free_port, subscribe_once
from tests.support.connections import (
    ONLINE,
    OPTIONS,
    STATE,
    RecordedWaits,
    RecordingConnection,
    get_items,
    running_connection,
)
from tests.support.sessions import CONNACK
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol
    from coc2mqtt.mqtt.embedded_broker import EmbeddedBroker
    from tests.conftest import StartMosquitto

pytestmark = pytest.mark.usefixtures("no_stray_errors")

PASSWORD = "hush-hush-7"
UNSUPPORTED = b"\x20\x02\x00\x01"  # a CONNACK of 3.1.1, for either version
NO_RESPONSE = b""

Lines = list["MutableMapping[str, Any]"]


async def test_broker_without_version_5_is_connected_with_3_1_1(embedded_broker: EmbeddedBroker) -> None:
    # amqtt parses the properties of a version 5 CONNECT as a client ID that is incomplete, and keeps waiting.
    async with running_connection(
        RecordingConnection(replace(OPTIONS, port=embedded_broker.port, will=None, timeout=0.3))
    ) as bridge:
        session = await bridge.sessions.get()
        assert session.protocol == "3.1.1"
        assert bridge.connection.status.protocol == "3.1.1"


class ScriptedBroker:
    """Answers a CONNECT by its version, records the versions, and can close the connection; b"" means no response."""

    def __init__(self, *, five: bytes, three: bytes) -> None:
        self.responses = {5: five, 4: three}
        self.versions: asyncio.Queue[int] = asyncio.Queue()
        self._writer: asyncio.StreamWriter | None = None

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version = (await reader.readexactly(10))[8]
        self.versions.put_nowait(version)
        writer.write(self.responses[version])
        self._writer = writer
        await reader.read()

    def close(self) -> None:
        assert self._writer is not None
        self._writer.close()


@pytest.mark.parametrize(
    ("five", "then", "versions"),
    [
        pytest.param(UNSUPPORTED, UNSUPPORTED, [5, 4, 4], id="5 rejected, then 3.1.1 only"),
        pytest.param(NO_RESPONSE, NO_RESPONSE, [5, 4, 4], id="no response to 5, only one timeout"),
        pytest.param(CONNACK["5"], UNSUPPORTED, [5, 5, 4], id="5 no longer supported, then 3.1.1"),
        pytest.param(CONNACK["5"], NO_RESPONSE, [5, 5, 5], id="5 supported before, then no response"),
    ],
)
async def test_version_follows_what_the_broker_supports(
    serve: Callable[[Any], Awaitable[int]], five: bytes, then: bytes, versions: list[int]
) -> None:
    broker = ScriptedBroker(five=five, three=CONNACK["3.1.1"])
    started = asyncio.Event()

    async def on_session(_session: Session) -> None:
        started.set()

    options = replace(OPTIONS, port=await serve(broker), timeout=0.1)
    connection = Connection(options, on_session=on_session, sleep=RecordedWaits())
    task = asyncio.create_task(connection.run())
    async with asyncio.timeout(LONG_ENOUGH):
        await started.wait()
        broker.responses[5] = then
        broker.close()
        assert await get_items(len(versions), broker.versions) == versions
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_configured_version_has_no_fallback(
    serve: Callable[[Any], Awaitable[int]], mosquitto: StartMosquitto
) -> None:
    port = await serve(ScriptedBroker(five=UNSUPPORTED, three=CONNACK["3.1.1"]))
    options = replace(OPTIONS, port=port, protocol="5")
    with pytest.raises(UnsupportedProtocolError, match=r"set mqtt\.protocol to 3\.1\.1 or auto"):
        await run_probe(options)
    assert await run_probe(replace(OPTIONS, port=mosquitto().port, protocol="3.1.1")) == "3.1.1"


async def test_probe_connects_once_and_does_not_disconnect_a_running_bridge(
    mosquitto: StartMosquitto, log_lines: Lines
) -> None:
    broker = mosquitto()
    async with running_connection(RecordingConnection(replace(OPTIONS, port=broker.port))) as bridge:
        await bridge.sessions.get()
        assert await run_probe(replace(OPTIONS, port=broker.port)) == "5"
        assert bridge.connection.status.connected
        assert await subscribe_once(broker.port, STATE) == ONLINE
    assert len(log_lines) == 1


async def test_probe_raises_connect_errors(mosquitto: StartMosquitto) -> None:
    broker = mosquitto(users={"bridge": PASSWORD})
    with pytest.raises(NotAuthorizedError, match=r"check mqtt\.username and mqtt\.password"):
        await run_probe(replace(OPTIONS, port=broker.port, username="bridge", password=SecretStr("wrong-word-3")))
    broker.pause()
    with pytest.raises(ConnackTimeoutError, match="did not respond within"):
        await run_probe(replace(OPTIONS, port=broker.port, timeout=0.1))
    with pytest.raises(UnreachableBrokerError, match="nothing is listening"):
        await run_probe(replace(OPTIONS, port=free_port()))


async def run_probe(options: ConnectionOptions) -> Protocol:
    return await probe(options, publish_topic="coc/bridge/check", subscribe_filter="coc/bridge/request/+")
