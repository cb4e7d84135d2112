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
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol
    from coc2mqtt.mqtt.embedded_broker import EmbeddedBroker
    from tests.conftest import StartMosquitto

pytestmark = pytest.mark.usefixtures("no_stray_errors")

PASSWORD = "hush-hush-7"
ACCEPTED_5, ACCEPTED_3 = b"\x20\x03\x00\x00\x00", b"\x20\x02\x00\x00"
UNSUPPORTED = b"\x20\x02\x00\x01"  # a CONNACK of 3.1.1, whatever was asked
SILENCE = b""

Lines = list["MutableMapping[str, Any]"]


async def test_without_version_5_it_speaks_3_1_1(embedded_broker: EmbeddedBroker) -> None:
    # It takes the limits that version 5 has in the CONNECT for a client id that is still to come.
    async with running_connection(
        RecordingConnection(replace(OPTIONS, port=embedded_broker.port, will=None, timeout=0.3))
    ) as bridge:
        session = await bridge.sessions.get()
        assert session.protocol == "3.1.1"
        assert bridge.connection.status.protocol == "3.1.1"


class ScriptedBroker:
    """Answers a CONNECT by its version, notes which came, and hangs up when told to; b"" is silence."""

    def __init__(self, *, five: bytes, three: bytes) -> None:
        self.answers = {5: five, 4: three}
        self.versions: asyncio.Queue[int] = asyncio.Queue()
        self._writer: asyncio.StreamWriter | None = None

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version = (await reader.readexactly(10))[8]
        self.versions.put_nowait(version)
        writer.write(self.answers[version])
        self._writer = writer
        await reader.read()

    def hang_up(self) -> None:
        assert self._writer is not None
        self._writer.close()


@pytest.mark.parametrize(
    ("five", "then", "versions"),
    [
        pytest.param(UNSUPPORTED, UNSUPPORTED, [5, 4, 4], id="5 refused: 3.1.1 from then on"),
        pytest.param(SILENCE, SILENCE, [5, 4, 4], id="silent on 5: one time-out only"),
        pytest.param(ACCEPTED_5, UNSUPPORTED, [5, 5, 4], id="5 given up: 3.1.1 as well"),
        pytest.param(ACCEPTED_5, SILENCE, [5, 5, 5], id="5 once spoken: in trouble, not old"),
    ],
)
async def test_the_version_follows_what_the_broker_speaks(
    serve: Callable[[Any], Awaitable[int]], five: bytes, then: bytes, versions: list[int]
) -> None:
    broker = ScriptedBroker(five=five, three=ACCEPTED_3)
    begun = asyncio.Event()

    async def talk(_session: Session) -> None:
        begun.set()

    options = replace(OPTIONS, port=await serve(broker), timeout=0.1)
    connection = Connection(options, on_session=talk, sleep=RecordedWaits())
    task = asyncio.create_task(connection.run())
    async with asyncio.timeout(LONG_ENOUGH):
        await begun.wait()
        broker.answers[5] = then
        broker.hang_up()
        assert await get_items(len(versions), broker.versions) == versions
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_fixed_version_is_not_left(serve: Callable[[Any], Awaitable[int]], mosquitto: StartMosquitto) -> None:
    port = await serve(ScriptedBroker(five=UNSUPPORTED, three=ACCEPTED_3))
    options = replace(OPTIONS, port=port, protocol="5")
    with pytest.raises(UnsupportedProtocolError, match=r"set mqtt\.protocol to 3\.1\.1 or auto"):
        await look(options)
    assert await look(replace(OPTIONS, port=mosquitto().port, protocol="3.1.1")) == "3.1.1"


async def test_a_probe_connects_once_and_disturbs_nobody(mosquitto: StartMosquitto, log_lines: Lines) -> None:
    broker = mosquitto()
    async with running_connection(RecordingConnection(replace(OPTIONS, port=broker.port))) as bridge:
        await bridge.sessions.get()
        assert await look(replace(OPTIONS, port=broker.port)) == "5"
        assert bridge.connection.status.connected
        assert await subscribe_once(broker.port, STATE) == ONLINE
    assert len(log_lines) == 1


async def test_a_probe_raises_what_is_wrong(mosquitto: StartMosquitto) -> None:
    broker = mosquitto(users={"bridge": PASSWORD})
    with pytest.raises(NotAuthorizedError, match=r"check mqtt\.username and mqtt\.password"):
        await look(replace(OPTIONS, port=broker.port, username="bridge", password=SecretStr("wrong-word-3")))
    broker.pause()
    with pytest.raises(ConnackTimeoutError, match="did not respond within"):
        await look(replace(OPTIONS, port=broker.port, timeout=0.1))
    with pytest.raises(UnreachableBrokerError, match="nothing is listening"):
        await look(replace(OPTIONS, port=free_port()))


async def look(options: ConnectionOptions) -> Protocol:
    return await probe(options, publish_topic="coc/bridge/check", subscribe_filter="coc/bridge/request/+")
