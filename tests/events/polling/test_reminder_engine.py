"""Reminders of a whole engine: polls that fail, stale responses, starts without the API, changed options."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest

from coc2mqtt.clash import ApiResponse, PrivateWarLogError, ServerError, UnreachableError
from coc2mqtt.events import PollingState
from coc2mqtt.events.polling import scheduler
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import Kind, Reminders, Watch
from coc2mqtt.events.stream.polling_state import QueueStore
from tests.support.bodies import CLAN_TAG, clan, member, no_war
from tests.support.reminders import ANN, BOB, HOUR, MINUTE, NOON, api_text, battle
from tests.support.replay import InMemoryApi
from tests.support.simulation import simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from coc2mqtt.clash import ClashClient, ClashError
    from coc2mqtt.events import Event

Json = dict[str, Any]

PROBE = "#JY9J2Y99"
DUE = 40 * MINUTE
REMINDERS = Reminders(war=(6 * HOUR,))


def war_at(_: float = 0.0, *, end: float = DUE + 6 * HOUR, preparation: float = 0.0) -> Json:
    """Return a war; times are seconds after noon."""
    start = api_text(NOON + preparation - 24 * HOUR)
    return {**battle(end=NOON + end), "preparationStartTime": start, "startTime": api_text(NOON - HOUR)}


class ScriptedApi(InMemoryApi):
    """An API whose war is ``script`` at each time; it fails completely while ``is_down``. Wars are cached for 30 s."""

    requests_per_second = 100.0
    is_open = True

    def __init__(self, script: Callable[[float], Json | ClashError]) -> None:
        super().__init__()
        self.script = script
        self.is_down: Callable[[float], bool] = lambda _: False
        self.max_age = 30.0

    def _respond(self, path: str) -> ApiResponse:
        at = asyncio.get_running_loop().time()
        body: Json | ClashError
        if self.is_down(at):
            raise UnreachableError("no route to host")
        if path.endswith("/currentwar"):
            body = self.script(at)
        elif path.startswith("/players"):
            body = {"tag": PROBE, "name": "probe"}
        else:
            body = clan(member(ANN), member(BOB))
        if isinstance(body, Exception):
            raise body
        return ApiResponse(200, orjson.dumps(body), self.max_age)


class Bridge:
    """An engine in simulated time, which starts at noon."""

    def __init__(self, script: Callable[[float], Json | ClashError], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scheduler, "_HEARTBEAT_S", HOUR)
        self.api = ScriptedApi(script)
        self.events: list[tuple[float, Event]] = []
        self.engine: Engine
        self._state = PollingState()

    def watch(self, reminders: Reminders = REMINDERS, *, war_interval: float = 300.0) -> None:
        self.engine.watch(Watch(Kind.CLAN, CLAN_TAG, 600.0, war_interval=war_interval, reminders=reminders))

    async def run(self, seconds: float, changes: Mapping[float, Callable[[], None]] | None = None) -> None:
        """Run for some time, and apply changes at their times (seconds)."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        begin = loop.time()
        self.engine = Engine(
            cast("ClashClient", self.api),
            QueueStore(self._state, queue),
            now=lambda: NOON + loop.time(),
            uptime=loop.time,
            rng=random.Random(1),
        )
        self.engine.watch_api(interval=60.0, probe_tag=PROBE)
        self.watch()
        for at, change in (changes or {}).items():
            loop.call_at(at, change)
        collecting = loop.create_task(self._collect(queue))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(begin + seconds):
                await self.engine.run()
        collecting.cancel()

    async def _collect(self, queue: asyncio.Queue[Event]) -> None:
        while True:
            event = await queue.get()
            if event.event_type.value == "war_reminder":
                self.events.append((asyncio.get_running_loop().time(), event))

    @property
    def times(self) -> list[float]:
        """The seconds at which reminders were sent."""
        return [round(at, 1) for at, _ in self.events]

    def age(self, number: int = 0) -> float:
        """Return the age of the list of members of a reminder, in seconds."""
        at, event = self.events[number]
        return round(NOON + at - datetime.fromisoformat(event.metadata["polled_at"]).timestamp(), 1)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bridge]:
    def play(
        script: Callable[[float], Json | ClashError] = war_at,
        *,
        seconds: float = HOUR,
        changes: Callable[[Bridge], Mapping[float, Callable[[], None]]] = lambda _: {},
        is_down: Callable[[float], bool] = lambda _: False,
    ) -> Bridge:
        bridge = Bridge(script, monkeypatch)
        bridge.api.is_down = is_down
        simulate(bridge.run(seconds, changes(bridge)))
        return bridge

    return play


