from __future__ import annotations

import asyncio
import gc
import subprocess
from contextlib import AsyncExitStack, closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.embedded_broker import EmbeddedBroker
from tests.support.broker import find_program
from tests.support.retained import RetainedStateHarness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
    from pathlib import Path

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def no_stray_errors() -> AsyncIterator[None]:
    """Fail a test during which the event loop reported an error, such as an exception that was never retrieved."""
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    yield
    await asyncio.sleep(0)
    gc.collect()
    assert errors == []


@pytest.fixture
def log_lines() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def embedded_broker() -> AsyncIterator[EmbeddedBroker]:
    pytest.importorskip("amqtt", reason="the extra 'embedded' is not installed")
    async with EmbeddedBroker(port=0) as broker:
        yield broker


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[int]]]:
    """Return a function that starts a server with a handler, as a fake broker, and returns its port on the loopback."""
    async with AsyncExitStack() as stack:

        async def start(handler: Handler) -> int:
            async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                with closing(writer), suppress(ConnectionError, asyncio.IncompleteReadError):
                    await handler(reader, writer)

            server = await stack.enter_async_context(await asyncio.start_server(handle, "127.0.0.1", 0))
            port: int = server.sockets[0].getsockname()[1]
            return port

        yield start


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a folder with an authority (ca), a certificate for localhost signed by it (broker), and another authority.

    ``expired`` and ``foreign_broker`` are certificates for the broker's key as well; the latter is signed by the other
    authority (foreign).
    """
    program = find_program("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run([program, *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for name in ("ca", "foreign"):
        # Python 3.13 requires that an authority's certificate declares its use.
        use = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        openssl("req", "-x509", *key, *use, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}")
    openssl("req", *key, "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=localhost")
    (folder / "broker.ext").write_text("subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\n")
    valid: tuple[str, ...] = ("-days", "2")
    expired: tuple[str, ...] = ("-not_before", "20200101000000Z", "-not_after", "20200102000000Z")
    if (
        "-not_after"
        not in subprocess.run([program, "x509", "-help"], check=False, capture_output=True, text=True).stderr
    ):
        expired = ("-days", "-1")  # OpenSSL 3.0 to 3.3; removed later
    for name, authority, period in (
        ("broker", "ca", valid),
        ("expired", "ca", expired),
        ("foreign_broker", "foreign", valid),
    ):
        sign = ("-CA", f"{authority}.crt", "-CAkey", f"{authority}.key", "-CAcreateserial", "-extfile", "broker.ext")
        openssl("x509", "-req", "-in", "broker.csr", *sign, *period, "-out", f"{name}.crt")
    return folder


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[RetainedStateHarness]:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        yield RetainedStateHarness(journal)
