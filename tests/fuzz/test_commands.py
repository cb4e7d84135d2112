"""Any request gets one response, and the journal has only valid watches."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from coc2mqtt.clash import ClashClient
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.journal import SqliteJournal
from coc2mqtt.mqtt.payloads.models import ResponsePayload
from coc2mqtt.util.runtime import loop_factory
from coc2mqtt.watch_list import WatchList
from tests.fuzz.examples import fuzzed
from tests.fuzz.requests import NAMES, PAYLOADS
from tests.support.control import dispatcher

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from coc2mqtt.events.resource import Watch

pytestmark = pytest.mark.fuzz

TAG = re.compile("#[0289PYLQGRJCUV]{3,15}")
MAX_INTERVAL_S = 604_800
MAX_PAYLOAD_BYTES = 64 * 1024

Json = dict[str, Any]


class CommandHarness:
    """The commands with a watch list and a real journal; nothing is polled."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal = journal
        self.changed: list[Watch] = []
        self._engine, self._watches = self._new_watch_list()
        self._commands = dispatcher(self._watches, journal=self.journal)

    def _new_watch_list(self) -> tuple[Engine, WatchList]:
        engine = Engine(ClashClient([SecretStr("any")]), self.journal)
        return engine, WatchList(self.journal, engine, on_change=self.changed.append)

    async def clear(self) -> None:
        for watch in self._engine.watches:
            await self._watches.unwatch(watch.kind, watch.tag)

    async def execute(self, command: str | None, payload: bytes, *, retained: bool) -> None:
        before, stored = self._engine.watches, await self.journal.watches()
        response = await self._commands.execute(command, payload, retained=retained)
        response_data = orjson.loads(response.encode())
        assert ResponsePayload.model_validate(response_data) == response
        assert (response.status == "ok") is (response.error is None)
        if response.status == "error" or command not in {"watch", "unwatch"}:
            assert self._engine.watches == before
            assert await self.journal.watches() == stored
        if response.status == "error":
            assert response.data == {}
            assert len(response_data["error"]) < 1000
        if retained or command is None or len(payload) > MAX_PAYLOAD_BYTES:
            assert response.status == "error"
        if response.status == "ok":
            self._check_effect(command, response.data, before)

    def _check_effect(self, command: str | None, data: Json, before: list[Watch]) -> None:
        """Check that the response describes the actual state."""
        now = {(watch.kind.value, watch.tag): watch for watch in self._engine.watches}
        if command == "watch":
            watch = now[data["kind"], data["tag"]]
            assert (watch.interval, watch.war) == (data["interval"], data["war"] is not False)
        if command == "unwatch":
            gone = {(one["kind"], one["tag"]) for one in data["unwatched"]}
            assert gone
            assert now.keys() == {(watch.kind.value, watch.tag) for watch in before} - gone
        if command == "replay":
            assert data == {"events": [], "next_seq": None}
        if command == "list":
            assert {(one["kind"], one["tag"]) for one in data["watches"]} <= now.keys()

    async def check_watches(self) -> None:
        """Check that the watches are valid, and the same after a restart."""
        watches = self._engine.watches
        assert len(watches) == len({(watch.kind, watch.tag) for watch in watches})
        for watch in watches:
            assert TAG.fullmatch(watch.tag)
            assert 1 <= watch.interval <= MAX_INTERVAL_S
            for interval in (watch.war_interval, watch.cwl_interval, watch.raid_interval):
                assert 1 <= interval <= MAX_INTERVAL_S
        assert all(TAG.fullmatch(watch.tag) for watch in self.changed)
        assert all(TAG.fullmatch(one.tag) and one.kind in {"clan", "player"} for one in await self.journal.watches())
        engine, again = self._new_watch_list()
        await again.load([])
        assert sorted(map(str, engine.watches)) == sorted(map(str, watches))


def test_any_request_gets_one_response_and_only_valid_watches_are_stored(
    tmp_path: Path, count_example: Callable[[], None]
) -> None:
    async def start() -> CommandHarness:
        return CommandHarness(await stack.enter_async_context(SqliteJournal(tmp_path / "coc2mqtt.db")))

    async def example(requests: list[tuple[Any, ...]]) -> None:
        await harness.clear()
        for command, payload, retained in requests:
            await harness.execute(command, payload, retained=retained)
        await harness.check_watches()

    stack = AsyncExitStack()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        harness = runner.run(start())

        @fuzzed(short=200, long=10_000)
        @given(st.lists(st.tuples(NAMES, PAYLOADS, st.sampled_from([False, False, True])), min_size=1, max_size=4))
        def check_requests(requests: list[tuple[Any, ...]]) -> None:
            count_example()
            runner.run(example(requests))

        try:
            check_requests()
        finally:
            runner.run(stack.aclose())
    assert [path.name for path in tmp_path.iterdir()] == ["coc2mqtt.db"]
