from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.mqtt.client.errors import ConnackTimeoutError, TlsError, UnreachableBrokerError
from coc2mqtt.mqtt.client.options import ConnectionOptions, Protocol, TlsOptions
from coc2mqtt.mqtt.client.session import open_session
from tests.support.broker import free_port
from tests.support.sessions import CONNACK, collect, connected_session, read_packet
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.conftest import StartMosquitto
    from tests.mqtt.conftest import Handler

pytestmark = [
    pytest.mark.usefixtures("no_stray_errors"),
    # paho does not close the socket of a failed TLS handshake; the garbage collector does.
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
]

PROTOCOLS: list[Protocol] = ["5", "3.1.1"]
OPTIONS = ConnectionOptions("localhost", 0, "reader", timeout=LONG_ENOUGH)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_trusted_certificate_is_accepted(
    mosquitto: StartMosquitto, certificates: Path, protocol: Protocol
) -> None:
    broker = mosquitto(*tls_lines(certificates))
    options = replace(OPTIONS, port=broker.port, tls=TlsOptions(ca_file=certificates / "ca.crt"))
    async with connected_session(options, protocol) as session:
        await session.publish("coc/x", b"")


async def test_any_certificate_is_accepted_without_verification(mosquitto: StartMosquitto, certificates: Path) -> None:
    broker = mosquitto(*tls_lines(certificates, "expired"))
    tls = TlsOptions(verify=False)
    async with connected_session(replace(OPTIONS, host="127.0.0.1", port=broker.port, tls=tls)) as session:
        await session.publish("coc/x", b"")


async def test_server_name_verifies_a_broker_reached_by_its_address(
    mosquitto: StartMosquitto, certificates: Path
) -> None:
    port = mosquitto(*tls_lines(certificates)).port
    tls = TlsOptions(ca_file=certificates / "ca.crt", server_name="localhost")
    async with connected_session(replace(OPTIONS, host="127.0.0.1", port=port, tls=tls)) as session:
        await session.publish("coc/x", b"")


