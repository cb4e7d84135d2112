from __future__ import annotations

import asyncio
import logging
import re
import shlex
import sys
import tomllib

import pytest

from coc2mqtt.mqtt.client.connection import Connection, ConnectionOptions, RetainedMessage
from coc2mqtt.mqtt.client.session import Message, Session, open_session
from coc2mqtt.mqtt.embedded_broker import EmbeddedBroker, EmbeddedBrokerError, install_command
from tests.support.broker import free_port
from tests.support.paths import ROOT
from tests.support.sessions import connected_session
from tests.support.timeouts import LONG_ENOUGH

pytestmark = pytest.mark.usefixtures("no_stray_errors")

STATE = "coc/bridge/state"
OFFLINE = RetainedMessage(STATE, b'{"state":"offline"}')


def options(broker: EmbeddedBroker, client_id: str, will: RetainedMessage | None = None) -> ConnectionOptions:
    return ConnectionOptions(broker.host, broker.port, client_id, will=will, timeout=LONG_ENOUGH, protocol="3.1.1")


async def next_message(session: Session) -> Message:
    async with asyncio.timeout(LONG_ENOUGH):
        return await anext(session.messages())


async def test_subscriber_receives_retained_and_new_messages(embedded_broker: EmbeddedBroker) -> None:
    async with connected_session(options(embedded_broker, "writer"), "3.1.1") as writer:
        await writer.publish("coc/kept", b"1", retain=True)
        async with connected_session(options(embedded_broker, "reader"), "3.1.1") as reader:
            await reader.subscribe("coc/#")
            assert await next_message(reader) == Message("coc/kept", b"1", retain=True)
            await writer.publish("coc/new", b"2")
            assert await next_message(reader) == Message("coc/new", b"2")


async def test_will_is_published_and_retained_after_an_abort(embedded_broker: EmbeddedBroker) -> None:
    async with connected_session(options(embedded_broker, "reader"), "3.1.1") as reader:
        await reader.subscribe(STATE)
        async with connected_session(options(embedded_broker, "doomed", will=OFFLINE), "3.1.1"):
            pass  # aborted without a DISCONNECT
        assert await next_message(reader) == Message(*OFFLINE)
    async with connected_session(options(embedded_broker, "later"), "3.1.1") as later:
        await later.subscribe(STATE)
        assert await next_message(later) == Message(*OFFLINE, retain=True)


async def test_will_is_not_published_after_a_disconnect(embedded_broker: EmbeddedBroker) -> None:
    session = await open_session(options(embedded_broker, "polite", will=RetainedMessage("coc/will", b"!")), "3.1.1")
    await session.disconnect([OFFLINE])
    session.abort()
    async with connected_session(options(embedded_broker, "reader"), "3.1.1") as reader:
        await reader.subscribe("coc/#")
        assert await next_message(reader) == Message(*OFFLINE, retain=True)
        await reader.publish("coc/end", b"")
        assert (await next_message(reader)).topic == "coc/end"


async def test_port_in_use_raises_an_error() -> None:
    async with EmbeddedBroker(port=0) as broker:
        with pytest.raises(EmbeddedBrokerError, match=f"cannot use 127.0.0.1:{broker.port} .*set mqtt.host to it"):
            await EmbeddedBroker(port=broker.port).__aenter__()


async def test_port_in_use_with_fallback_uses_a_free_port() -> None:
    async with EmbeddedBroker(port=0) as first, EmbeddedBroker(port=first.port, fallback=True) as second:
        assert second.port != first.port
        async with connected_session(options(second, "x"), "3.1.1") as session:
            await session.publish("coc/x", b"")


async def test_free_port_with_fallback_is_used() -> None:
    port = free_port()
    async with EmbeddedBroker(port=port, fallback=True) as broker:
        assert broker.port == port


async def test_host_other_than_loopback_raises_an_error() -> None:
    with pytest.raises(EmbeddedBrokerError, match=r"so it cannot listen on 0\.0\.0\.0: use 127\.0\.0\.1"):
        await EmbeddedBroker("0.0.0.0").__aenter__()  # noqa: S104 - must be rejected


async def test_missing_extra_raises_an_error_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    command = re.escape(await asyncio.to_thread(install_command, "embedded"))
    with pytest.raises(EmbeddedBrokerError, match=f"run {command}, or set mqtt.host"):
        await EmbeddedBroker(port=0).__aenter__()


async def test_stop_is_quick_and_silent_with_connected_and_misbehaving_clients(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    loop = asyncio.get_running_loop()
    subscribed, lost = asyncio.Event(), asyncio.Event()

    async def on_session(session: Session) -> None:
        await session.subscribe("coc/#")
        subscribed.set()
        try:
            await asyncio.Event().wait()
        finally:
            lost.set()

    async def sleep(_seconds: float) -> None:
        await asyncio.Event().wait()

    async with EmbeddedBroker(port=0) as broker:
        connection = Connection(options(broker, "bridge"), on_session=on_session, sleep=sleep)
        task = asyncio.create_task(connection.run())
        await subscribed.wait()
        async with connected_session(options(broker, "other"), "3.1.1") as other:
            await other.subscribe("coc/#")
            await other.publish("coc/x", b"1")
        for junk in (b"", b"\x10", b"GET / HTTP/1.1\r\n\r\n", b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x1e\x00\x00\x01x"):
            _, writer = await asyncio.open_connection(broker.host, broker.port)
            writer.write(junk)
            writer.close()
            await writer.wait_closed()
        silent, writer = await asyncio.open_connection(broker.host, broker.port)
        start = loop.time()
    assert loop.time() - start < LONG_ENOUGH / 2
    async with asyncio.timeout(LONG_ENOUGH):
        await lost.wait()
        assert await silent.read() == b""
    writer.close()
    await writer.wait_closed()
    assert connection.status.last_error is not None
    assert connection.status.last_error.startswith(f"the connection to the broker at 127.0.0.1:{broker.port} was lost")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [record for record in caplog.records if record.name.split(".")[0] in {"amqtt", "transitions"}] == []
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


async def test_port_is_free_after_the_stop() -> None:
    async with EmbeddedBroker(port=0) as broker:
        pass
    async with EmbeddedBroker(port=broker.port) as again:
        assert again.port == broker.port


def test_install_command_contains_the_packages_of_the_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    command = shlex.split(install_command("embedded"))
    installed = [word for word in command if word.startswith("amqtt")]
    (declared,) = extras["embedded"]
    # The metadata may list the bounds in another order.
    assert [sorted(word.removeprefix("amqtt").split(",")) for word in installed] == [
        sorted(declared.removeprefix("amqtt").split(","))
    ]


def test_readme_installs_the_embedded_broker() -> None:
    (line,) = [line for line in (ROOT / "README.md").read_text().splitlines() if "pip install" in line]
    assert "'.[embedded,fast]'" in line
