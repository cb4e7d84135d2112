"""Figure a: what an unchanged poll costs."""

from __future__ import annotations

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
    from bench.options import Options

_CLANS = 500
# Who polls without a rest has a round of these in less than a second as well.
_RIVALS_CLANS = 100
_BRIDGE = "coc2mqtt"


def unchanged(options: Options) -> Figure:
    """Measure the bridge, the peers and the floor with clans that never change."""
    peers = [better_loop(options, name, _RIVALS_CLANS, changing=False) for name in ("cocapi", "coc.py")]
    floors = [Rival("floor", "uvloop"), Rival("floor", "asyncio")]
    others = {str(one): partial(cost_of_rival, options, _RIVALS_CLANS, one) for one in (*peers, *floors)}
    costs = interleave(
        {_BRIDGE: partial(cost_of_bridge, options, _CLANS, Watching(interval=1)), **others}, options.runs
    )
    times = {name: [cost.per_poll for cost in runs] for name, runs in costs.items()}
    cocapi, coc_py = (ratios(times[str(peer)], times[_BRIDGE]) for peer in peers)
    floor = ratios(times[_BRIDGE], times[str(floors[0])])
    compared = [("cocapi / coc2mqtt", cocapi), ("coc.py / coc2mqtt", coc_py), ("coc2mqtt / floor, uvloop", floor)]
    return Figure(
        "unchanged",
        "a. An unchanged poll",
        [
            spreads("processor time per poll", "ms", list(times.items()), digits=3),
            spreads("ratio, run by run", "", compared, digits=2),
            pace_table(costs),
        ],
        [
            Target("how many times less than cocapi", 8, at_least=True).verdict(Spread.of(cocapi).median),
            Target("how many times the floor", 2).verdict(Spread.of(floor).median, digits=2),
        ],
    )
