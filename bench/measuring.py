"""The processor time of a poll: a program's between two moments, divided by the polls between them."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.bridge import bridge
from bench.clans import clan_tags
from bench.compared import compared_program
from bench.programs import FailedError, wait_until
from bench.servers import EVENTS_PER_CHANGE, start_api, start_broker, start_subscriber

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.bridge import Watching
    from bench.compared import Compared
    from bench.options import Options
    from bench.programs import Program
    from bench.servers import Api, Subscriber

_START = 120.0
# After the first rounds: what a program does once, such as saying what it found, is not what a poll costs.
_SETTLE = 1.0
_ROUNDS = 2
# The longest that events of the start are waited for (seconds), and of how many changes of each clan they may be
# missing: of the first, which was no change to who saw the clan for the first time, and of those on their way.
_CATCH_UP = 30.0
_BEHIND = 1.1


@dataclass(frozen=True)
class Cost:
    """What a poll costs in milliseconds of processor time, at so many polls a second, with so many events each.

    ``busy`` is the share of the time in which the core worked for the program; ``api_busy`` is the scripted API's.
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
def stage() -> Iterator[tuple[ExitStack, Path]]:
    """Give a folder, and a stack on which the processes that work in it end before it goes."""
    with (
        tempfile.TemporaryDirectory(prefix="coc2mqtt-bench-", ignore_cleanup_errors=True) as name,
        ExitStack() as stack,
    ):
        yield stack, Path(name)


def cost_of_bridge(options: Options, clans: int, watching: Watching, *, changing: bool = False) -> Cost:
    """Measure the bridge with so many clans, of which each answer is ``changing`` or none is."""
    with stage() as (stack, folder):
        api = start_api(stack, folder, options, clans=clans)
        broker = start_broker(stack, folder)
        subscriber = start_subscriber(stack, folder, broker)
        api.script(each=changing)
        program = stack.enter_context(bridge(folder, api, broker, clan_tags(clans), watching))
        return measure(program, api, options.window, subscriber=subscriber)


def cost_of_rival(options: Options, clans: int, which: Compared, *, changing: bool = False) -> Cost:
    """Measure a peer or the floor, likewise."""
    with stage() as (stack, folder):
        api = start_api(stack, folder, options, clans=clans)
        api.script(each=changing)
        program = stack.enter_context(compared_program(folder, api, clan_tags(clans), which, environment=options.peers))
        return measure(program, api, options.window)


def measure(program: Program, api: Api, window: float, *, subscriber: Subscriber | None = None) -> Cost:
    """Measure a program once it has polled all clans some times, for ``window`` seconds."""
    api.clear()
    wait_until(
        lambda: api.counts()["rounds"] >= _ROUNDS,
        seconds=_START,
        what=f"{program.name} polls every clan {_ROUNDS} times",
        programs=[program],
    )
    time.sleep(_SETTLE)
    if subscriber is not None:
        _wait_for_events(program, api, subscriber)
    return observe(program, api, window, subscriber=subscriber)


def observe(program: Program, api: Api, window: float, *, subscriber: Subscriber | None = None) -> Cost:
    """Measure a program that runs evenly already, for ``window`` seconds."""
    before = _moment(program, api, subscriber)
    time.sleep(window)
    after = _moment(program, api, subscriber)
    program.check()
    seconds, polls, busy, api_busy, events = (new - old for old, new in zip(before, after, strict=True))
    return Cost(busy / polls * 1000, polls / seconds, busy / seconds, api_busy / seconds, events / polls)


def _moment(program: Program, api: Api, subscriber: Subscriber | None) -> tuple[float, ...]:
    counts = api.counts()
    events = subscriber.events if subscriber else 0
    return counts["now"], counts["polls"], program.cpu_seconds, api.program.cpu_seconds, events


def _wait_for_events(program: Program, api: Api, subscriber: Subscriber) -> None:
    """Wait until nearly all events have come: those of the start that waited for something are no poll's cost.

    Where they do not, they are fewer for each poll than the poll makes, and the table says so.
    """
    allowed = _BEHIND * EVENTS_PER_CHANGE * api.clans
    with suppress(FailedError):
        wait_until(
            lambda: api.counts()["changes"] * EVENTS_PER_CHANGE - subscriber.events <= allowed,
            seconds=_CATCH_UP,
            what="the events have come",
            programs=[program],
        )
    program.check()
