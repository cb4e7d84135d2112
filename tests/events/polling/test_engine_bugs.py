"""Bugs in a poll, which the engine contains or propagates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from coc2mqtt.demo import PROBE_TAG
from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import API
from coc2mqtt.events.stream.polling_state import QueueStore
from coc2mqtt.internal_errors import InternalErrors
from tests.events.polling.test_engine import PROBE, SHORT
from tests.support.recording_session import running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.events import Event
    from coc2mqtt.events.resource import Resource, Snapshot
    from tests.events.conftest import Bench, Until


class _RaisingStore(QueueStore):
    """Stores everything, but raises after storing the first event of the API."""

    raised = False

    async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:
        await super().commit(resource, snapshot, events)
        if resource == API and events and not self.raised:
            self.raised = True
            raise KeyError("a bug")


async def test_api_event_is_reported_once_if_a_bug_follows_its_commit(bench: Bench, until: Until) -> None:
    errors = InternalErrors()
    store = _RaisingStore(bench.state, bench.queue)
    engine = Engine(bench.api, store, now=bench.clock, contain=errors.contain)
    engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)
    with capture_logs():
        async with running(engine.run()):
            await until(lambda: engine.api_status is ApiStatus.OK)
            bench.world.start_maintenance()
            await until(lambda: errors.count == 1 and engine.api_status is ApiStatus.MAINTENANCE)
            target = bench.server.requests[PROBE] + 3
            await until(lambda: bench.server.requests[PROBE] >= target)
    assert bench.queued_types() == ["maintenance_start"]
    assert engine.metrics.errors["internal"] == errors.count == 1


async def test_bug_in_a_poll_stops_an_engine_without_containment(bench: Bench) -> None:
    engine = Engine(bench.api, bench.store, now=bench.clock)
    engine.watch_api(interval=SHORT, probe_tag=PROBE_TAG)

    async def buggy(_: object) -> None:
        raise KeyError("a bug")

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(type(bench.api), "player", lambda _, tag: buggy(tag))
        with pytest.raises(ExceptionGroup) as raised:
            await engine.run()
    assert raised.group_contains(KeyError)
