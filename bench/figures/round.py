"""Benchmark c: the duration of a round of all clans with an API latency of 50 ms."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bench.baselines import Baseline, baseline_program
from bench.bridge import Watching, bridge
from bench.clans import clan_tags
from bench.measuring import temporary_stack
from bench.programs import wait_until
from bench.rounds import find_rounds
from bench.servers import start_api, start_broker
from bench.spread import Spread
from bench.tables import Figure, Target, spreads

if TYPE_CHECKING:
    from contextlib import ExitStack

    from bench.options import Options
    from bench.programs import Program
    from bench.servers import Api

_CLANS = 1000
_LATENCY = 0.05
_PACE = 1000.0
# Long enough that even a slow first round ends before the second one starts.
_INTERVAL = 6.0
_RUNS = 3
_TIMEOUT_S = 180.0


def full_round(options: Options) -> Figure:
    """Measure the first two rounds of the bridge and one of each peer (up to a minute)."""
    clans = 200 if options.quick else _CLANS
    pairs = [_of_bridge(options, clans) for _ in range(min(_RUNS, options.runs))]
    cold, warm = ([pair[number] for pair in pairs] for number in (0, 1))
    peers = {
        str(one): _of_baseline(options, clans, one)
        for one in (Baseline("cocapi", "uvloop"), Baseline("coc.py", "uvloop"))
    }
    rows = [("coc2mqtt, the first round", cold), ("coc2mqtt, the second round", warm)]
    return Figure(
        "round",
        f"c. A round of {clans:,} clans, with an API latency of 50 ms",
        [
            spreads(
                "a full round",
                "s",
                [*rows, *((f"{name} (once)", [took]) for name, took in peers.items())],
                digits=2,
            )
        ],
        [
            Target(f"seconds for {name}", 2).verdict(Spread.of(took).median, digits=2)
            for name, took in (("the first round", cold), ("the second round", warm))
        ],
    )


def _of_bridge(options: Options, clans: int) -> tuple[float, float]:
    with temporary_stack() as (stack, folder):
        api = start_api(stack, folder, options, clans=clans, latency=_LATENCY)
        broker = start_broker(stack, folder)
        watching = Watching(interval=_INTERVAL, pace=_PACE)
        program = bridge(folder, api, broker, clan_tags(clans), watching)
        first, second = _rounds(stack, program, api, 2)
        print(f"  coc2mqtt: {first:.2f} s, {second:.2f} s", file=sys.stderr, flush=True)
        return first, second


def _of_baseline(options: Options, clans: int, which: Baseline) -> float:
    with temporary_stack() as (stack, folder):
        api = start_api(stack, folder, options, clans=clans, latency=_LATENCY)
        program = baseline_program(folder, api, clan_tags(clans), which, environment=options.peers)
        (first,) = _rounds(stack, program, api, 1)
        print(f"  {which}: {first:.2f} s", file=sys.stderr, flush=True)
        return first


def _rounds(stack: ExitStack, program: Program, api: Api, count: int) -> list[float]:
    """Run a program until ``count`` rounds are complete; return their durations in seconds."""
    stack.enter_context(program)
    wait_until(
        lambda: api.counts()["rounds"] >= count and _answered(api, count),
        seconds=_TIMEOUT_S,
        what=f"{program.name} makes {count} rounds",
        programs=[program],
    )
    return [found.seconds for found in find_rounds(api.polls())[:count]]


def _answered(api: Api, count: int) -> bool:
    rounds = find_rounds(api.polls())
    return len(rounds) >= count and rounds[count - 1].polls == api.clans
