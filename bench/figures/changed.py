"""Benchmark b: the cost of a changed poll, up to the broker's acknowledgement."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bench.bridge import Watching
from bench.figures.peers import better_loop, pace_table
from bench.figures.unchanged import CONFIGURED_RATES, EQUAL_RATE, HEADROOM
from bench.interleaved import interleave
from bench.measuring import cost_of_baseline, cost_of_bridge
from bench.spread import Spread, ratios
from bench.tables import Figure, Target, spreads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.baselines import Baseline
    from bench.measuring import Cost
    from bench.options import Options

_CLANS = 300
_BASELINE_CLANS = 100
_PACED_RUNS = 2
_WITH, _WITHOUT = "coc2mqtt", "coc2mqtt, homeassistant.enabled: false"


def changed(options: Options) -> Figure:
    """Measure the bridge and its peers with clans in which five members donate between polls."""
    options = replace(options, full=True)
    peers = [better_loop(options, name, _BASELINE_CLANS, changing=True) for name in ("cocapi", "coc.py")]
    free = _costs(options, _CLANS, 1000.0, peers, options.runs)
    paced = [replace(one, pace=CONFIGURED_RATES.get(one.name, EQUAL_RATE)) for one in peers]
    even = _costs(options, int(EQUAL_RATE), EQUAL_RATE * HEADROOM, paced, min(_PACED_RUNS, options.runs))
    return Figure(
        "changed",
        "b. A changed poll: 5 members, committed, published",
        [
            f"coc2mqtt at {_CLANS} polls per second, each other program at its highest rate, with clans of 50 kB:",
            *_tables(free, peers),
            f"All at about {EQUAL_RATE:g} polls per second, evenly spread:",
            *_tables(even, paced),
        ],
        [
            *_verdicts(
                free, peers[0], f"cost of cocapi at its highest rate / cost of {{}} at {_CLANS} polls per second"
            ),
            *_verdicts(even, paced[0], f"cost of cocapi / cost of {{}}, both at {EQUAL_RATE:g} polls per second"),
        ],
    )


def _costs(options: Options, clans: int, pace: float, peers: Sequence[Baseline], runs: int) -> dict[str, list[Cost]]:
    ours = {
        name: partial(cost_of_bridge, options, clans, Watching(interval=1, home_assistant=on, pace=pace), changing=True)
        for name, on in ((_WITH, True), (_WITHOUT, False))
    }
    others = {str(one): partial(cost_of_baseline, options, _BASELINE_CLANS, one, changing=True) for one in peers}
    return interleave({**ours, **others}, runs)


def _tables(costs: Mapping[str, Sequence[Cost]], peers: Sequence[Baseline]) -> list[str]:
    times = _times(costs)
    compared = [
        (f"{peer} / {name}", ratios(times[str(peer)], times[name])) for name in (_WITH, _WITHOUT) for peer in peers
    ]
    return [
        spreads("processor time per poll", "ms", list(times.items()), digits=3),
        spreads("ratio, run by run", "", compared, digits=2),
        pace_table(costs),
    ]


def _verdicts(costs: Mapping[str, Sequence[Cost]], cocapi: Baseline, what: str) -> list[str]:
    """Return the verdicts; ``what`` has a placeholder for the name of the bridge."""
    times = _times(costs)
    return [
        Target(what.format(title), 3, at_least=True).verdict(Spread.of(ratios(times[str(cocapi)], times[name])).median)
        for name, title in ((_WITH, "coc2mqtt"), (_WITHOUT, "coc2mqtt with `homeassistant.enabled: false`"))
    ]


def _times(costs: Mapping[str, Sequence[Cost]]) -> dict[str, list[float]]:
    return {name: [cost.per_poll for cost in runs] for name, runs in costs.items()}
