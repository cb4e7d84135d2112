from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
import textwrap
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from coc2mqtt.mqtt.client.connection import Connection, RetainedMessage, Session
from coc2mqtt.mqtt.client.errors import (
    ConnectionLostError,
    PublishDeniedError,
)
from tests.support.broker import subscribe_once
from tests.support.connections import (
    OFFLINE,
    ONLINE,
    OPTIONS,
    STATE,
    RecordingConnection,
    get_items,
    running_connection,
)
from tests.support.sessions import CONNACK, connected_session
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from tests.conftest import StartMosquitto

pytestmark = pytest.mark.usefixtures("no_stray_errors")

PASSWORD = "hush-hush-7"

Lines = list["MutableMapping[str, Any]"]


async def test_stop_publishes_offline_messages_and_disconnects_without_will(
    mosquitto: StartMosquitto, log_lines: Lines
) -> None:
    broker = mosquitto()
    async with running_connection(
        RecordingConnection(replace(OPTIONS, port=broker.port, will=RetainedMessage("coc/will", b"!")))
    ) as bridge:
        await bridge.sessions.get()
        assert await subscribe_once(broker.port, STATE) == ONLINE
        assert await bridge.stop() < 0.5
        assert bridge.task is not None
        assert bridge.task.cancelled()
    assert await subscribe_once(broker.port, "coc/#") == OFFLINE.payload  # and no will
    assert not bridge.connection.status.connected
    assert [line["event"] for line in log_lines] == ["connected to the broker"]


async def test_stop_while_broker_hangs_takes_under_two_seconds_and_still_ends_offline(
    mosquitto: StartMosquitto,
) -> None:
    broker = mosquitto()
    async with running_connection(RecordingConnection(replace(OPTIONS, port=broker.port))) as bridge:
        session = await bridge.sessions.get()
        broker.pause()
        stuck = [asyncio.create_task(session.publish("coc/x", bytes(1000))) for _ in range(150)]
        await asyncio.sleep(0)
        assert 0.5 < await bridge.stop() < 2
    broker.resume()
    assert {type(end) for end in await asyncio.gather(*stuck, return_exceptions=True)} == {ConnectionLostError}
    async with connected_session(replace(OPTIONS, port=broker.port, client_id="reader", will=None)) as reader:
        await reader.subscribe(STATE)
        async with asyncio.timeout(LONG_ENOUGH):
            async for message in reader.messages():
                if message.payload == OFFLINE.payload:
                    break


async def test_stop_while_a_connect_hangs_is_immediate(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    broker.pause()
    async with running_connection(RecordingConnection(replace(OPTIONS, port=broker.port))) as bridge:
        await asyncio.sleep(0.05)
        assert await bridge.stop() < 0.5


async def test_stop_while_connect_is_ignored_does_not_connect_later() -> None:
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        full.setblocking(False)
        stack.enter_context(socket.create_connection(full.getsockname()))
        async with running_connection(RecordingConnection(replace(OPTIONS, port=full.getsockname()[1]))) as bridge:
            await asyncio.sleep(0.05)
            assert await bridge.stop() < 0.5
        async with asyncio.timeout(LONG_ENOUGH):
            stack.enter_context((await loop.sock_accept(full))[0])
            late = stack.enter_context((await loop.sock_accept(full))[0])
            assert await loop.sock_recv(late, 100) == b""  # no CONNECT


@pytest.mark.process
async def test_killed_process_leaves_its_will(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    program = textwrap.dedent(f"""
        from coc2mqtt.util.runtime import run
        from coc2mqtt.mqtt.client.connection import *

        async def on_session(session):
            await session.publish({STATE!r}, {ONLINE!r}, retain=True)
            print("online", flush=True)

        will = RetainedMessage({STATE!r}, {OFFLINE.payload!r})
        options = ConnectionOptions("127.0.0.1", {broker.port}, "doomed", will=will)
        run(Connection(options, on_session=on_session).run())
    """)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    while b"online" not in (line := await process.stdout.readline()):
        assert line, "the program exited too early"
    assert await subscribe_once(broker.port, STATE) == ONLINE
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    async with connected_session(replace(OPTIONS, port=broker.port, will=None)) as reader:
        await reader.subscribe(STATE)
        async with asyncio.timeout(LONG_ENOUGH):
            async for message in reader.messages():
                if message.payload == OFFLINE.payload:
                    break


async def test_killed_broker_ends_the_session_at_once_and_restart_starts_a_new_one(
    mosquitto: StartMosquitto, log_lines: Lines
) -> None:
    broker = mosquitto()
    async with running_connection(RecordingConnection(replace(OPTIONS, port=broker.port))) as bridge:
        first = await bridge.sessions.get()
        before = bridge.connection.status
        killed_at = asyncio.get_running_loop().time()
        broker.kill()
        assert await bridge.ended_at.get() - killed_at < 1
        assert await get_items(5, bridge.waits.seconds) == [1.5, 1, 2, 4, 8]
        status = bridge.connection.status
        assert not status.connected
        assert status.protocol is None
        assert status.last_error is not None
        assert status.last_error.startswith("nothing is listening at 127.0.0.1:")
        broker.restart()
        second = await bridge.sessions.get()
        after = bridge.connection.status
    assert second is not first
    assert (before.connected, before.protocol, before.reconnects, before.last_error) == (True, "5", 0, None)
    assert (after.connected, after.protocol, after.reconnects) == (True, "5", 1)
    assert before.since < status.since < after.since == second.connected_at
    assert [line["event"] for line in log_lines] == [
        "connected to the broker",
        "broker connection lost",
        "cannot connect to the broker, retrying",
        "connected to the broker",
    ]


async def test_unacknowledged_publish_is_not_sent_by_a_later_connection(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    async with running_connection(RecordingConnection(replace(OPTIONS, port=broker.port))) as bridge:
        session = await bridge.sessions.get()
        broker.pause()
        lost = asyncio.create_task(session.publish("coc/lost", b"1", retain=True))
        await asyncio.sleep(0)
        broker.kill()
        with pytest.raises(ConnectionLostError):
            await lost
        broker.restart()
        again = await bridge.sessions.get()
        await again.subscribe("coc/#")
        await again.publish("coc/end", b"")
        topics = []
        async for message in again.messages():
            topics.append(message.topic)
            if message.topic == "coc/end":
                break
        assert topics == [STATE, "coc/end"]


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (KeyError("a bug"), KeyError),
        (ExceptionGroup("workers", [KeyError("a bug")]), KeyError),
        (ExceptionGroup("workers", [ConnectionLostError("x"), ExceptionGroup("more", [KeyError("a bug")])]), KeyError),
        (ExceptionGroup("workers", [KeyError("a bug"), ValueError("another")]), ExceptionGroup),
        (PublishDeniedError("not handled"), PublishDeniedError),
    ],
    ids=["single", "in a group", "with a lost connection", "two", "publish denied"],
)
async def test_run_raises_error_of_on_session_after_offline_messages(
    mosquitto: StartMosquitto, raised: Exception, kind: type[Exception]
) -> None:
    broker = mosquitto()

    async def on_session(session: Session) -> None:
        await session.publish(STATE, ONLINE, retain=True)
        raise raised

    connection = Connection(
        replace(OPTIONS, port=broker.port, will=None), on_session=on_session, offline_messages=[OFFLINE]
    )
    with pytest.raises(kind) as error:
        await asyncio.wait_for(connection.run(), LONG_ENOUGH)
    assert type(error.value) is kind
    assert await subscribe_once(broker.port, STATE) == OFFLINE.payload
    assert not connection.status.connected


async def test_connection_stays_open_after_on_session_returns(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    done = asyncio.Event()

    async def on_session(session: Session) -> None:
        await session.publish(STATE, ONLINE, retain=True)
        done.set()

    connection = Connection(replace(OPTIONS, port=broker.port), on_session=on_session)
    task = asyncio.create_task(connection.run())
    await done.wait()
    assert await subscribe_once(broker.port, STATE) == ONLINE
    assert connection.status.connected
    assert connection.status.reconnects == 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_stop_is_not_lost_when_the_connection_is_lost_at_the_same_time(mosquitto: StartMosquitto) -> None:
    broker = mosquitto()
    started = asyncio.Event()

    async def on_session(session: Session) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(broker.kill)
            await session.publish("coc/x", b"")  # raises ConnectionLostError during the stop

    connection = Connection(replace(OPTIONS, port=broker.port), on_session=on_session)
    task = asyncio.create_task(connection.run())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), LONG_ENOUGH)
    assert task.cancelled()


