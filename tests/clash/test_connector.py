"""Connections: proxies, TLS with a private certificate authority, and name resolution by the operating system."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import subprocess
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from pydantic import SecretStr
from structlog.testing import capture_logs
from yarl import URL

from coc2mqtt.clash import CertificateError, ClashClient, ClashError, UnreachableError
from coc2mqtt.clash.connector import ProxyError, SystemResolver, proxy_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]

HOST = "api.example.test"
USER, PASSWORD = "me", "p@ss:word-of-the-proxy"
LOGIN = "me:p%40ss%3Aword-of-the-proxy"
REPLY = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"ok": true} '
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a private authority (ca.crt) and its certificates for the API's host: good, expired, early and other."""
    folder = tmp_path_factory.mktemp("pki")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    use = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", "-x509", *key, *use, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca")
    (folder / "index").touch()
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=x\n[x]\ndatabase=index\nrand_serial=yes\ncertificate=ca.crt\nprivate_key=ca.key\n"
        "new_certs_dir=.\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n"
    )
    dates = {
        "good": ("20200101000000Z", "20990101000000Z"),
        "expired": ("20200101000000Z", "20200201000000Z"),
        "early": ("20980101000000Z", "20990101000000Z"),
        "other": ("20200101000000Z", "20990101000000Z"),
    }
    for name, (start, end) in dates.items():
        host = "portal.example.test" if name == "other" else HOST
        (folder / "ext").write_text(f"subjectAltName=DNS:{host}\nauthorityKeyIdentifier=keyid\n")
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={host}")
        sign = ("ca", "-batch", "-notext", "-config", "ca.cnf", "-extfile", "ext", "-startdate", start, "-enddate", end)
        openssl(*sign, "-in", f"{name}.csr", "-out", f"{name}.crt")
    return folder


