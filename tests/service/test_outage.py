"""A broker outage of one hour, in simulated time, with a real journal file."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from functools import partial
from typing import TYPE_CHECKING, Any, Never, cast

import orjson
import pytest

from coc2mqtt import wiring
from coc2mqtt.clash import ApiResponse, ClashClient
from coc2mqtt.config.settings import FixedSettings
from coc2mqtt.internal_errors import InternalErrors
from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.client import negotiation
from coc2mqtt.mqtt.client.errors import ConnectionLostError, UnreachableBrokerError
from tests.support.bodies import clan, member
from tests.support.recording_session import RecordingSession
from tests.support.simulated_loop import SimulatedLoop

if TYPE_CHECKING:
    from pathlib import Path

    from coc2mqtt.journal.protocol import JournalCounts

TAGS = [f"#2{first}{second}" for first in "0289PY" for second in "0289P"]
MAX_PENDING = 500
DOWN, UP = 300.0, 3900.0


class GrowingClans:
    """Clans that gain a point with every poll."""

    requests_per_second = 1000.0

    def __init__(self) -> None:
        self.polls = dict.fromkeys(TAGS, 0)

    async def clan(self, tag: str) -> ApiResponse:
        self.polls[tag] += 1
        body = {**clan(member("#2QQ"), clanPoints=self.polls[tag]), "tag": tag}
        return ApiResponse(200, orjson.dumps(body), 0.0)


class Network:
    """A broker that is unavailable for an hour. Each publish takes two milliseconds."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self._lost = asyncio.Event()
        loop.call_at(DOWN, self._lost.set)
        self.sessions: list[_Session] = []
        self.attempts: list[float] = []
        self.probes: list[float] = []

    @property
    def is_up(self) -> bool:
        return not DOWN <= self._loop.now < UP

    async def open_session(self, *_: object, **__: object) -> _Session:
        self.attempts.append(self._loop.now)
        if not self.is_up:
            raise UnreachableBrokerError("nothing accepts connections: check that the broker is running")
        self.sessions.append(_Session(self._lost if self._loop.now < DOWN else asyncio.Event()))
        return self.sessions[-1]

    async def port_is_open(self, *_: object) -> bool:
        self.probes.append(self._loop.now)
        return self.is_up


class _Session(RecordingSession):
    connected_at = 0.0

    def __init__(self, lost: asyncio.Event) -> None:
        super().__init__(self._publish_slowly)
        self._lost = lost

    async def _publish_slowly(self, _topic: str, _payload: bytes) -> None:
        await asyncio.sleep(0.002)

    async def monitor(self) -> Never:
        await self._lost.wait()
        raise ConnectionLostError("connection lost")

    async def disconnect(self, _messages: object = ()) -> None: ...

    def abort(self) -> None: ...

    @property
    def events(self) -> list[Any]:
        return [one.data for one in self.published if one.topic.endswith("/clan_updated")]


class Outage:
    """Measures pending events and memory once a minute during the outage."""

    def __init__(self, loop: SimulatedLoop, path: Path, network: Network) -> None:
        self._loop = loop
        self.network = network
        self.api = GrowingClans()
        self.journal = SqliteJournal(path, max_pending=MAX_PENDING)
        self.pending: list[int] = []
        self.memory: list[int] = []
        self.recovered_at = 0.0
        self.last: JournalCounts | None = None

    async def run(self) -> None:
        settings = FixedSettings.model_validate(
            {
                "mqtt": {"host": "broker"},
                "watch": {"clans": [{"tag": tag, "war": False, "cwl": False, "raids": False} for tag in TAGS]},
            }
        )
        await self.journal.open()
        try:
            parts = wiring.Parts(
                settings,
                journal=self.journal,
                api=cast("ClashClient", self.api),
                process=wiring.ProcessState(),
                errors=InternalErrors(),
            )
            await parts.watches.load(settings.watch.watches())
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(parts.engine.run()), group.create_task(parts.connection.run())]
                await self._measure()
                for task in tasks:
                    task.cancel()
        finally:
            await self.journal.close()

    async def _measure(self) -> None:
        tracemalloc.start()
        try:
            while self._loop.now < UP - 60:
                await asyncio.sleep(60)
                gc.collect()
                self.pending.append((await self.journal.counts()).pending)
                self.memory.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
        await asyncio.sleep(UP - self._loop.now)
        before = (await self.journal.counts()).pending
        assert before == MAX_PENDING
        # Without pending events: a pending one may have been published already.
        while (last := await self.journal.counts()).pending:  # noqa: ASYNC110 - nothing notifies about acknowledgements
            await asyncio.sleep(0.01)
        self.recovered_at = self._loop.now
        self.last = last


@pytest.mark.slow
def test_broker_outage_of_an_hour_is_bounded_in_memory_and_recovered_in_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        loop = cast("SimulatedLoop", runner.get_loop())
        outage = runner.run(_run_outage(loop, tmp_path, monkeypatch))

    before, after = outage.network.sessions
    assert max(outage.pending) == MAX_PENDING
    seqs = [event["seq"] for event in after.events]
    assert len(set(seqs)) == len(seqs), "an event was published twice without need"
    # The newest events, which were not dropped, are published in order for each tag.
    assert outage.last is not None
    assert len(before.events) + outage.last.dropped + len(after.events) >= outage.last.last_seq - 1
    assert outage.last.dropped == outage.last.last_seq - len(before.events) - len(after.events)
    for tag in TAGS:
        points = [event["changes"][0]["new_value"] for event in after.events if event["tag"] == tag]
        assert points == list(range(points[0], points[0] + len(points)))
    assert outage.recovered_at - UP < 5
    # The queue is full after seventeen minutes. From then on, memory changes only by noise.
    settled, end = outage.memory[25], outage.memory[-1]
    assert end - settled < 100_000, (settled, end)
    # The backoff grows to a minute between attempts. The port is probed every one to two seconds.
    failed = [at for at in outage.network.attempts if DOWN <= at < UP]
    assert len(failed) < 6 + 3600 / 30
    assert len(outage.network.probes) > 3600 / 2.1


async def _run_outage(loop: SimulatedLoop, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Outage:
    network = Network(loop)
    monkeypatch.setattr(negotiation, "open_session", network.open_session)
    monkeypatch.setattr(wiring, "port_is_open", partial(network.port_is_open))
    outage = Outage(loop, folder / "coc2mqtt.db", network)
    await outage.run()
    return outage
