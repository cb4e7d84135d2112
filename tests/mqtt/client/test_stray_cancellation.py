"""A CancelledError that nobody asked for ends no part in silence: a TaskGroup ignores a child that ends with one."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest

from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.mqtt.bridge import Bridge
from coc2mqtt.mqtt.client import negotiation
from coc2mqtt.mqtt.client.connection import Connection, Session
from coc2mqtt.mqtt.control.request_handler import RequestHandler
from coc2mqtt.mqtt.publish.device_announcer import DeviceAnnouncer
from coc2mqtt.mqtt.publish.event_delivery import EventDelivery
from coc2mqtt.mqtt.topics import Topics
from coc2mqtt.util.cancellation import UnexpectedExitError, run_until_cancelled
from coc2mqtt.util.exceptions import first_exception
from tests.mqtt.client.test_reconnecting import LOST, ScriptedSession
from tests.support.bridge_parts import JournalInMemory, Parts
from tests.support.connections import OPTIONS
from tests.support.recording_session import RecordingSession

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

pytestmark = pytest.mark.looptime


async def cancelled(*_: Any) -> None:
    raise asyncio.CancelledError


async def ended(work: Coroutine[Any, Any, object]) -> BaseException:
    """Return what ends some work within a minute, out of its groups."""
    try:
        async with asyncio.timeout(60):
            await work
    except BaseExceptionGroup as group:
        return first_exception(group)
    except UnexpectedExitError as error:
        return error
    raise AssertionError("it ended without an error")


async def test_unrequested_cancellation_of_a_publish_ends_the_retained_state() -> None:
    retained = Parts().retained
    retained.mark(Resource(Kind.CLAN, "#2PP"))
    assert isinstance(await ended(retained.run(RecordingSession(cancelled).session)), UnexpectedExitError)
    assert retained.marked_count == 1


async def test_delivery_worker_that_is_cancelled_by_nobody_ends_the_delivery() -> None:
    journal = JournalInMemory()
    await journal.happen(1)
    recording = RecordingSession(cancelled)
    error = await ended(EventDelivery(journal.journal, Topics()).run(recording.session))
    assert isinstance(error, UnexpectedExitError)


@pytest.mark.parametrize(
    ("part", "method"),
    [(DeviceAnnouncer, "run"), (EventDelivery, "run"), (Bridge, "_handle_messages"), (RequestHandler, "run")],
)
async def test_part_that_is_cancelled_by_nobody_ends_the_session(
    part: type, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, method, cancelled)
    assert isinstance(await ended(Parts().bridge.serve(RecordingSession().session)), UnexpectedExitError)


async def test_session_that_is_cancelled_by_nobody_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(_: object) -> Session:
        return cast("Session", ScriptedSession(1000.0, LOST))

    monkeypatch.setattr(negotiation.ProtocolNegotiator, "connect", connect)
    assert isinstance(await ended(Connection(OPTIONS, on_session=cancelled).run()), UnexpectedExitError)


async def test_work_that_returns_although_it_must_not_is_an_error() -> None:
    with pytest.raises(UnexpectedExitError, match="the part stopped: it returned"):
        await run_until_cancelled("the part", partial(asyncio.sleep, 1))


async def test_work_that_is_cancelled_ends_as_cancelled() -> None:
    task = asyncio.create_task(run_until_cancelled("the part", partial(asyncio.sleep, 10)))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