@asynccontextmanager
async def serving(folder: Path, handler: Handler, sni: Callable[[Any, str | None, Any], None]) -> AsyncIterator[int]:
    """Run a fake broker with the broker's certificate, and yield its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "broker.crt", folder / "broker.key")
    context.sni_callback = sni
    async with await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("server_name", ["localhost", None])
async def test_server_name_is_sent_as_sni(certificates: Path, server_name: str | None) -> None:
    names: list[str | None] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK["5"])
        await reader.read()
        writer.close()

    tls = TlsOptions(verify=False, server_name=server_name)
    async with (
        serving(certificates, broker, sni=lambda _socket, name, _context: names.append(name)) as port,
        connected_session(replace(OPTIONS, host="127.0.0.1", port=port, tls=tls)),
    ):
        assert names == [server_name]


async def test_flood_over_tls_does_not_starve_the_reader(certificates: Path) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(CONNACK["5"])
        writer.write(b"".join(b"\x30\x06\x00\x01a\x00" + number.to_bytes(2) for number in range(3000)))
        await reader.read()
        writer.close()

    options = replace(OPTIONS, host="127.0.0.1", tls=TlsOptions(verify=False))
    async with (
        serving(certificates, broker, sni=lambda *_: None) as port,
        connected_session(replace(options, port=port)) as session,
    ):
        payloads = [message.payload for message in await collect(session, 3000)]
    assert payloads == [number.to_bytes(2) for number in range(3000)]


@pytest.mark.parametrize(
    ("certificate", "tls", "sentence"),
    [
        (
            "foreign_broker",
            {},
            r"\(unable to get local issuer certificate\): set mqtt.tls.ca_file to the authority that signed it",
        ),
        ("broker", {"ca_file": "foreign.crt"}, r"\(.*\): set mqtt.tls.ca_file to the authority that signed it"),
        (
            "expired",
            {"server_name": "localhost"},
            r"\(certificate has expired\): renew it on the broker, or set the clock of this machine",
        ),
        (
            "broker",
            {},
            r"\(IP address mismatch, .*\): set mqtt.host or mqtt.tls.server_name to a name in the certificate",
        ),
        ("broker", {"server_name": "x"}, r"\(Hostname mismatch, .*'x'\): set mqtt.host or mqtt.tls.server_name"),
    ],
)
async def test_untrusted_certificate_raises_an_error_with_the_reason(
    mosquitto: StartMosquitto, certificates: Path, certificate: str, tls: dict[str, str], sentence: str
) -> None:
    port = mosquitto(*tls_lines(certificates, certificate)).port
    tls_options = TlsOptions(ca_file=certificates / tls.get("ca_file", "ca.crt"), server_name=tls.get("server_name"))
    with pytest.raises(TlsError, match=f"the certificate of the broker at 127.0.0.1:{port} is not trusted {sentence}"):
        await open_session(replace(OPTIONS, host="127.0.0.1", port=port, tls=tls_options), "5")


async def test_client_certificate_is_accepted(mosquitto: StartMosquitto, certificates: Path) -> None:
    port = mosquitto(*tls_lines(certificates), "require_certificate true").port
    async with connected_session(replace(OPTIONS, port=port, tls=with_certificate(certificates, "broker"))) as session:
        await session.publish("coc/x", b"")


NO_CERTIFICATE = "requires a client certificate: set mqtt.tls.cert_file and mqtt.tls.key_file"
REJECTED = r"rejected the certificate in mqtt.tls.cert_file \(unknown ca\): renew it, or have it signed by"


@pytest.mark.parametrize(("certificate", "sentence"), [(None, NO_CERTIFICATE), ("foreign_broker", REJECTED)])
async def test_missing_or_rejected_client_certificate_raises_an_error(
    mosquitto: StartMosquitto, certificates: Path, certificate: str | None, sentence: str
) -> None:
    port = mosquitto(*tls_lines(certificates), "require_certificate true").port
    with pytest.raises(TlsError, match=sentence):
        await open_session(replace(OPTIONS, port=port, tls=with_certificate(certificates, certificate)), "5")


@pytest.mark.parametrize(
    ("certificate", "sentence"),
    [
        (None, r"failed \(handshake failure\): .* mqtt.tls.cert_file if the broker requires"),
        ("foreign_broker", REJECTED),
    ],
)
async def test_missing_or_rejected_client_certificate_raises_with_tls_1_2(
    certificates: Path, certificate: str | None, sentence: str
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates / "ca.crt")
    context.load_cert_chain(certificates / "broker.crt", certificates / "broker.key")
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def reject(listener: socket.socket) -> None:  # without asyncio, which closes without the alert
        accepted, _ = listener.accept()
        with pytest.raises(ssl.SSLError), accepted:
            context.wrap_socket(accepted, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        rejecting = asyncio.create_task(asyncio.to_thread(reject, listener))
        options = replace(OPTIONS, port=listener.getsockname()[1], tls=with_certificate(certificates, certificate))
        with pytest.raises(TlsError, match=sentence):
            await open_session(options, "5")
        await rejecting


@pytest.mark.parametrize(
    ("ca_file", "cert_file", "sentence"),
    [
        ("absent.crt", None, r"cannot read a file of mqtt.tls \(No such file or directory\): check its path"),
        ("ca.key", None, r"cannot use the files of mqtt.tls \(.*\): they must be in PEM format"),
        (
            "ca.crt",
            "ca.crt",
            r"cannot use the files of mqtt.tls \(.*\): they must be in PEM format, .* belong to the certificate",
        ),
    ],
)
async def test_unreadable_or_invalid_tls_file_raises_an_error(
    certificates: Path, ca_file: str, cert_file: str | None, sentence: str
) -> None:
    key = (certificates / cert_file, certificates / "broker.key") if cert_file else (None, None)
    with pytest.raises(TlsError, match=sentence):
        await open_session(replace(OPTIONS, port=free_port(), tls=TlsOptions(certificates / ca_file, *key)), "5")


async def test_encrypted_key_raises_instead_of_prompting_for_a_password(certificates: Path, tmp_path: Path) -> None:
    key = tmp_path / "encrypted.key"
    await run(
        "openssl", "ec", "-aes128", "-passout", "pass:x", "-in", str(certificates / "broker.key"), "-out", str(key)
    )
    tls = TlsOptions(cert_file=certificates / "broker.crt", key_file=key)
    with pytest.raises(TlsError, match="the key must have no password"):
        await open_session(replace(OPTIONS, port=free_port(), tls=tls), "5")


async def test_tls_on_a_port_without_tls_raises_an_error(
    mosquitto: StartMosquitto, serve: Callable[[Any], Awaitable[int]]
) -> None:
    async def not_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"no TLS here\r\n")

    sentence = r"failed \(wrong version number\): check that mqtt.port is the broker's TLS port"
    with pytest.raises(TlsError, match=sentence):
        await open_session(replace(OPTIONS, host="127.0.0.1", port=await serve(not_tls), tls=TlsOptions()), "5")
    # Mosquitto 2.0 resets the connection, 2.1 closes it.
    reset = r"cannot reach the broker at .* \(.*\): .* mqtt.port is the broker's port for TLS"
    closed = r"failed \(unexpected eof .*\): check that mqtt.port is the broker's TLS port"
    with pytest.raises((UnreachableBrokerError, TlsError), match=f"{reset}|{closed}"):
        await open_session(replace(OPTIONS, port=mosquitto().port, tls=TlsOptions()), "5")


async def test_no_tls_on_a_tls_port_raises_an_error(mosquitto: StartMosquitto, certificates: Path) -> None:
    with pytest.raises(ConnackTimeoutError, match=r"closed the connection .* mqtt\.tls if that port requires TLS"):
        await open_session(replace(OPTIONS, port=mosquitto(*tls_lines(certificates)).port), "5")


def tls_lines(folder: Path, certificate: str = "broker") -> tuple[str, ...]:
    return (
        f"cafile {folder / 'ca.crt'}",
        f"certfile {folder / certificate}.crt",
        f"keyfile {folder / 'broker.key'}",
    )


def with_certificate(folder: Path, name: str | None) -> TlsOptions:
    if name is None:
        return TlsOptions(folder / "ca.crt")
    return TlsOptions(folder / "ca.crt", folder / f"{name}.crt", folder / "broker.key")


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0