def test_war_is_polled_shortly_before_its_reminder(play: Callable[..., Bridge]) -> None:
    bridge = play(changes=lambda bridge: {1.0: lambda: bridge.watch(war_interval=3600.0)})
    assert bridge.times == [DUE]
    assert bridge.age() <= 15.0


@pytest.mark.parametrize("error", [ServerError("bad gateway", status=502), UnreachableError("timeout")])
def test_failing_poll_before_a_reminder_does_not_delay_it(play: Callable[..., Bridge], error: ClashError) -> None:
    bridge = play(lambda at: error if at > DUE - 30 else war_at())
    assert bridge.times == [DUE]
    assert 15.0 < bridge.age() <= 330.0


def test_reminder_is_on_time_if_the_api_is_down_since_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = Bridge(war_at, monkeypatch)

    async def scenario() -> None:
        await bridge.run(10 * MINUTE)
        await asyncio.sleep(DUE - 11 * MINUTE)
        bridge.api.is_down = lambda _: True
        await bridge.run(5 * MINUTE)
        bridge.api.is_down = lambda _: False
        await bridge.run(HOUR)

    simulate(scenario())
    assert bridge.times == [DUE]


@pytest.mark.parametrize("period", [1, 2, 3, 7])
def test_end_that_changes_with_every_response_is_reminded_of_once(play: Callable[..., Bridge], period: int) -> None:
    def flapping(at: float) -> Json:
        return war_at(end=DUE + 6 * HOUR + (HOUR if at // 300 % (2 * period) >= period else 0))

    bridge = play(flapping, seconds=7 * HOUR)
    assert len(bridge.times) == 1
    assert DUE <= bridge.times[0] <= DUE + HOUR + 300


def test_stale_response_about_the_last_war_repeats_no_reminder(play: Callable[..., Bridge]) -> None:
    def script(at: float) -> Json:
        # The next war begins at once; for a while every other response is about the last one.
        if at < 8 * HOUR or (at < 9 * HOUR and at // 60 % 2):
            return war_at()
        return war_at(preparation=26 * HOUR, end=20 * HOUR)

    bridge = play(script, seconds=21 * HOUR)
    assert bridge.times == [DUE, 14 * HOUR]
    assert len({event.metadata["war_id"] for _, event in bridge.events}) == 2


def test_cancelled_war_has_no_reminder(play: Callable[..., Bridge]) -> None:
    assert play(lambda at: war_at() if at < 30 * MINUTE else no_war()).times == []


def test_war_log_that_is_private_at_the_time_has_no_reminder(play: Callable[..., Bridge]) -> None:
    private = PrivateWarLogError("access denied", status=403)
    assert play(lambda at: private if 30 * MINUTE < at < 50 * MINUTE else war_at(), seconds=45 * MINUTE).times == []


def test_new_options_apply_to_the_present_war(play: Callable[..., Bridge]) -> None:
    several = Reminders(war=(7 * HOUR, 5 * HOUR, 4 * HOUR))

    def changes(bridge: Bridge) -> Mapping[float, Callable[[], None]]:
        return {
            DUE + MINUTE: lambda: bridge.watch(several),
            DUE + 90 * MINUTE: lambda: bridge.watch(Reminders(war=(6 * HOUR, 4.5 * HOUR, HOUR))),
        }

    bridge = play(seconds=DUE + 5.5 * HOUR, changes=changes)
    assert bridge.times == [DUE, DUE + HOUR, DUE + 1.5 * HOUR, DUE + 5 * HOUR]


def test_watch_that_is_replaced_at_the_time_sends_once(play: Callable[..., Bridge]) -> None:
    def changes(bridge: Bridge) -> Mapping[float, Callable[[], None]]:
        return {DUE + offset / 1000: bridge.watch for offset in range(-20, 21, 4)}

    bridge = play(changes=changes)
    assert len(bridge.times) == 1
    assert DUE <= bridge.times[0] <= DUE + 2
