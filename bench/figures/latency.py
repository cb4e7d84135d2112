"""Benchmark e: the latency from a changed response to a subscriber."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from bench.bridge import Watching, bridge
from bench.clans import Clans, clan_tags
from bench.measuring import temporary_stack
from bench.programs import wait_until
from bench.servers import start_api, start_broker, start_subscriber
from bench.spread import Spread, percentile
from bench.tables import Figure, Target, spreads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.options import Options
    from bench.programs import Program
    from bench.servers import Api, Receipt, Subscriber

_CLANS = 500
_EVENTS_PER_SECOND = 100.0
_SECONDS = 30.0
_RUNS = 2
_ROUNDS = 3
# Warm-up before the measurement: devices are announced, caches are filled (seconds).
_WARM_UP_S = 3.0
_TIMEOUT_S = 60.0
_QUIET = 2.0


def latency(options: Options) -> Figure:
    """Measure the latency of each event at a hundred per second, in milliseconds."""
    runs = [_run(options, 5.0 if options.quick else _SECONDS) for _ in range(min(_RUNS, options.runs))]
    rows = {
        "median": [percentile(run, 0.5) for run in runs],
        "99 of 100 within": [percentile(run, 0.99) for run in runs],
        "longest": [max(run) for run in runs],
    }
    events = sum(map(len, runs))
    return Figure(
        "latency",
        f"e. From the response to the subscriber, {_EVENTS_PER_SECOND:g} events per second",
        [
            spreads("latency of an event", "ms", list(rows.items()), digits=1),
            f"{events:,} events in {len(runs)} runs; all of them arrived.",
        ],
        [
            Target("median in ms", 30).verdict(Spread.of(rows["median"]).median),
            Target("99th percentile in ms", 150).verdict(Spread.of(rows["99 of 100 within"]).median),
        ],
    )


def _run(options: Options, seconds: float) -> list[float]:
    with temporary_stack() as (stack, folder):
        api = start_api(stack, folder, options, clans=_CLANS, width=1)
        broker = start_broker(stack, folder)
        subscriber = start_subscriber(stack, folder, broker)
        watching = Watching(interval=1, home_assistant=True)
        program = stack.enter_context(bridge(folder, api, broker, clan_tags(_CLANS), watching))
        wait_until(
            lambda: api.counts()["rounds"] >= _ROUNDS,
            seconds=_TIMEOUT_S,
            what="the clans are polled",
            programs=[program],
        )
        api.script(rate=_EVENTS_PER_SECOND)
        _wait_for_events(api, subscriber, program, least=1)
        time.sleep(_WARM_UP_S)
        start = time.monotonic()
        time.sleep(seconds)
        api.script()
        _wait_for_events(api, subscriber, program, least=api.counts()["changes"])
        times = _times(api.changes(), subscriber.receipts(), start)
        found = Spread.of(times)
        print(f"  {len(times)} events, median {found.median:.1f} ms, longest {found.maximum:.1f} ms", file=sys.stderr)
        return times


def _wait_for_events(api: Api, subscriber: Subscriber, program: Program, *, least: int) -> None:
    wait_until(
        lambda: subscriber.events >= least,
        seconds=_TIMEOUT_S,
        what=f"all {api.counts()['changes']} events arrive",
        programs=[program],
    )


def _times(changes: Iterable[tuple[int, int, float]], receipts: Iterable[Receipt], start: float) -> list[float]:
    """Return the latencies of all changes from ``begin`` on, in milliseconds."""
    clans = Clans(_CLANS, width=1)
    arrivals = {
        (receipt.payload["metadata"]["member_tag"], receipt.payload["changes"][0]["new_value"]): receipt.at
        for receipt in receipts
        if "event_type" in receipt.payload
    }
    changed = [(clans.changed(number, version)[0], at) for number, version, at in changes if at >= start]
    return [(arrivals[change] - at) * 1000 for change, at in changed]
