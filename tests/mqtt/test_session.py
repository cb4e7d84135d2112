from __future__ import annotations

import asyncio
import re
import socket
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from coc2mqtt.mqtt.errors import (
    BrokerTimeoutError,
    ClientIdRejectedError,
    ConnectError,
    ConnectionLostError,
    MessageTooLargeError,
    NotAuthorizedError,
    PublishDeniedError,
    SessionTakenOverError,
    SilentBrokerError,
    SubscribeDeniedError,
    TlsError,
    UnknownHostError,
    UnreachableBrokerError,
    UnsupportedProtocolError,
    WrongCredentialsError,
)
from coc2mqtt.mqtt.options import ConnectionOptions, Protocol, TlsOptions
from coc2mqtt.mqtt.session import Message, open_session
from tests.brokers import free_port, witness
from tests.mqtt.sessions import connected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from pathlib import Path

    from tests.conftest import StartMosquitto

pytestmark = pytest.mark.usefixtures("no_stray_errors")

PROTOCOLS: list[Protocol] = ["5", "3.1.1"]
PASSWORD = "hush-hush-7"  # noqa: S105 - of a broker that lives for one test
# paho leaves it to the garbage collector to close the socket of a TLS handshake that failed.
PAHO_LEAVES_SOCKETS = "ignore:unclosed <ssl.SSLSocket:ResourceWarning"
READER = ConnectionOptions("127.0.0.1", 0, "reader", timeout=2)
WRITER = replace(READER, client_id="writer")


async def collect(session: Any, count: int) -> list[Message]:
    async with asyncio.timeout(5):
        messages: list[Message] = []
        async for message in session.messages():
            messages.append(message)
            if len(messages) == count:
                break
        return messages


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_retained_message_is_there_for_others_once_publish_has_returned(
    mosquitto: StartMosquitto, protocol: Protocol
) -> None:
    broker = mosquitto()
    async with connected(replace(WRITER, port=broker.port), protocol) as session:
        assert session.protocol == protocol
        await session.publish("coc/kept", b'{"state":"ok"}', retain=True)
        await session.publish("coc/fleeting", b"gone", retain=False)
        assert await witness(broker.port, "coc/#", "--retained-only") == b'{"state":"ok"}'


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_messages_come_in_as_they_were_sent(mosquitto: StartMosquitto, protocol: Protocol) -> None:
    port = mosquitto().port
    async with connected(replace(READER, port=port), protocol) as reader:
        async with connected(replace(WRITER, port=port), protocol) as writer:
            await writer.publish("coc/old", b"1", retain=True)
            await reader.subscribe("coc/+")
            await writer.publish("coc/new", b"\x00\xff", qos=0)
            await writer.publish("coc/new", b"")
        assert await collect(reader, 3) == [
            Message("coc/old", b"1", retain=True),
            Message("coc/new", b"\x00\xff"),
            Message("coc/new", b""),
        ]


async def test_response_topic_and_correlation_data_of_mqtt_5_come_in(mosquitto: StartMosquitto) -> None:
    port = mosquitto().port
    async with connected(replace(READER, port=port)) as reader:
        await reader.subscribe("coc/request")
        properties = ("response-topic", "app/answers/1"), ("correlation-data", "ticket-7")
        asking = [argument for pair in properties for argument in ("-D", "publish", *pair)]
        await run("mosquitto_pub", "-V", "5", "-p", str(port), "-t", "coc/request", "-m", "#2PP", *asking)
        assert await collect(reader, 1) == [
            Message("coc/request", b"#2PP", response_topic="app/answers/1", correlation_data=b"ticket-7")
        ]


