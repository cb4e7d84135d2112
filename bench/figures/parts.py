"""Benchmark g: the cost of a poll of a league and of a raid weekend."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bench.bridge import Watching
from bench.figures.peers import pace_table
from bench.interleaved import interleave
from bench.measuring import cost_of_bridge
from bench.tables import Figure, spreads

if TYPE_CHECKING:
    from bench.measuring import Cost
    from bench.options import Options

# Every poll of a league makes three requests.
_REQUESTS = 3
_UNCHANGED, _CHANGED = 500, 90
_PACE = 1000.0


def parts(options: Options) -> Figure:
    """Measure the bridge with leagues and with raid weekends that never change, and with those that always do."""
    options = replace(options, full=True)
    same = _costs(options, _UNCHANGED, changing=False)
    new = _costs(options, _CHANGED, changing=True)
    return Figure(
        "parts",
        "g. A poll of a league and of a raid weekend",
        [
            f"Unchanged, {_UNCHANGED} requests per second:",
            *_tables(same),
            f"Changed, {_CHANGED} requests per second:",
            *_tables(new),
        ],
    )


def _costs(options: Options, requests: int, *, changing: bool) -> dict[str, list[Cost]]:
    watches = {
        "a clan (50 kB)": (requests, Watching(interval=1, pace=_PACE)),
        "a league: group (14 kB) and 2 wars (6 and 4 kB)": (
            requests // _REQUESTS,
            Watching(interval=1, pace=_PACE, cwl=True),
        ),
        "a raid weekend (90 kB)": (requests, Watching(interval=1, pace=_PACE, raids=True)),
    }
    makers = {
        name: partial(cost_of_bridge, options, clans, watching, changing=changing)
        for name, (clans, watching) in watches.items()
    }
    return interleave(makers, options.runs)


def _tables(costs: dict[str, list[Cost]]) -> list[str]:
    times = [(name, [cost.per_poll for cost in runs]) for name, runs in costs.items()]
    return [spreads("processor time per poll", "ms", times, digits=3), pace_table(costs)]
