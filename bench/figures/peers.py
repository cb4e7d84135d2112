"""Shared parts of the benchmarks that compare costs."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.baselines import Baseline
from bench.measuring import cost_of_baseline
from bench.spread import Spread
from bench.tables import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.measuring import Cost
    from bench.options import Options

_TRIAL = 2.0
_found: dict[str, Baseline] = {}


def better_loop(options: Options, name: str, clans: int, *, changing: bool) -> Baseline:
    """Return a peer with the event loop on which it costs less, from a short trial shared by all benchmarks."""
    if name in _found:
        return _found[name]
    trial = replace(options, window=min(options.window, _TRIAL))
    costs = {
        loop: cost_of_baseline(trial, clans, Baseline(name, loop), changing=changing) for loop in ("uvloop", "asyncio")
    }
    for loop, cost in costs.items():
        print(f"  trial of {name} on {loop}: {cost}", file=sys.stderr, flush=True)
    _found[name] = Baseline(name, min(costs, key=lambda loop: costs[loop].per_poll))
    return _found[name]


def pace_table(costs: Mapping[str, Sequence[Cost]]) -> str:
    """Return a table of the medians of the other measurements."""
    rows = []
    for name, runs in costs.items():
        rate, busy, api, events = (
            Spread.of([getattr(cost, what) for cost in runs]).median
            for what in ("polls_per_second", "busy", "api_busy", "events_per_poll")
        )
        rows.append([name, f"{rate:,.0f}", f"{busy:.0%}", f"{api:.0%}", f"{events:.1f}" if events else "-"])
    return table(
        ["during the measurement (medians)", "polls/s", "load of its core", "load of the API", "MQTT events per poll"],
        rows,
    )