@pytest.mark.parametrize(("protocol", "data"), [("5", b"ticket-7"), ("3.1.1", None)])
async def test_correlation_data_goes_out_where_the_protocol_has_it(
    mosquitto: StartMosquitto, protocol: Protocol, data: bytes | None
) -> None:
    port = mosquitto().port
    async with connected(replace(READER, port=port)) as reader:
        await reader.subscribe("app/answers")
        async with connected(replace(WRITER, port=port), protocol) as writer:
            await writer.publish("app/answers", b"{}", correlation_data=b"ticket-7")
        assert await collect(reader, 1) == [Message("app/answers", b"{}", correlation_data=data)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_hundreds_of_publishes_at_once_are_all_acknowledged_and_keep_their_order(
    mosquitto: StartMosquitto, protocol: Protocol
) -> None:
    port = mosquitto("max_inflight_messages 7").port
    async with connected(replace(READER, port=port), protocol) as reader:
        await reader.subscribe("coc/#")
        async with connected(replace(WRITER, port=port), protocol) as writer, asyncio.TaskGroup() as group:
            for number in range(500):
                group.create_task(writer.publish("coc/events", str(number).encode()))
        assert [int(message.payload) for message in await collect(reader, 500)] == list(range(500))


async def test_no_more_messages_are_in_flight_than_the_broker_receives(
    serve: Callable[[Any], Awaitable[int]],
) -> None:
    in_flight: list[int] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x06\x00\x00\x03\x21\x00\x02")  # CONNACK, Receive Maximum 2
        for _ in range(3):
            ids = [(await packet(reader))[1][5:7] for _ in range(2)]
            with pytest.raises(TimeoutError):  # a third one would be here at once
                await asyncio.wait_for(packet(reader), 0.05)
            in_flight.append(len(ids))
            for identifier in ids:
                writer.write(b"\x40\x02" + identifier)
        await reader.read()

    async with connected(replace(WRITER, port=await serve(broker))) as session, asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(session.publish("a/b", b""))
    assert in_flight == [2, 2, 2]


async def test_a_publish_that_nobody_waits_for_any_more_holds_its_place_until_the_broker_answers(
    serve: Callable[[Any], Awaitable[int]],
) -> None:
    asked = asyncio.Event()
    go_on = asyncio.Event()
    order: list[str] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x06\x00\x00\x03\x21\x00\x01")  # CONNACK, Receive Maximum 1
        identifier = (await packet(reader))[1][5:7]
        asked.set()
        await go_on.wait()
        order.append("first acknowledged")
        writer.write(b"\x40\x02" + identifier)
        identifier = (await packet(reader))[1][5:7]
        order.append("second sent")
        writer.write(b"\x40\x02" + identifier)
        await reader.read()

    async with connected(replace(WRITER, port=await serve(broker))) as session:
        first = asyncio.create_task(session.publish("a/b", b""))
        await asked.wait()
        first.cancel()
        second = asyncio.create_task(session.publish("a/b", b""))
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        await second
    assert order == ["first acknowledged", "second sent"]


async def test_a_denied_publish_says_so_on_mqtt_5_and_others_go_on(mosquitto: StartMosquitto) -> None:
    broker = mosquitto(acl="topic readwrite coc/#\n")
    async with connected(replace(WRITER, port=broker.port)) as session:
        with pytest.raises(PublishDeniedError) as denied:
            await session.publish("homeassistant/device/x/config", b"{}")
        await session.publish("coc/kept", b"1", retain=True)
    assert "homeassistant/device/x/config (not authorized)" in str(denied.value)
    assert await witness(broker.port, "coc/kept") == b"1"


@pytest.mark.parametrize("topic", ["", "a/#", "+", "a\0b", "x" * 65536], ids=["empty", "#", "+", "null", "long"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_topic_that_would_end_the_connection_is_refused_and_others_go_on(
    mosquitto: StartMosquitto, protocol: Protocol, topic: str
) -> None:
    port = mosquitto().port
    async with connected(replace(WRITER, port=port), protocol) as session:
        with pytest.raises(PublishDeniedError, match="is no topic to publish on"):
            await session.publish(topic, b"")
        await session.publish("coc/fine", b"")


async def test_a_message_that_is_too_large_for_the_broker_is_refused_and_others_go_on(
    mosquitto: StartMosquitto,
) -> None:
    broker = mosquitto("max_packet_size 2000")
    async with connected(replace(WRITER, port=broker.port)) as session:
        assert session.largest_packet == 2000
        with pytest.raises(MessageTooLargeError, match="larger than the 2000 that the broker takes"):
            await session.publish("coc/kept", b"x" * 2000)
        fits = b"x" * (2000 - 16 - len("coc/kept"))
        await session.publish("coc/kept", fits, retain=True)
    assert await witness(broker.port, "coc/kept") == fits


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_subscription_that_is_not_granted_says_so(
    serve: Callable[[Any], Awaitable[int]], protocol: Protocol
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00" if protocol == "5" else b"\x20\x02\x00\x00")
        _, body = await packet(reader)
        code = b"\x00\x87" if protocol == "5" else b"\x80"
        writer.write(b"\x90" + bytes([2 + len(code)]) + body[:2] + code)
        await reader.read()

    async with connected(replace(READER, port=await serve(broker)), protocol) as session:
        with pytest.raises(SubscribeDeniedError, match="does not grant a subscription to coc/#"):
            await session.subscribe("coc/#")


async def test_a_reader_that_falls_behind_loses_the_newest_and_one_line_says_so(
    mosquitto: StartMosquitto, log_lines: list[MutableMapping[str, Any]]
) -> None:
    port = mosquitto("max_queued_messages 5000").port
    async with connected(replace(READER, port=port)) as reader:
        await reader.subscribe("coc/#")
        async with connected(replace(WRITER, port=port)) as writer:
            for number in range(1200):
                await writer.publish("coc/flood", str(number).encode())
            # Goes the same way after the flood, so the flood is through once its answer is here.
            await reader.publish("app/end", b"")
        assert [int(message.payload) for message in await collect(reader, 1000)] == list(range(1000))
        await reader.publish("coc/after", b"")
        assert (await collect(reader, 1))[0].topic == "coc/after"
    assert [line["event"] for line in log_lines] == ["messages come in faster than they are handled, so some are lost"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_everything_that_waits_ends_at_once_when_the_broker_dies(
    mosquitto: StartMosquitto, protocol: Protocol
) -> None:
    broker = mosquitto()
    async with connected(replace(WRITER, port=broker.port), protocol) as session:
        broker.pause()
        waiting = [asyncio.create_task(session.publish("coc/x", b"")) for _ in range(300)]
        await asyncio.sleep(0)
        broker.kill()
        async with asyncio.timeout(1):
            ends = await asyncio.gather(*waiting, session.receive(), return_exceptions=True)
        assert {type(end) for end in ends} == {ConnectionLostError}
        for late in (session.publish("coc/x", b""), session.subscribe("coc/x"), session.receive()):
            with pytest.raises(ConnectionLostError, match="the connection to the broker at"):
                await late


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_take_over_that_the_broker_is_silent_about_points_at_the_client_id(
    mosquitto: StartMosquitto, protocol: Protocol
) -> None:
    options = replace(READER, port=mosquitto().port, client_id="coc2mqtt_home")
    async with connected(options, protocol) as session, connected(options, protocol):
        with pytest.raises(ConnectionLostError, match="that no other client uses the client id 'coc2mqtt_home'"):
            await session.receive()


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        (0x8E, SessionTakenOverError, "with the client id 'reader': stop it, or give each bridge an instance name"),
        (0x8B, ConnectionLostError, "is shutting down$"),
        (0x8D, ConnectionLostError, "did not answer for 30 s"),
        (0x95, ConnectionLostError, "a message that is too large for it: raise the broker's limit"),
        (0x98, ConnectionLostError, "broke off: check the broker and the network"),
        (0x9A, ConnectionLostError, "does not keep retained messages, which coc2mqtt needs"),
    ],
)
async def test_what_the_broker_says_at_a_disconnect_is_said(
    serve: Callable[[Any], Awaitable[int]], code: int, kind: type[ConnectionLostError], sentence: str
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00")
        await packet(reader)
        writer.write(bytes([0xE0, 2, code, 0]))

    async with connected(replace(READER, port=await serve(broker))) as session:
        with pytest.raises(kind, match=sentence) as lost:
            await session.publish("a/b", b"")
        with pytest.raises(kind, match=sentence):
            await session.receive()
    assert type(lost.value) is kind


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("username", "password", "sentence"),
    [
        ("bridge", "wrong-word-3", "does not let the user 'bridge' in: check mqtt.username and mqtt.password"),
        ("nobody", PASSWORD, "does not let the user 'nobody' in: check mqtt.username and mqtt.password"),
        (None, None, "does not let a client without a user name in: check mqtt.username and mqtt.password"),
    ],
)
async def test_wrong_credentials_are_said_without_the_password(
    mosquitto: StartMosquitto, protocol: Protocol, username: str | None, password: str | None, sentence: str
) -> None:
    broker = mosquitto(users={"bridge": PASSWORD})
    secret = None if password is None else SecretStr(password)
    options = replace(READER, port=broker.port, username=username, password=secret)
    with pytest.raises(NotAuthorizedError, match=re.escape(sentence)) as refused:
        await open_session(options, protocol)
    for text in (str(refused.value), repr(options)):
        assert "wrong-word-3" not in text
        assert PASSWORD not in text
    options = replace(options, username="bridge", password=SecretStr(PASSWORD))
    async with connected(options, protocol) as session:
        await session.publish("coc/x", b"")


REFUSALS: list[tuple[int, int | None, type[ConnectError], str]] = [
    (0x84, 1, UnsupportedProtocolError, "set mqtt.protocol to .* or to auto"),
    (0x85, 2, ClientIdRejectedError, "does not accept the client id 'reader': choose another instance name"),
    (0x86, 4, WrongCredentialsError, "does not accept a client without a user name: check mqtt.username"),
    (0x87, 5, NotAuthorizedError, "does not let a client without a user name in"),
    (0x88, 3, ConnectError, r"refuses the connection \(server unavailable\): see the broker's log"),
    (0x9A, None, ConnectError, "does not keep retained messages, which coc2mqtt needs"),
]


@pytest.mark.parametrize(
    ("protocol", "answer", "kind", "sentence"),
    [
        *(("5", bytes([0x20, 3, 0, code, 0]), kind, sentence) for code, _, kind, sentence in REFUSALS),
        *(
            ("3.1.1", bytes([0x20, 2, 0, code]), kind, sentence)
            for _, code, kind, sentence in REFUSALS
            # paho takes a 3.1.1 broker's refusal of 3.1.1 for a broken connection
            if code not in {None, 1}
        ),
        ("5", bytes([0x20, 2, 0, 1]), UnsupportedProtocolError, "does not speak MQTT 5: set mqtt.protocol to 3.1.1"),
        ("5", b"", SilentBrokerError, "closed the connection without an answer: check that mqtt.port"),
        ("3.1.1", b"", SilentBrokerError, "closed the connection without an answer: check that mqtt.port"),
        ("5", b"HTTP/1.1 400 Bad Request\r\n\r\n", SilentBrokerError, "closed the connection without an answer"),
    ],
)
async def test_each_refusal_says_what_to_do(
    serve: Callable[[Any], Awaitable[int]],
    protocol: Protocol,
    answer: bytes,
    kind: type[ConnectError],
    sentence: str,
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(answer)

    async with asyncio.timeout(1):  # less than the options' time-out
        with pytest.raises(kind, match=sentence) as refused:
            await open_session(replace(READER, port=await serve(broker)), protocol)
    assert type(refused.value) is kind


async def test_a_broker_that_accepts_and_stays_silent_is_said(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    broker.pause()
    with pytest.raises(SilentBrokerError, match=r"accepts the connection but does not answer within 0\.2 s"):
        await open_session(replace(READER, port=broker.port, timeout=0.2), "5")


async def test_a_port_where_nothing_listens_is_said() -> None:
    port = free_port()
    with pytest.raises(UnreachableBrokerError, match=f"nothing accepts connections on the broker at 127.0.0.1:{port}"):
        await open_session(replace(READER, port=port), "5")


@pytest.mark.parametrize("host", ["broker.invalid", "broker..local"])
async def test_an_unknown_host_is_said(host: str) -> None:
    with pytest.raises(UnknownHostError, match=f"the host name '{host}' cannot be resolved: check mqtt.host"):
        await open_session(replace(READER, host=host, port=1883), "5")


async def test_a_host_that_swallows_the_connect_is_said() -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        with pytest.raises(
            BrokerTimeoutError, match=r"does not answer within 0\.2 s: check that the broker is running"
        ):
            await open_session(replace(READER, port=full.getsockname()[1], timeout=0.2), "5")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_tls_with_a_trusted_certificate_connects(
    mosquitto: StartMosquitto, certificates: Path, protocol: Protocol
) -> None:
    broker = mosquitto(*tls_lines(certificates))
    options = replace(READER, host="localhost", port=broker.port, tls=TlsOptions(ca_file=certificates / "ca.crt"))
    async with connected(options, protocol) as session:
        await session.publish("coc/x", b"")


async def test_tls_without_verification_accepts_any_certificate(mosquitto: StartMosquitto, certificates: Path) -> None:
    broker = mosquitto(*tls_lines(certificates))
    async with connected(replace(READER, port=broker.port, tls=TlsOptions(verify=False))) as session:
        await session.publish("coc/x", b"")


async def test_tls_with_a_certificate_of_our_own(mosquitto: StartMosquitto, certificates: Path) -> None:
    broker = mosquitto(*tls_lines(certificates), "require_certificate true")
    tls = TlsOptions(
        ca_file=certificates / "ca.crt", cert_file=certificates / "broker.crt", key_file=certificates / "broker.key"
    )
    options = replace(READER, host="localhost", port=broker.port, tls=tls)
    async with connected(options) as session:
        await session.publish("coc/x", b"")
    with pytest.raises(SilentBrokerError, match=r"check mqtt\.tls\.cert_file if the broker asks for a certificate"):
        await open_session(replace(options, tls=replace(tls, cert_file=None, key_file=None)), "5")


@pytest.mark.filterwarnings(PAHO_LEAVES_SOCKETS)
@pytest.mark.parametrize(
    ("host", "ca_file", "sentence"),
    [
        (
            "localhost",
            "foreign.crt",
            r"is not accepted \(self-signed certificate in certificate chain\): set mqtt.tls.ca_file",
        ),
        ("127.0.0.1", "ca.crt", r"is not accepted \(.*IP address mismatch.*\): .* a name that the certificate holds"),
        ("localhost", "absent.crt", r"cannot be read \(No such file or directory\): check its path"),
        ("localhost", "ca.key", r"cannot be used \(.*\): they must be in PEM format"),
    ],
)
async def test_each_tls_failure_says_what_to_do(
    mosquitto: StartMosquitto, certificates: Path, host: str, ca_file: str, sentence: str
) -> None:
    broker = mosquitto(*tls_lines(certificates))
    options = replace(READER, host=host, port=broker.port, tls=TlsOptions(ca_file=certificates / ca_file))
    with pytest.raises(TlsError, match=sentence):
        await open_session(options, "5")


async def test_a_key_with_a_password_does_not_ask_on_the_terminal(certificates: Path, tmp_path: Path) -> None:
    key = tmp_path / "locked.key"
    await run(
        "openssl", "ec", "-aes128", "-passout", "pass:x", "-in", str(certificates / "broker.key"), "-out", str(key)
    )
    tls = TlsOptions(cert_file=certificates / "broker.crt", key_file=key)
    with pytest.raises(TlsError, match="the key without a password"):
        await open_session(replace(READER, port=free_port(), tls=tls), "5")


@pytest.mark.filterwarnings(PAHO_LEAVES_SOCKETS)
async def test_tls_on_a_port_without_it_is_said(serve: Callable[[Any], Awaitable[int]]) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"no TLS here\r\n")

    with pytest.raises(
        TlsError, match=r"failed \(wrong version number\): check that mqtt.port is the broker's TLS port"
    ):
        await open_session(replace(READER, port=await serve(broker), tls=TlsOptions()), "5")


def tls_lines(folder: Path) -> tuple[str, ...]:
    return tuple(
        f"{key} {folder / name}"
        for key, name in (("cafile", "ca.crt"), ("certfile", "broker.crt"), ("keyfile", "broker.key"))
    )


async def packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one MQTT packet of less than 128 bytes."""
    kind, length = await reader.readexactly(2)
    return kind, await reader.readexactly(length)


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0
