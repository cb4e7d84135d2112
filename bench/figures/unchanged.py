"""Figure a: what an unchanged poll costs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bench.bridge import Watching
from bench.figures.peers import better_loop, pace_table
from bench.interleaved import interleave
from bench.measuring import cost_of_bridge, cost_of_rival
from bench.rivals import Rival
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
_PACE = 100.0
_PACED_RUNS = 3
_BRIDGE = "coc2mqtt"
_PEERS = ("cocapi", "coc.py")


def unchanged(options: Options) -> Figure:
    """Measure the bridge, the peers and the floor with clans that never change."""
    peers = [better_loop(options, name, _RIVALS_CLANS, changing=False) for name in _PEERS]
    floor = Rival("floor", "uvloop")
    free = _costs(options, _CLANS, _RIVALS_CLANS, [*peers, floor, Rival("floor", "asyncio")], options.runs)
    paced = [replace(one, pace=_PACE) for one in (*peers, floor)]
    even = _costs(options, int(_PACE), int(_PACE), paced, min(_PACED_RUNS, options.runs))
    return Figure(
        "unchanged",
        "a. An unchanged poll",
        [
            f"Each as fast as it can, coc2mqtt {_CLANS} polls a second:",
            *_tables(free, [*peers, floor]),
            f"All of them about {_PACE:g} polls a second:",
            *_tables(even, paced),
        ],
        [
            *_verdicts(free, peers[0], floor, "each at its own pace"),
            *_verdicts(even, paced[0], paced[-1], f"at {_PACE:g} polls a second"),
        ],
    )


def _costs(options: Options, clans: int, theirs: int, others: Sequence[Rival], runs: int) -> dict[str, list[Cost]]:
    makers = {_BRIDGE: partial(cost_of_bridge, options, clans, Watching(interval=1))}
    return interleave(makers | {str(one): partial(cost_of_rival, options, theirs, one) for one in others}, runs)


def _tables(costs: Mapping[str, Sequence[Cost]], others: Sequence[Rival]) -> list[str]:
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


def _verdicts(costs: Mapping[str, Sequence[Cost]], cocapi: Rival, floor: Rival, when: str) -> list[str]:
    ours, peer, least = ([cost.per_poll for cost in costs[name]] for name in (_BRIDGE, str(cocapi), str(floor)))
    less, more = Spread.of(ratios(peer, ours)).median, Spread.of(ratios(ours, least)).median
    return [
        Target(f"how many times less than cocapi, {when}", 8, at_least=True).verdict(less),
        Target(f"how many times the floor, {when}", 2).verdict(more, digits=2),
    ]
