"""Figure a: what an unchanged poll costs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bench.bridge import Watching
from bench.compared import Compared
from bench.figures.peers import better_loop, pace_table
from bench.interleaved import interleave
from bench.measuring import cost_of_bridge, cost_of_rival
from bench.spread import Spread, ratios
from bench.tables import Figure, Target, spreads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.measuring import Cost
    from bench.options import Options

_CLANS = 500
# Who polls without a rest has a round of these in less than a second as well.
_RIVALS_CLANS = 100
# A poll costs more where there are few: caches are cold by then. So all are measured at one pace, too.
EVEN_PACE = 100.0
# With a pace so much above what it needs, and no more, the bridge's polls are spread over the whole interval.
ROOM = 1.13
# cocapi's limiter lets about 1.7 times as many through as it is told.
TOLD = {"cocapi": 58.0}
_PACED_RUNS = 2
_BRIDGE = "coc2mqtt"
_PEERS = ("cocapi", "coc.py")


def unchanged(options: Options) -> Figure:
    """Measure the bridge, the peers and the floor with clans that never change."""
    options = replace(options, full=True)
    peers = [better_loop(options, name, _RIVALS_CLANS, changing=False) for name in _PEERS]
    floor = Compared("floor", "uvloop")
    dense = _CLANS, Watching(interval=1)
    free = _costs(options, dense, _RIVALS_CLANS, [*peers, floor, Compared("floor", "asyncio")], options.runs)
    paced = [replace(one, pace=TOLD.get(one.name, EVEN_PACE)) for one in (*peers, floor)]
    sparse = int(EVEN_PACE), Watching(interval=1, pace=EVEN_PACE * ROOM)
    even = _costs(options, sparse, int(EVEN_PACE), paced, min(_PACED_RUNS, options.runs))
    return Figure(
        "unchanged",
        "a. An unchanged poll",
        [
            f"Each as fast as it can, coc2mqtt {_CLANS} polls a second, with clans of full length:",
            *_tables(free, [*peers, floor]),
            f"All of them about {EVEN_PACE:g} polls a second, one by one:",
            *_tables(even, paced),
        ],
        [
            *_verdicts(free, peers[0], floor, "each at its own pace"),
            *_verdicts(even, paced[0], paced[-1], f"at {EVEN_PACE:g} polls a second"),
        ],
    )


def _costs(
    options: Options, ours: tuple[int, Watching], theirs: int, others: Sequence[Compared], runs: int
) -> dict[str, list[Cost]]:
    """Measure the bridge with so many clans, and the others with so many of ``theirs``."""
    makers = {_BRIDGE: partial(cost_of_bridge, options, *ours)}
    return interleave(makers | {str(one): partial(cost_of_rival, options, theirs, one) for one in others}, runs)


def _tables(costs: Mapping[str, Sequence[Cost]], others: Sequence[Compared]) -> list[str]:
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


def _verdicts(costs: Mapping[str, Sequence[Cost]], cocapi: Compared, floor: Compared, when: str) -> list[str]:
    ours, peer, least = ([cost.per_poll for cost in costs[name]] for name in (_BRIDGE, str(cocapi), str(floor)))
    less, more = Spread.of(ratios(peer, ours)).median, Spread.of(ratios(ours, least)).median
    return [
        Target(f"how many times less than cocapi, {when}", 8, at_least=True).verdict(less),
        Target(f"how many times the floor, {when}", 2).verdict(more, digits=2),
    ]
