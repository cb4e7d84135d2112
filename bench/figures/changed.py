"""Figure b: what a changed poll costs, up to the broker's acknowledgement."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bench.bridge import Watching
from bench.figures.peers import better_loop, pace_table
from bench.figures.unchanged import EVEN_PACE, ROOM, TOLD
from bench.interleaved import interleave
from bench.measuring import cost_of_bridge, cost_of_rival
from bench.spread import Spread, ratios
from bench.tables import Figure, Target, spreads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.compared import Compared
    from bench.measuring import Cost
    from bench.options import Options

_CLANS = 300
_RIVALS_CLANS = 100
_PACED_RUNS = 2
_WITH, _WITHOUT = "coc2mqtt", "coc2mqtt, homeassistant.enabled: false"


def changed(options: Options) -> Figure:
    """Measure the bridge and the peers with clans of which five members have donated at each poll."""
    options = replace(options, full=True)
    peers = [better_loop(options, name, _RIVALS_CLANS, changing=True) for name in ("cocapi", "coc.py")]
    free = _costs(options, _CLANS, 1000.0, peers, options.runs)
    paced = [replace(one, pace=TOLD.get(one.name, EVEN_PACE)) for one in peers]
    even = _costs(options, int(EVEN_PACE), EVEN_PACE * ROOM, paced, min(_PACED_RUNS, options.runs))
    return Figure(
        "changed",
        "b. A changed poll: 5 members, committed, published",
        [
            f"Each as fast as it can, coc2mqtt {_CLANS} polls a second, with clans of full length:",
            *_tables(free, peers),
            f"All of them about {EVEN_PACE:g} polls a second, one by one:",
            *_tables(even, paced),
        ],
        [
            *_verdicts(free, peers[0], "each at its own pace"),
            *_verdicts(even, paced[0], f"at {EVEN_PACE:g} polls a second"),
        ],
    )


def _costs(options: Options, clans: int, pace: float, peers: Sequence[Compared], runs: int) -> dict[str, list[Cost]]:
    ours = {
        name: partial(cost_of_bridge, options, clans, Watching(interval=1, home_assistant=on, pace=pace), changing=True)
        for name, on in ((_WITH, True), (_WITHOUT, False))
    }
    others = {str(one): partial(cost_of_rival, options, _RIVALS_CLANS, one, changing=True) for one in peers}
    return interleave({**ours, **others}, runs)


def _tables(costs: Mapping[str, Sequence[Cost]], peers: Sequence[Compared]) -> list[str]:
    times = _times(costs)
    compared = [
        (f"{peer} / {name}", ratios(times[str(peer)], times[name])) for name in (_WITH, _WITHOUT) for peer in peers
    ]
    return [
        spreads("processor time per poll", "ms", list(times.items()), digits=3),
        spreads("ratio, run by run", "", compared, digits=2),
        pace_table(costs),
    ]


def _verdicts(costs: Mapping[str, Sequence[Cost]], cocapi: Compared, when: str) -> list[str]:
    times = _times(costs)
    return [
        Target(f"how many times less than cocapi, {name}, {when}", 3, at_least=True).verdict(
            Spread.of(ratios(times[str(cocapi)], times[name])).median
        )
        for name in (_WITH, _WITHOUT)
    ]


def _times(costs: Mapping[str, Sequence[Cost]]) -> dict[str, list[float]]:
    return {name: [cost.per_poll for cost in runs] for name, runs in costs.items()}
