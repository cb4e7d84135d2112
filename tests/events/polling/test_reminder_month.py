"""A month of reminders in simulated time, with maintenances, restarts and a wrong clock."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from coc2mqtt.events import PollingState
from coc2mqtt.events.calendar import ClanGames
from coc2mqtt.events.polling import scheduler
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import Kind, Reminders, Watch
from coc2mqtt.events.stream.polling_state import QueueStore
from tests.support.clan_month import MAX_POINTS, PROBE, START, Battle, ClanMonth, Games, MonthApi
from tests.support.leagues import DAY, HOUR, MINUTE, OWN
from tests.support.simulation import simulate

if TYPE_CHECKING:
    from coc2mqtt.clash import ClashClient
    from coc2mqtt.events import Event

Json = dict[str, Any]

TIMES = {
    "war": (6 * HOUR, HOUR),
    "cwl": (4 * HOUR, HOUR),
    "raid": (24 * HOUR, 6 * HOUR),
    "games": (24 * HOUR, 12 * HOUR),
}
REMINDERS = Reminders(war=TIMES["war"], cwl=TIMES["cwl"], raid=TIMES["raid"], games=TIMES["games"])
# A few days instead of a month.
EARLY_GAMES = ClanGames(first_day=2, last_day=5, max_points=MAX_POINTS)
WATCH = Watch(
    Kind.CLAN,
    OWN,
    600.0,
    war_interval=300.0,
    cwl=True,
    cwl_interval=600.0,
    raids=True,
    raid_interval=600.0,
    games=True,
    games_interval=HOUR,
    reminders=REMINDERS,
)
# After a start and a maintenance, a reminder waits for the first poll, which a backoff may delay.
SETTLING = 11 * MINUTE


class Sent(NamedTuple):
    """A reminder: when it was sent (true time), its battle and its time before the end."""

    at: float
    battle: Battle
    time: float
    event: Event


class Run:
    """The bridge through a month; ``up`` are the periods in which it ran, ``wrong`` those of a wrong clock."""

    def __init__(self, seed: int, *, days: int, restarts: int, jumps: int, games: ClanGames) -> None:
        rng = random.Random(seed)
        self.month = ClanMonth(rng, days=days, games=games)
        self.up: list[tuple[float, float]] = []
        self.wrong = [
            (at, at + rng.uniform(HOUR, 6 * HOUR), rng.choice([-1, 1]) * rng.uniform(60, 1200))
            for at in sorted(rng.uniform(START + DAY, self.month.end) for _ in range(jumps))
        ]
        self.sent: list[Sent] = []
        self._rng = rng
        self._stops = sorted(rng.uniform(START + HOUR, self.month.end) for _ in range(restarts))
        self._state = PollingState()
        self._queue: asyncio.Queue[Event] = asyncio.Queue()

    @property
    def now(self) -> float:
        """The true time."""
        return START + asyncio.get_running_loop().time()

    def clock(self) -> float:
        """The wall clock, which is wrong for some hours."""
        now = self.now
        return now + sum(error for start, stop, error in self.wrong if start <= now < stop)

    async def run(self) -> None:
        for stop in [*self._stops, self.month.end]:
            if stop <= self.now:
                continue
            began = self.now
            await self._serve(until=stop)
            self.up.append((began, self.now))
            await asyncio.sleep(self._rng.choice([1.0, 60.0, HOUR, 8 * HOUR]))

    async def _serve(self, *, until: float) -> None:
        api = cast("ClashClient", MonthApi(self.month, lambda: self.now))
        loop = asyncio.get_running_loop()
        store = QueueStore(self._state, self._queue)
        engine = Engine(
            api,
            store,
            now=self.clock,
            uptime=loop.time,
            rng=random.Random(1),
            clan_games=self.month.clan_games,
        )
        engine.watch_api(interval=120.0, probe_tag=PROBE)
        engine.watch(WATCH)
        collecting = loop.create_task(self._collect())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(until - self.now):
                await engine.run()
        collecting.cancel()

    async def _collect(self) -> None:
        while True:
            event = await self._queue.get()
            if event.event_type.value.endswith("_reminder"):
                self.sent.append(self._sent(event))

    def _sent(self, event: Event) -> Sent:
        metadata = event.metadata
        part = {"raid_reminder": "raid", "clan_games_reminder": "games"}.get(event.event_type.value, "war")
        part = "cwl" if metadata.get("war_type") == "cwl" else part
        battle = min(
            (one for one in self.month.battles if one.part == part),
            key=lambda one: abs(
                self.month.end_of(one, self.now) - datetime.fromisoformat(metadata["end_at"]).timestamp()
            ),
        )
        return Sent(self.now, battle, metadata["hours_left"] * HOUR, event)

    def clock_error(self, at: float) -> float:
        """Return by how much the wall clock may have been wrong around a time."""
        return max(
            (abs(error) for start, stop, error in self.wrong if start - 2 * HOUR <= at < stop + 2 * HOUR), default=0
        )

    def knows_start(self, battle: Battle) -> bool:
        """Return whether the bridge ran while the points before the start of the clan games are polled."""
        return all(
            self.is_settled(battle.start - ago * MINUTE) and not self.clock_error(battle.start)
            for ago in range(1, 120, 5)
        )

    def is_settled(self, at: float) -> bool:
        """Return whether the bridge has run for a while, without a maintenance."""
        runs = any(began + SETTLING <= at < ended for began, ended in self.up)
        return runs and not any(start <= at < stop + SETTLING for start, stop in self.month.maintenances)


def names_of(event: Event) -> dict[str, int]:
    """Return the attacks left of the listed members; those who have not started to raid have five."""
    listed = {one["tag"]: one["attacks_left"] for one in event.metadata["members_attacks_left"]}
    return listed | {one["tag"]: 5 for one in event.metadata.get("members_not_started") or []}


def check(run: Run) -> None:
    """Check each reminder that was sent, and that none is missing."""
    month = run.month
    twice = Counter((one.battle.part, one.battle.start, one.time) for one in run.sent)
    assert [key for key, count in twice.items() if count > 1] == []
    for one in run.sent:
        error = run.clock_error(one.at)
        end = month.end_of(one.battle, one.at)
        due = end - one.time
        assert due - 1 - error <= one.at < end, one
        if isinstance(one.battle, Games):
            check_games(run, one, one.battle)
        else:
            check_attacks(run, one)
        if run.is_settled(due) and not error:
            assert one.at <= due + 1, one
            assert "catch_up" not in one.event.metadata, one
    for battle in month.battles:
        for time in TIMES[battle.part]:
            check_not_missing(run, battle, time)


def check_attacks(run: Run, one: Sent) -> None:
    metadata, error = one.event.metadata, run.clock_error(one.at)
    assert metadata["members_attacks_left"] or metadata.get("members_not_started"), one
    polled_at = datetime.fromisoformat(metadata["polled_at"]).timestamp()
    assert one.at - polled_at <= 60 or error or not run.is_settled(one.at), one
    if not error:
        assert names_of(one.event) == one.battle.left(polled_at), one


def check_games(run: Run, one: Sent, games: Games) -> None:
    """Check the members below the maximum: those of the last round of polls, which takes an hour."""
    points = {member["tag"]: member["points"] for member in one.event.metadata["members_below"]}
    assert points
    assert all(value <= games.points(tag, one.at) for tag, value in points.items())
    assert points.keys() >= games.left(one.at).keys()
    if run.is_settled(one.at - 2 * HOUR) and run.is_settled(one.at) and run.knows_start(games):
        earlier = one.at - 2 * HOUR
        assert points.keys() <= games.left(earlier).keys()
        assert all(value >= games.points(tag, earlier) for tag, value in points.items())


def check_not_missing(run: Run, battle: Battle, time: float) -> None:
    due = next_due(run.month, battle, time)
    later = [one for one in TIMES[battle.part] if one < time]
    chance_until = min([run.month.end_of(battle, due), *(next_due(run.month, battle, one) for one in later)])
    moments = [due + 10 * number for number in range(int((chance_until - due) // 10))]
    settled = [at for at in moments if run.is_settled(at) and not run.clock_error(at)]
    known = any(began <= due for began, _ in run.up) and battle.start < run.month.end - DAY
    if settled and known and battle.left(settled[0]) and battle.left(due) and not run.clock_error(due):
        sent = [one for one in run.sent if one.battle is battle and one.time == time]
        assert len(sent) == 1, (battle.part, battle.start - START, time)


def next_due(month: ClanMonth, battle: Battle, time: float) -> float:
    """Return when a reminder is due: the end may still move before it."""
    due = battle.end - time
    while (moved := month.end_of(battle, due) - time) > due:
        due = moved
    return due


def play(
    seed: int, *, days: int, restarts: int, jumps: int, games: ClanGames = EARLY_GAMES, monkeypatch: pytest.MonkeyPatch
) -> Run:
    # Nothing stalls in simulated time: without this, most of the time is spent on waking up.
    monkeypatch.setattr(scheduler, "_HEARTBEAT_S", HOUR)
    run: Run | None = None

    async def scenario() -> None:
        nonlocal run
        run = Run(seed, days=days, restarts=restarts, jumps=jumps, games=games)
        await run.run()

    simulate(scenario())
    assert run is not None
    return run


def test_each_reminder_is_sent_once_and_on_time(monkeypatch: pytest.MonkeyPatch) -> None:
    run = play(1, days=5, restarts=0, jumps=0, monkeypatch=monkeypatch)
    check(run)
    assert {one.battle.part for one in run.sent} == {"war", "cwl", "raid", "games"}


def test_reminders_survive_restarts_and_a_wrong_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    run = play(2, days=5, restarts=10, jumps=2, monkeypatch=monkeypatch)
    check(run)
    assert len(run.sent) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 14))
def test_month_of_reminders(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    games = ClanGames(max_points=MAX_POINTS)
    run = play(seed, days=30, restarts=seed % 3 * 20, jumps=seed % 2 * 6, games=games, monkeypatch=monkeypatch)
    check(run)
    assert len(run.sent) >= 15
