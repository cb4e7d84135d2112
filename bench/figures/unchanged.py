"""Benchmark a: the cost of an unchanged poll."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bench.baselines import Baseline
from bench.bridge import Watching
from bench.figures.peers import better_loop, pace_table
from bench.interleaved import interleave
from bench.measuring import cost_of_baseline, cost_of_bridge
from bench.spread import Spread, ratios
from bench.tables import Figure, Target, spreads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.measuring import Cost
    from bench.options import Options

_CLANS = 500
# A program without a rate limit also polls these in less than a second.
_BASELINE_CLANS = 100
# A poll costs more at a low rate, because caches are cold. Therefore all are also measured at the same rate.
EQUAL_RATE = 100.0
# A rate limit this far above the rate spreads the polls over the whole interval.
HEADROOM = 1.13
# cocapi's limiter allows about 1.7 times the configured rate.
CONFIGURED_RATES = {"cocapi": 58.0}
_PACED_RUNS = 2
_BRIDGE = "coc2mqtt"
_PEERS = ("cocapi", "coc.py")


def unchanged(options: Options) -> Figure:
    """Measure the bridge, its peers and the floor with clans that never change."""
    options = replace(options, full=True)
    peers = [better_loop(options, name, _BASELINE_CLANS, changing=False) for name in _PEERS]
    floor = Baseline("floor", "uvloop")
    dense = _CLANS, Watching(interval=1)
    free = _costs(options, dense, _BASELINE_CLANS, [*peers, floor, Baseline("floor", "asyncio")], options.runs)
    paced = [replace(one, pace=CONFIGURED_RATES.get(one.name, EQUAL_RATE)) for one in (*peers, floor)]
    sparse = int(EQUAL_RATE), Watching(interval=1, pace=EQUAL_RATE * HEADROOM)
    even = _costs(options, sparse, int(EQUAL_RATE), paced, min(_PACED_RUNS, options.runs))
    return Figure(
        "unchanged",
        "a. An unchanged poll",
        [
            f"coc2mqtt at {_CLANS} polls per second, each other program at its highest rate, with clans of 50 kB:",
            *_tables(free, [*peers, floor]),
            f"All at about {EQUAL_RATE:g} polls per second, evenly spread:",
            *_tables(even, paced),
        ],
        [
            *_verdicts(
                free,
                peers[0],
                floor,
                f"cost of cocapi at its highest rate / cost of coc2mqtt at {_CLANS} polls per second",
                f"cost of coc2mqtt at {_CLANS} polls per second / cost of the floor at its highest rate",
            ),
            *_verdicts(
                even,
                paced[0],
                paced[-1],
                f"cost of cocapi / cost of coc2mqtt, both at {EQUAL_RATE:g} polls per second",
                f"cost of coc2mqtt / cost of the floor, both at {EQUAL_RATE:g} polls per second",
            ),
        ],
    )


def _costs(
    options: Options, ours: tuple[int, Watching], theirs: int, others: Sequence[Baseline], runs: int
) -> dict[str, list[Cost]]:
    """Measure the bridge with its number of clans, and the others with ``theirs``."""
    makers = {_BRIDGE: partial(cost_of_bridge, options, *ours)}
    return interleave(makers | {str(one): partial(cost_of_baseline, options, theirs, one) for one in others}, runs)


def _tables(costs: Mapping[str, Sequence[Cost]], others: Sequence[Baseline]) -> list[str]:
    times = {name: [cost.per_poll for cost in runs] for name, runs in costs.items()}
    ours = times[_BRIDGE]
    compared = [
        (f"coc2mqtt / {one}", ratios(ours, times[str(one)]))
        if one.name == "floor"
        else (f"{one} / coc2mqtt", ratios(times[str(one)], ours))
        for one in others
    ]
    return [
        spreads("processor time per poll", "ms", list(times.items()), digits=3),
        spreads("ratio, run by run", "", compared, digits=2),
        pace_table(costs),
    ]


def _verdicts(
    costs: Mapping[str, Sequence[Cost]], cocapi: Baseline, floor: Baseline, to_cocapi: str, to_floor: str
) -> list[str]:
    """Return the verdicts on the ratios to cocapi and to the floor, with these names."""
    ours, peer, least = ([cost.per_poll for cost in costs[name]] for name in (_BRIDGE, str(cocapi), str(floor)))
    less, more = Spread.of(ratios(peer, ours)).median, Spread.of(ratios(ours, least)).median
    return [
        Target(to_cocapi, 8, at_least=True).verdict(less),
        Target(to_floor, 2).verdict(more, digits=2),
    ]
