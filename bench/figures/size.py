"""Figure f: what a poll costs among many clans and among few."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from bench.bridge import Watching, bridge
from bench.clans import clan_tags
from bench.measuring import observe, stage
from bench.programs import wait_until
from bench.servers import start_api, start_broker
from bench.spread import Spread, ratios
from bench.tables import Figure, Target, spreads

if TYPE_CHECKING:
    from bench.options import Options
    from bench.programs import Program
    from bench.servers import Api

_FEW, _MANY = 100, 10_000
# So many polls a second of each. The first polls of all take the share of the pace that the bridge gives them; with a
# pace little above what it needs, they are spread over the whole interval, and so are all others.
_RATE = 100.0
_PACE = 113.0
_WINDOW = 6.0
_PATIENCE = 300.0
# What the first round leaves to be done takes a while among many.
_SETTLE = 10.0


def size(options: Options) -> Figure:
    """Measure a bridge with many clans, and before and after it one with few."""
    many = 1_000 if options.quick else _MANY
    before = (options.runs + 1) // 2
    few = _windows(options, _FEW, before)
    much = _windows(options, many, options.runs)
    few += _windows(options, _FEW, options.runs - before)
    ratio = ratios(much, few)
    rows = [(f"{many:,} clans", much), (f"{_FEW} clans, half of it before, half after", few)]
    return Figure(
        "cost",
        f"f. An unchanged poll among {many:,} clans and among {_FEW}, {_RATE:g} polls a second",
        [
            spreads("processor time per poll", "ms", rows, digits=3),
            spreads("ratio, window by window", "", [(f"{many:,} clans / {_FEW} clans", ratio)], digits=2),
        ],
        [Target("how many times as much", 1.2).verdict(Spread.of(ratio).median, digits=2)],
    )


def _windows(options: Options, clans: int, count: int) -> list[float]:
    """Measure a bridge with so many clans in so many windows; returns the milliseconds for a poll in each."""
    if not count:
        return []
    with stage() as (stack, folder):
        api = start_api(stack, folder, options, clans=clans)
        broker = start_broker(stack, folder)
        watching = Watching(interval=clans / _RATE, pace=_PACE)
        program = stack.enter_context(bridge(folder, api, broker, clan_tags(clans), watching))
        wait_until(
            lambda: api.counts()["rounds"] >= 1,
            seconds=_PATIENCE,
            what=f"{clans} clans are polled",
            programs=[program],
        )
        time.sleep(1.0 if options.quick else _SETTLE)
        return [_cost(program, api, 3.0 if options.quick else _WINDOW) for _ in range(count)]


def _cost(program: Program, api: Api, seconds: float) -> float:
    cost = observe(program, api, seconds)
    print(f"  {api.clans} clans: {cost}", file=sys.stderr, flush=True)
    return cost.per_poll
