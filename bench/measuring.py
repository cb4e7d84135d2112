"""The processor time per poll: that of a program between two moments, divided by the polls between them."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.baselines import baseline_program
from bench.bridge import bridge
from bench.clans import clan_tags
from bench.programs import FailedError, wait_until
from bench.servers import EVENTS_PER_CHANGE, start_api, start_broker, start_subscriber

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.baselines import Baseline
    from bench.bridge import Watching
    from bench.options import Options
    from bench.programs import Program
    from bench.servers import Api, Subscriber

_START_TIMEOUT_S = 120.0
# One-time work after the first rounds, such as publishing discovery payloads, must not count as a cost of polls.
_WARM_UP_S = 1.0
_ROUNDS = 2
# How long to wait for the events of the start (seconds), and how many per clan may be missing: the first change, which
# the first poll does not report, and changes in flight.
_CATCH_UP_S = 30.0
_ALLOWED_BACKLOG = 1.1


@dataclass(frozen=True)
class Cost:
    """The cost of a poll in milliseconds of processor time, the polls per second, and the events per poll.

    ``busy`` is the load of the core by the program; ``api_busy`` is that of the scripted API.
    """

    per_poll: float
    polls_per_second: float
    busy: float
    api_busy: float
    events_per_poll: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.per_poll:.3f} ms, {self.polls_per_second:.0f} polls/s, {self.events_per_poll:.1f} events per poll"
        )


@contextmanager
def temporary_stack() -> Iterator[tuple[ExitStack, Path]]:
    """Provide a folder, and a stack that stops the processes using it before it is removed."""
    with (
        tempfile.TemporaryDirectory(prefix="coc2mqtt-bench-", ignore_cleanup_errors=True) as name,
        ExitStack() as stack,
    ):
        yield stack, Path(name)


def cost_of_bridge(options: Options, clans: int, watching: Watching, *, changing: bool = False) -> Cost:
    """Measure the bridge with ``clans`` clans; with ``changing`` each response has a change."""
    with temporary_stack() as (stack, folder):
        api = start_api(stack, folder, options, clans=clans)
        broker = start_broker(stack, folder)
        subscriber = start_subscriber(stack, folder, broker)
        api.script(each=changing)
        program = stack.enter_context(bridge(folder, api, broker, clan_tags(clans), watching))
        rounds = "part_rounds" if watching.cwl or watching.raids else "rounds"
        return measure(program, api, options.window, subscriber=subscriber, rounds=rounds)


def cost_of_baseline(options: Options, clans: int, which: Baseline, *, changing: bool = False) -> Cost:
    """Measure a peer or the floor in the same way."""
    with temporary_stack() as (stack, folder):
        api = start_api(stack, folder, options, clans=clans)
        api.script(each=changing)
        program = stack.enter_context(baseline_program(folder, api, clan_tags(clans), which, environment=options.peers))
        return measure(program, api, options.window)


def measure(
    program: Program, api: Api, window: float, *, subscriber: Subscriber | None = None, rounds: str = "rounds"
) -> Cost:
    """Measure a program for ``window`` seconds, after it has polled all clans (or their parts) several times."""
    api.clear()
    wait_until(
        lambda: api.counts()[rounds] >= _ROUNDS,
        seconds=_START_TIMEOUT_S,
        what=f"{program.name} polls every clan {_ROUNDS} times",
        programs=[program],
    )
    time.sleep(_WARM_UP_S)
    if subscriber is not None:
        _wait_for_events(program, api, subscriber)
    return observe(program, api, window, subscriber=subscriber)


def observe(program: Program, api: Api, window: float, *, subscriber: Subscriber | None = None) -> Cost:
    """Measure a program that runs steadily, for ``window`` seconds."""
    before = _reading(program, api, subscriber)
    time.sleep(window)
    after = _reading(program, api, subscriber)
    program.check()
    seconds, polls, busy, api_busy, events = (new - old for old, new in zip(before, after, strict=True))
    return Cost(busy / polls * 1000, polls / seconds, busy / seconds, api_busy / seconds, events / polls)


def _reading(program: Program, api: Api, subscriber: Subscriber | None) -> tuple[float, ...]:
    counts = api.counts()
    events = subscriber.events if subscriber else 0
    return counts["now"], counts["polls"], program.cpu_seconds, api.program.cpu_seconds, events


def _wait_for_events(program: Program, api: Api, subscriber: Subscriber) -> None:
    """Wait until nearly all events have arrived: the backlog of the start must not count as a cost of polls.

    If it is not processed in time, the table shows fewer events per poll than expected.
    """
    allowed = _ALLOWED_BACKLOG * EVENTS_PER_CHANGE * api.clans
    with suppress(FailedError):
        wait_until(
            lambda: api.counts()["changes"] * EVENTS_PER_CHANGE - subscriber.events <= allowed,
            seconds=_CATCH_UP_S,
            what="delivery of the events",
            programs=[program],
        )
    program.check()
