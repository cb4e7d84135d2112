"""Benchmark f: the cost of a poll with many clans and with few."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from bench.bridge import Watching, bridge
from bench.clans import clan_tags
from bench.measuring import observe, temporary_stack
from bench.programs import wait_until
from bench.servers import start_api, start_broker
from bench.spread import Spread, ratios
from bench.tables import Figure, Target, spreads

if TYPE_CHECKING:
    from bench.options import Options
    from bench.programs import Program
    from bench.servers import Api

_FEW, _MANY = 100, 10_000
# The polls per second of each. The first polls use the rate limit fully; a limit just above the rate spreads them, and
# so all later ones, over the whole interval.
_RATE = 100.0
_PACE = 113.0
_WINDOW = 6.0
_TIMEOUT_S = 300.0
# Work left by the first round takes a while with many clans.
_WARM_UP_S = 10.0


def size(options: Options) -> Figure:
    """Measure a bridge with many clans, and one with few clans before and after it."""
    many = 1_000 if options.quick else _MANY
    before = (options.runs + 1) // 2
    few = _windows(options, _FEW, before)
    much = _windows(options, many, options.runs)
    few += _windows(options, _FEW, options.runs - before)
    ratio = ratios(much, few)
    rows = [(f"{many:,} clans", much), (f"{_FEW} clans, half before and half after", few)]
    return Figure(
        "cost",
        f"f. An unchanged poll with {many:,} clans and with {_FEW}, {_RATE:g} polls per second",
        [
            spreads("processor time per poll", "ms", rows, digits=3),
            spreads("ratio, window by window", "", [(f"{many:,} clans / {_FEW} clans", ratio)], digits=2),
        ],
        [Target("ratio of the costs", 1.2).verdict(Spread.of(ratio).median, digits=2)],
    )


def _windows(options: Options, clans: int, count: int) -> list[float]:
    """Measure a bridge with ``clans`` clans in ``count`` windows; return the milliseconds per poll in each."""
    if not count:
        return []
    with temporary_stack() as (stack, folder):
        api = start_api(stack, folder, options, clans=clans)
        broker = start_broker(stack, folder)
        watching = Watching(interval=clans / _RATE, pace=_PACE)
        program = stack.enter_context(bridge(folder, api, broker, clan_tags(clans), watching))
        wait_until(
            lambda: api.counts()["rounds"] >= 1,
            seconds=_TIMEOUT_S,
            what=f"{clans} clans are polled",
            programs=[program],
        )
        time.sleep(1.0 if options.quick else _WARM_UP_S)
        return [_cost(program, api, 3.0 if options.quick else _WINDOW) for _ in range(count)]


def _cost(program: Program, api: Api, seconds: float) -> float:
    cost = observe(program, api, seconds)
    print(f"  {api.clans} clans: {cost}", file=sys.stderr, flush=True)
    return cost.per_poll
