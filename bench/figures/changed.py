"""Figure b: what a changed poll costs, up to the broker's acknowledgement."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bench.bridge import Watching
from bench.figures.peers import better_loop, pace_table
from bench.interleaved import interleave
from bench.measuring import cost_of_bridge, cost_of_rival
from bench.spread import Spread, ratios
from bench.tables import Figure, Target, spreads

if TYPE_CHECKING:
    from bench.options import Options

_CLANS = 100
_WITH, _WITHOUT = "coc2mqtt", "coc2mqtt, homeassistant.enabled: false"


def changed(options: Options) -> Figure:
    """Measure the bridge and the peers with clans of which five members have donated at each poll."""
    peers = [better_loop(options, name, _CLANS, changing=True) for name in ("cocapi", "coc.py")]
    others = {str(one): partial(cost_of_rival, options, _CLANS, one, changing=True) for one in peers}
    ours = {
        name: partial(cost_of_bridge, options, _CLANS, Watching(interval=1, home_assistant=on), changing=True)
        for name, on in ((_WITH, True), (_WITHOUT, False))
    }
    costs = interleave({**ours, **others}, options.runs)
    times = {name: [cost.per_poll for cost in runs] for name, runs in costs.items()}
    compared = {f"{peer.name} / {name}": ratios(times[str(peer)], times[name]) for name in ours for peer in peers}
    return Figure(
        "changed",
        "b. A changed poll: 5 members, committed, published",
        [
            spreads("processor time per poll", "ms", list(times.items()), digits=3),
            spreads("ratio, run by run", "", list(compared.items()), digits=2),
            pace_table(costs),
        ],
        [
            Target(f"how many times less than cocapi, {name}", 3, at_least=True).verdict(
                Spread.of(compared[f"cocapi / {name}"]).median
            )
            for name in ours
        ],
    )
