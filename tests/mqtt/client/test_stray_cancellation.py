"""Tests that a part which raises CancelledError without being cancelled fails; a TaskGroup would ignore it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest

from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.mqtt.bridge import Bridge
from coc2mqtt.mqtt.client import negotiation
from coc2mqtt.mqtt.client.connection import Connection, Session
from coc2mqtt.mqtt.control.requests import RequestHandler
from coc2mqtt.mqtt.publish.device_announcer import DeviceAnnouncer
from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
from coc2mqtt.mqtt.topics import Topics
from coc2mqtt.util.tasks import UnexpectedExitError, first_exception, run_until_cancelled
from tests.mqtt.client.test_connection_waits import LOST, ScriptedSession
from tests.support.bridge_parts import JournalInMemory, Parts
from tests.support.connections import OPTIONS
from tests.support.recording_session import RecordingSession

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

pytestmark = pytest.mark.looptime


async def raise_cancelled(*_: Any) -> None:
    raise asyncio.CancelledError


async def error_of(work: Coroutine[Any, Any, object]) -> BaseException:
    """Return the exception that ends the work within a minute, unwrapped."""
    try:
        async with asyncio.timeout(60):
            await work
    except BaseExceptionGroup as group:
        return first_exception(group)
    except UnexpectedExitError as error:
        return error
    raise AssertionError("the work returned without an error")


async def test_publish_that_raises_cancelled_error_ends_the_retained_state() -> None:
    retained = Parts().retained
    retained.mark(Resource(Kind.CLAN, "#2PP"))
    assert isinstance(await error_of(retained.run(RecordingSession(raise_cancelled).session)), UnexpectedExitError)
    assert retained.marked_count == 1


async def test_delivery_worker_that_raises_cancelled_error_ends_the_delivery() -> None:
    journal = JournalInMemory()
    await journal.add_event(1)
    recording = RecordingSession(raise_cancelled)
    error = await error_of(EventDelivery(journal.journal, Topics()).run(recording.session))
    assert isinstance(error, UnexpectedExitError)


@pytest.mark.parametrize(
    ("part", "method"),
    [(DeviceAnnouncer, "run"), (EventDelivery, "run"), (Bridge, "_handle_messages"), (RequestHandler, "run")],
)
async def test_part_that_raises_cancelled_error_ends_the_session(
    part: type, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, method, raise_cancelled)
    assert isinstance(await error_of(Parts().bridge.serve(RecordingSession().session)), UnexpectedExitError)


async def test_session_that_raises_cancelled_error_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(_: object) -> Session:
        return cast("Session", ScriptedSession(1000.0, LOST))

    monkeypatch.setattr(negotiation.ProtocolNegotiator, "connect", connect)
    assert isinstance(await error_of(Connection(OPTIONS, on_session=raise_cancelled).run()), UnexpectedExitError)


async def test_work_that_returns_unexpectedly_raises_unexpected_exit() -> None:
    with pytest.raises(UnexpectedExitError, match="the part stopped: it returned"):
        await run_until_cancelled("the part", partial(asyncio.sleep, 1))


async def test_work_that_is_cancelled_raises_cancelled_error() -> None:
    task = asyncio.create_task(run_until_cancelled("the part", partial(asyncio.sleep, 10)))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
