"""A bridge with many clans: it starts, is killed while they change, and restarts."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.baselines import Baseline, baseline_program
from bench.bridge import bridge
from bench.checks import CheckResult, check_events
from bench.clans import Clans, clan_tags
from bench.measuring import temporary_stack
from bench.programs import wait_until
from bench.rounds import find_rounds
from bench.servers import start_api, start_broker, start_subscriber
from bench.spread import most_in_a_second
from bench.subscriber import STATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bench.bridge import Watching
    from bench.options import Options
    from bench.programs import Program
    from bench.servers import Api, Poll, Receipt, Subscriber

_START_TIMEOUT_S = 300.0
# Time for the messages after the first round (seconds).
_WARM_UP_S = 5.0
# Changes per second, of five members each; the bridge is killed after this number of changes.
_CHANGES_PER_SECOND = 40.0
_CHANGES_BEFORE_KILL = 100
# One in this many clans changes while the bridge is stopped.
_CLANS_PER_OFFLINE_CHANGE = 20
# How long to wait for missing events, and for false ones after all have arrived (seconds).
_TIMEOUT_S, _QUIET_S = 120.0, 3.0
_POLL_INTERVAL_S = 1.0


@dataclass(frozen=True)
class RestartResult:
    """The measurements. Times are seconds from the start of a process, memory is MB.

    ``busiest`` is the most requests in one second, ``peak`` the highest memory of either process. ``online``,
    ``polled`` and ``first_event`` are those of the second process, inf if they did not happen.
    """

    first_round: float
    busiest: int
    busiest_token: int
    memory: float
    peak: float
    online: float
    polled: float
    first_event: float
    round_after_restart: float
    checked: CheckResult


def measure_restart(options: Options, clans: int, watching: Watching) -> RestartResult:
    """Run, kill and restart a bridge once; raises FailedError if it does not get that far."""
    with temporary_stack() as (stack, folder):
        api = start_api(stack, folder, options, clans=clans)
        broker = start_broker(stack, folder)
        subscriber = start_subscriber(stack, folder, broker)
        program = bridge(folder, api, broker, clan_tags(clans), watching)
        started = time.monotonic()
        stack.enter_context(program)
        polls = _first_round(program, api, war=watching.war)
        time.sleep(_WARM_UP_S)
        memory, _ = program.memory
        api.script(rate=_CHANGES_PER_SECOND)
        _wait_for_changes(program, api)
        peak = program.memory[1]
        program.stop(signal.SIGKILL)
        api.script()
        api.bump(clans // _CLANS_PER_OFFLINE_CHANGE)
        api.clear()
        again = time.monotonic()
        stack.enter_context(program)
        polls_again = _first_round(program, api, war=watching.war)
        receipts = _wait_for_events(program, api, subscriber)
        everything = [poll.requested_at for poll in (*polls, *polls_again)]
        restart = RestartResult(
            first_round=_end(polls) - started,
            busiest=most_in_a_second(everything),
            busiest_token=max(map(most_in_a_second, _by_token((*polls, *polls_again)))),
            memory=memory,
            peak=max(peak, program.memory[1]),
            online=_first(receipts, again, _is_online) - again,
            polled=polls_again[0].requested_at - again,
            first_event=_first(receipts, again, lambda receipt: receipt.topic != STATE) - again,
            round_after_restart=_end(polls_again) - again,
            checked=_check_events(api, receipts),
        )
        print(f"  {restart}", file=sys.stderr, flush=True)
        return restart


def memory_of_one(options: Options, watching: Watching) -> float:
    """Return the resident memory of a bridge that watches one clan, in MB."""
    with temporary_stack() as (stack, folder):
        api = start_api(stack, folder, options, clans=1)
        program = stack.enter_context(bridge(folder, api, start_broker(stack, folder), clan_tags(1), watching))
        _first_round(program, api, war=watching.war)
        time.sleep(_WARM_UP_S)
        return program.memory[0]


def memory_of_peer(options: Options, name: str, clans: int) -> float:
    """Return the growth of a peer's resident memory from its first poll to the end of the second round, in MB."""
    with temporary_stack() as (stack, folder):
        api = start_api(stack, folder, options, clans=clans)
        which = Baseline(name, "uvloop")
        program = stack.enter_context(baseline_program(folder, api, clan_tags(clans), which, environment=options.peers))
        wait_until(
            lambda: api.counts()["polls"] > 0, seconds=_START_TIMEOUT_S, what=f"{name} polls", programs=[program]
        )
        before, _ = program.memory
        wait_until(
            lambda: api.counts()["rounds"] > 1, seconds=_START_TIMEOUT_S, what=f"{name} polls twice", programs=[program]
        )
        return program.memory[0] - before


def _first_round(program: Program, api: Api, *, war: bool) -> list[Poll]:
    """Wait until everything was polled once; return the polls so far."""

    def is_complete() -> bool:
        counts = api.counts()
        return counts["rounds"] > 0 and (counts["part_rounds"] > 0 or not war)

    wait_until(is_complete, seconds=_START_TIMEOUT_S, what=f"{program.name} polls everything", programs=[program])
    return api.polls()


def _wait_for_changes(program: Program, api: Api) -> None:
    """Wait until the bridge is in the middle of a round with changed responses."""
    wait_until(
        lambda: api.counts()["changes"] >= _CHANGES_BEFORE_KILL,
        seconds=_START_TIMEOUT_S,
        what=f"{program.name} polls what changes",
        programs=[program],
    )


def _end(polls: Iterable[Poll]) -> float:
    return find_rounds(polls)[0].end


def _by_token(polls: Iterable[Poll]) -> list[list[float]]:
    asked = defaultdict[int, list[float]](list)
    for poll in polls:
        asked[poll.token].append(poll.requested_at)
    return list(asked.values())


def _wait_for_events(program: Program, api: Api, subscriber: Subscriber) -> list[Receipt]:
    """Wait until every change was reported, up to a timeout, and then for unexpected events."""
    until = time.monotonic() + _TIMEOUT_S
    receipts = subscriber.receipts()
    while _check_events(api, receipts).lost and time.monotonic() < until:
        program.check()
        time.sleep(_POLL_INTERVAL_S)
        receipts += subscriber.receipts()
    time.sleep(_QUIET_S)
    return receipts + subscriber.receipts()


def _first(receipts: Iterable[Receipt], since: float, fits: Callable[[Receipt], bool]) -> float:
    return next((receipt.at for receipt in receipts if receipt.at >= since and fits(receipt)), math.inf)


def _is_online(receipt: Receipt) -> bool:
    return receipt.topic == STATE and receipt.payload["state"] == "online"


def _check_events(api: Api, receipts: Iterable[Receipt]) -> CheckResult:
    clans = Clans(api.clans)
    before, after = dict[str, int](), dict[str, int]()
    for number, version in enumerate(api.versions()):
        if version:
            before |= clans.donations(number, 0)
            after |= clans.donations(number, version)
    return check_events(receipts, before, after)