class Servers:
    """An API behind TLS, and a proxy that connects its clients to it; ``requests`` are the received heads."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.requests: list[str] = []

    async def _start(
        self,
        handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        tls: ssl.SSLContext | None = None,
    ) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handle(reader, writer)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await self._stack.enter_async_context(await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls))
        return int(server.sockets[0].getsockname()[1])

    async def api(self, pki: Path, certificate: str = "good") -> int:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pki / f"{certificate}.crt", pki / f"{certificate}.key")

        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(REPLY)
            await writer.drain()

        return await self._start(respond, tls)

    async def proxy(self, target: int | None = None, *, login: str | None = None, status: int = 200) -> int:
        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            expected = (
                "" if login is None else f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}"
            )
            if expected not in head or status != 200:
                code = status if status != 200 else 407
                writer.write(f"HTTP/1.1 {code} No {head!r}\r\nContent-Length: 0\r\n\r\n".encode())
            elif target is None:
                writer.write(REPLY)
            else:
                target_reader, target_writer = await asyncio.open_connection("127.0.0.1", target)
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                async with asyncio.TaskGroup() as group:
                    group.create_task(relay(reader, target_writer))
                    group.create_task(relay(target_reader, writer))
            await writer.drain()

        return await self._start(connect)


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    async with AsyncExitStack() as stack:
        yield Servers(stack)


async def fetch(base_url: str = f"https://{HOST}/v1") -> object:
    """Make one request; return the data or the error, and check that no text contains a secret."""
    with capture_logs() as lines:
        async with ClashClient([SecretStr("token-of-a-test")], base_url=base_url, attempts=1, timeout=5) as api:
            try:
                result: object = (await api.clan("#2PP")).data
            except ClashError as error:
                result = error
            shown = repr((lines, result, str(result), vars(api), api))
    for secret in (PASSWORD, LOGIN, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(), "token-of-a-test"):
        assert secret not in shown
    return result


async def test_https_proxy_is_used_with_its_login_and_a_private_authority(
    servers: Servers, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await servers.proxy(await servers.api(pki), login=f"{USER}:{PASSWORD}")
    monkeypatch.setenv("HTTPS_PROXY", f"http://{LOGIN}@127.0.0.1:{proxy}")
    monkeypatch.setenv("SSL_CERT_FILE", str(pki / "ca.crt"))
    assert await fetch() == {"ok": True}
    assert servers.requests[0].startswith(f"CONNECT {HOST}:443 HTTP/1.1")
    assert "token-of-a-test" not in servers.requests[0], "the proxy does not receive the token"


@pytest.mark.parametrize(
    ("certificate", "authority", "reason", "remedy"),
    [
        ("good", False, "unable to get local issuer certificate", "SSL_CERT_FILE"),
        ("expired", True, "certificate has expired", "set the clock of this machine, or renew"),
        ("early", True, "certificate is not yet valid", "set the clock of this machine"),
        ("other", True, "Hostname mismatch", "another server responds under this name"),
    ],
)
async def test_rejected_certificate_is_reported_with_a_remedy(
    servers: Servers,
    pki: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    certificate: str,
    authority: bool,
    reason: str,
    remedy: str,
) -> None:
    proxy = await servers.proxy(await servers.api(pki, certificate))
    monkeypatch.setenv("https_proxy", f"http://{LOGIN}@127.0.0.1:{proxy}")
    if authority:
        monkeypatch.setenv("SSL_CERT_FILE", str(pki / "ca.crt"))
    error = await fetch()
    assert isinstance(error, CertificateError)
    assert (error.kind, error.retryable) == ("unreachable", False)
    assert f"the certificate of {HOST} is not accepted ({reason}" in str(error)
    assert f"through the proxy 127.0.0.1:{proxy}" in str(error)
    assert remedy in str(error)


@pytest.mark.parametrize(
    ("status", "message"),
    [(407, "rejected the user or the password"), (403, "refused to connect to the API (status 403)")],
)
async def test_proxy_rejection_is_reported_without_its_password(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    proxy = await servers.proxy(status=status)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{LOGIN}@127.0.0.1:{proxy}")
    error = await fetch()
    assert type(error) is UnreachableError
    assert f"the proxy 127.0.0.1:{proxy} {message}" in str(error)


async def test_unreachable_proxy_is_reported_without_its_password(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{LOGIN}@127.0.0.1:{unused_tcp_port}")
    error = await fetch()
    assert type(error) is UnreachableError
    assert f"the proxy 127.0.0.1:{unused_tcp_port} cannot be reached" in str(error)
    assert "check HTTPS_PROXY" in str(error)


async def test_plain_http_goes_through_its_proxy_with_the_login(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await servers.proxy(login=f"{USER}:{PASSWORD}")
    monkeypatch.setenv("http_proxy", f"http://{LOGIN}@127.0.0.1:{proxy}")
    assert await fetch(f"http://{HOST}/v1") == {"ok": True}
    assert servers.requests[0].startswith(f"GET http://{HOST}/v1/clans/%232PP ")


async def test_local_api_is_reached_without_a_proxy(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    port = await servers.proxy()  # acts as the API: it sends the same response to every request
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for host in ("127.0.0.1", "localhost"):
        assert await fetch(f"http://{host}:{port}/v1") == {"ok": True}


async def test_unusable_proxy_is_reported_without_its_password_and_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://{LOGIN}@127.0.0.1:1080")
    with capture_logs() as lines:
        async with ClashClient([SecretStr("token")], base_url=f"https://{HOST}/v1"):
            pass
    assert [line["event"] for line in lines] == ["proxy ignored"]
    assert "HTTPS_PROXY is not the address of an HTTP proxy" in lines[0]["reason"]
    assert PASSWORD not in str(lines)


@pytest.mark.parametrize(
    ("environment", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ({"ALL_PROXY": "http://proxy"}, "http://proxy"),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": HOST}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".example.test"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "other.test"}, "http://proxy:3128"),
    ],
)
def test_proxy_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], proxy: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(URL(f"https://{HOST}/v1")) == (None if proxy is None else URL(proxy))


@pytest.mark.parametrize("value", ["socks5://proxy:1080", "http://", "http://proxy:port", "http://ü:€@proxy:3128"])
def test_invalid_proxy_is_rejected(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(ProxyError, match=r"ALL_PROXY is not the address of an HTTP proxy"):
        proxy_for(URL(f"https://{HOST}/v1"))


async def test_name_is_resolved_once_the_system_can(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def respond(_: web.Request) -> web.Response:
        return web.json_response({}, headers={"Connection": "close"})

    port = URL(await serve(respond)).port
    resolve, ready = socket.getaddrinfo, False

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != HOST:
            return resolve(host, *arguments, **options)
        if not ready:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with ClashClient([SecretStr("token")], base_url=f"http://{HOST}:{port}/v1", attempts=1) as api:
        for _ in range(2):
            with pytest.raises(UnreachableError, match=f"the host name {HOST} cannot be resolved .*Temporary failure"):
                await api.clan("#2PP")
        ready = True
        assert (await api.clan("#2PP")).data == {}


def test_hanging_lookup_does_not_keep_the_program_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    release, started, finished = threading.Event(), threading.Event(), threading.Event()

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        started.set()
        release.wait(20)
        finished.set()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def fetch() -> None:
        async with ClashClient([SecretStr("token")], base_url=f"http://{HOST}/v1", attempts=1, timeout=0.05) as api:
            with pytest.raises(UnreachableError, match="no response"):
                await api.clan("#2PP")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        asyncio.run(fetch())
        assert started.is_set()
        assert not finished.is_set(), "the program did not wait for it"
    finally:
        release.set()
    assert finished.wait(5)


async def test_ipv6_addresses_are_resolved() -> None:
    resolver = SystemResolver()
    (address, *_) = await resolver.resolve("::1", 80, socket.AF_INET6)
    assert (address["host"], address["port"], address["family"]) == ("::1", 80, socket.AF_INET6)
    await resolver.close()
