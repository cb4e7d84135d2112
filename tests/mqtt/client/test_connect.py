from __future__ import annotations

import asyncio
import re
import socket
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from coc2mqtt.mqtt.client.errors import (
    BrokerBusyError,
    BrokerTimeoutError,
    ClientIdRejectedError,
    ConnackTimeoutError,
    ConnectError,
    MissingFeatureError,
    NotAuthorizedError,
    NotMqttError,
    TlsError,
    UnknownHostError,
    UnreachableBrokerError,
    UnsupportedProtocolError,
    WrongCredentialsError,
)
from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol, RetainedMessage
from coc2mqtt.mqtt.client.session import open_session
from tests.support.broker import free_port
from tests.support.sessions import connected_session, read_packet
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.conftest import StartMosquitto

pytestmark = pytest.mark.usefixtures("no_stray_errors")

PROTOCOLS: list[Protocol] = ["5", "3.1.1"]
PASSWORD = "hush-hush-7"
READER = ConnectionOptions("127.0.0.1", 0, "reader", timeout=LONG_ENOUGH)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("username", "password", "sentence"),
    [
        ("bridge", "wrong-word-3", "did not authorize the user 'bridge': check mqtt.username and mqtt.password"),
        ("nobody", PASSWORD, "did not authorize the user 'nobody': check mqtt.username and mqtt.password"),
        (None, None, "did not authorize a client without a user name: check mqtt.username and mqtt.password"),
    ],
)
async def test_wrong_credentials_raise_an_error_without_the_password(
    mosquitto: StartMosquitto, protocol: Protocol, username: str | None, password: str | None, sentence: str
) -> None:
    broker = mosquitto(users={"bridge": PASSWORD})
    secret = None if password is None else SecretStr(password)
    options = replace(READER, port=broker.port, username=username, password=secret)
    with pytest.raises(NotAuthorizedError, match=re.escape(sentence)) as rejected:
        await open_session(options, protocol)
    for text in (str(rejected.value), repr(options)):
        assert "wrong-word-3" not in text
        assert PASSWORD not in text
    options = replace(options, username="bridge", password=SecretStr(PASSWORD))
    async with connected_session(options, protocol) as session:
        await session.publish("coc/x", b"")


# The reason code of MQTT 5, and the equivalent return code of 3.1.1.
REJECTIONS: list[tuple[int, int | None, type[ConnectError], str]] = [
    (0x80, None, ConnectError, r"rejected the connection \(unspecified error\): check its log"),
    (0x84, 1, UnsupportedProtocolError, "does not support MQTT 5: set mqtt.protocol to 3.1.1 or auto"),
    (0x85, 2, ClientIdRejectedError, "rejected the client ID 'reader': choose another instance name, or allow"),
    (0x86, 4, WrongCredentialsError, "rejected the user 'coc': check mqtt.username and mqtt.password"),
    (0x87, 5, NotAuthorizedError, "did not authorize the user 'coc': check mqtt.username and mqtt.password, and the"),
    (0x88, 3, BrokerBusyError, "is unavailable: check its log if this persists"),
    (0x89, None, BrokerBusyError, "is too busy: check its load if this persists"),
    (0x8A, None, NotAuthorizedError, "has banned the user 'coc' or the client ID 'reader': lift the ban on the broker"),
    (
        0x90,
        None,
        ConnectError,
        "rejected the topic of the will, 'coc/bridge/state': choose another mqtt.base_topic, or allow",
    ),
    (0x95, None, ConnectError, "rejected the CONNECT packet as too large: raise the broker's limit"),
    (0x97, None, BrokerBusyError, r"accepts no more clients \(quota exceeded\): raise its client limit, or stop"),
    (0x9A, None, MissingFeatureError, "does not support retained messages, which coc2mqtt needs: enable them"),
    (
        0x9B,
        None,
        MissingFeatureError,
        "does not support QoS 1, which coc2mqtt needs to lose no messages: enable",
    ),
    (
        0x9C,
        None,
        ConnectError,
        r"asks clients to use another server temporarily \('spare'\): set mqtt.host and mqtt.port",
    ),
    (0x9D, None, ConnectError, r"has moved \('spare'\): set mqtt.host and mqtt.port to the new server"),
    (0x9F, None, BrokerBusyError, "receives too many connections: check which clients keep reconnecting, or raise"),
]


def connack(code: int) -> bytes:
    server_reference = b"\x1c\x00\x05spare" if code in {0x9C, 0x9D} else b""
    body = bytes([0, code, len(server_reference)]) + server_reference
    return bytes([0x20, len(body)]) + body


@pytest.mark.parametrize(
    ("protocol", "response", "kind", "sentence"),
    [
        *(("5", connack(code), kind, sentence) for code, _, kind, sentence in REJECTIONS),
        *(
            ("3.1.1", bytes([0x20, 2, 0, code]), kind, sentence)
            for _, code, kind, sentence in REJECTIONS
            # paho treats the rejection of 3.1.1 by a 3.1.1 broker as a lost connection
            if code not in {None, 1}
        ),
        ("5", bytes([0x20, 2, 0, 1]), UnsupportedProtocolError, "does not support MQTT 5: set mqtt.protocol to 3.1.1"),
        ("5", b"", ConnackTimeoutError, "closed the connection without responding: check that mqtt.port"),
        ("3.1.1", b"", ConnackTimeoutError, "closed the connection without responding: check that mqtt.port"),
        (
            "5",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            NotMqttError,
            "does not speak MQTT: set mqtt.port to the broker's MQTT",
        ),
        ("5", b"HTTP/1.1 400 Bad Request\r\n\r\n", NotMqttError, "responds in HTTP: set mqtt.transport to websockets"),
        ("5", b"\x15\x03\x01\x00\x02\x02\x46", TlsError, "requires TLS: set mqtt.tls.enabled to true, or mqtt.port"),
    ],
)
async def test_rejected_connect_raises_an_error_with_a_remedy(
    serve: Callable[[Any], Awaitable[int]],
    protocol: Protocol,
    response: bytes,
    kind: type[ConnectError],
    sentence: str,
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(response)
        if response:  # else it closes the connection
            await reader.read()

    will = RetainedMessage("coc/bridge/state", b"")
    options = replace(READER, port=await serve(broker), username="coc", will=will)
    async with asyncio.timeout(LONG_ENOUGH / 2):  # less than the timeout of the options
        with pytest.raises(kind, match=sentence) as rejected:
            await open_session(options, protocol)
    assert type(rejected.value) is kind


async def test_broker_that_sends_no_connack_raises_connack_timeout(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    broker.pause()
    with pytest.raises(ConnackTimeoutError, match=r"accepted the connection but did not respond within 0\.2 s"):
        await open_session(replace(READER, port=broker.port, timeout=0.2), "5")


async def test_port_without_listener_raises_unreachable_broker() -> None:
    port = free_port()
    with pytest.raises(UnreachableBrokerError, match=f"nothing is listening at 127.0.0.1:{port}"):
        await open_session(replace(READER, port=port), "5")


@pytest.mark.parametrize("host", ["broker.invalid", "broker..local"])
async def test_unknown_host_raises_unknown_host(host: str) -> None:
    with pytest.raises(UnknownHostError, match=f"cannot resolve the host name '{host}': check mqtt.host"):
        await open_session(replace(READER, host=host, port=1883), "5")


async def test_host_that_ignores_the_connect_raises_broker_timeout() -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        with pytest.raises(
            BrokerTimeoutError, match=r"did not respond within 0\.2 s: check that the broker is running"
        ):
            await open_session(replace(READER, port=full.getsockname()[1], timeout=0.2), "5")