async def test_session_whose_task_group_fails_with_the_connection_is_restarted(
    mosquitto: StartMosquitto,
) -> None:
    broker = mosquitto()
    sessions = asyncio.Queue[Session]()

    async def keep_publishing(session: Session) -> None:
        while True:
            await session.publish("coc/x", b"")

    async def on_session(session: Session) -> None:
        sessions.put_nowait(session)
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(keep_publishing(session))

    async def short_sleep(_: float) -> None:
        await asyncio.sleep(0.01)

    connection = Connection(replace(OPTIONS, port=broker.port), on_session=on_session, sleep=short_sleep)
    task = asyncio.create_task(connection.run())
    for _ in range(5):
        async with asyncio.timeout(LONG_ENOUGH):
            await sessions.get()
        broker.restart()
        assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_password_appears_in_no_log_line_status_or_repr(
    mosquitto: StartMosquitto, log_lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broker = mosquitto(users={"bridge": PASSWORD})
    options = replace(OPTIONS, port=broker.port, username="bridge", password=SecretStr("wrong-word-3"))
    async with running_connection(RecordingConnection(options)) as bridge:
        await get_items(3, bridge.waits.seconds)
        rejected = bridge.connection.status
    async with running_connection(RecordingConnection(replace(options, password=SecretStr(PASSWORD)))) as bridge:
        await bridge.sessions.get()
        broker.kill()
        await get_items(3, bridge.waits.seconds)
        lost = bridge.connection.status
    assert rejected.last_error is not None
    assert rejected.last_error.startswith(f"the broker at 127.0.0.1:{broker.port} did not authorize the user 'bridge'")
    assert [line["event"] for line in log_lines] == [
        "cannot connect to the broker, retrying",
        "connected to the broker",
        "broker connection lost",
        "cannot connect to the broker, retrying",
    ]
    output = json.dumps([log_lines, caplog.text, repr(options), repr(rejected), repr(lost)], default=repr)
    assert PASSWORD not in output
    assert "wrong-word-3" not in output
    # aiomqtt and paho log nothing either.
    assert [record for record in caplog.records if record.name != "asyncio"] == []


@pytest.mark.parametrize("iterations", range(8))
async def test_stop_is_not_lost_when_the_broker_responds_at_the_same_time(
    serve: Callable[[Any], Awaitable[int]], iterations: int
) -> None:
    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(10)
        writer.write(CONNACK["5"])
        for _ in range(iterations):
            await asyncio.sleep(0)
        task.cancel()
        await reader.read()

    async def on_session(session: Session) -> None:
        await session.publish("coc/x", b"")  # never acknowledged

    options = replace(OPTIONS, port=await serve(broker))
    task = asyncio.create_task(Connection(options, on_session=on_session).run())
    await asyncio.wait([task], timeout=LONG_ENOUGH)
    assert task.cancelled()
