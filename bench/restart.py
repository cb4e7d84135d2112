"""A bridge's life among very many clans: it starts, is killed while they change, and starts again."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.bridge import bridge
from bench.checks import CheckResult, check_events
from bench.clans import Clans, clan_tags
from bench.compared import Compared, compared_program
from bench.measuring import stage
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

_START = 300.0
# After the first round: what is published then is under way (seconds).
_SETTLE = 5.0
# The clans begin to change, so many a second, of five members each; after so many changes it is killed.
_CHANGES = 40.0
_CHANGED = 100
# One clan of so many changes while nobody watches.
_UNSEEN = 20
# So long is waited for what is lost, and for what is invented when all has come (seconds).
_PATIENCE, _QUIET = 120.0, 3.0
_LOOK = 1.0


@dataclass(frozen=True)
class RestartResult:
    """What was seen. Times are seconds from a process's start, memory is MB, ``busiest`` is requests in one second.

    ``peak`` is the most that either process had. ``online``, ``polled`` and ``told`` (an event came) are of the second,
    inf where that did not happen.
    """

    round: float
    busiest: int
    busiest_of_a_token: int
    memory: float
    peak: float
    online: float
    polled: float
    told: float
    round_again: float
    verdict: CheckResult


def measure_restart(options: Options, clans: int, watching: Watching) -> RestartResult:
    """Let a bridge live once; FailedError where it does not come so far."""
    with stage() as (stack, folder):
        api = start_api(stack, folder, options, clans=clans)
        broker = start_broker(stack, folder)
        subscriber = start_subscriber(stack, folder, broker)
        program = bridge(folder, api, broker, clan_tags(clans), watching)
        began = time.monotonic()
        stack.enter_context(program)
        polls = _first_round(program, api, war=watching.war)
        time.sleep(_SETTLE)
        memory, _ = program.memory
        api.script(rate=_CHANGES)
        _wait_for_changes(program, api)
        peak = program.memory[1]
        program.end(signal.SIGKILL)
        api.script()
        api.bump(clans // _UNSEEN)
        api.clear()
        again = time.monotonic()
        stack.enter_context(program)
        polls_again = _first_round(program, api, war=watching.war)
        receipts = _everything_told(program, api, subscriber)
        everything = [poll.asked for poll in (*polls, *polls_again)]
        restart = RestartResult(
            round=_end(polls) - began,
            busiest=most_in_a_second(everything),
            busiest_of_a_token=max(map(most_in_a_second, _by_token((*polls, *polls_again)))),
            memory=memory,
            peak=max(peak, program.memory[1]),
            online=_first(receipts, again, _is_online) - again,
            polled=polls_again[0].asked - again,
            told=_first(receipts, again, lambda receipt: receipt.topic != STATE) - again,
            round_again=_end(polls_again) - again,
            verdict=_judge(api, receipts),
        )
        print(f"  {restart}", file=sys.stderr, flush=True)
        return restart


def memory_of_one(options: Options, watching: Watching) -> float:
    """Return what a bridge that watches one clan has resident, in MB."""
    with stage() as (stack, folder):
        api = start_api(stack, folder, options, clans=1)
        program = stack.enter_context(bridge(folder, api, start_broker(stack, folder), clan_tags(1), watching))
        _first_round(program, api, war=watching.war)
        time.sleep(_SETTLE)
        return program.memory[0]


def memory_of_peer(options: Options, name: str, clans: int) -> float:
    """Return by how much a peer's resident memory grows from its first poll to the end of the second round, in MB."""
    with stage() as (stack, folder):
        api = start_api(stack, folder, options, clans=clans)
        which = Compared(name, "uvloop")
        program = stack.enter_context(compared_program(folder, api, clan_tags(clans), which, environment=options.peers))
        wait_until(lambda: api.counts()["polls"] > 0, seconds=_START, what=f"{name} polls", programs=[program])
        before, _ = program.memory
        wait_until(lambda: api.counts()["rounds"] > 1, seconds=_START, what=f"{name} polls twice", programs=[program])
        return program.memory[0] - before


def _first_round(program: Program, api: Api, *, war: bool) -> list[Poll]:
    """Wait until everything was polled once; returns the polls until now."""

    def is_complete() -> bool:
        counts = api.counts()
        return counts["rounds"] > 0 and (counts["war_rounds"] > 0 or not war)

    wait_until(is_complete, seconds=_START, what=f"{program.name} polls everything", programs=[program])
    return api.polls()


def _wait_for_changes(program: Program, api: Api) -> None:
    """Wait until it is in the midst of a round whose answers tell of changes."""
    wait_until(
        lambda: api.counts()["changes"] >= _CHANGED,
        seconds=_START,
        what=f"{program.name} polls what changes",
        programs=[program],
    )


def _end(polls: Iterable[Poll]) -> float:
    return find_rounds(polls)[0].end


def _by_token(polls: Iterable[Poll]) -> list[list[float]]:
    asked = defaultdict[int, list[float]](list)
    for poll in polls:
        asked[poll.token].append(poll.asked)
    return list(asked.values())


def _everything_told(program: Program, api: Api, subscriber: Subscriber) -> list[Receipt]:
    """Wait until every change was told, or for long enough, and then whether anything else comes."""
    until = time.monotonic() + _PATIENCE
    receipts = subscriber.receipts()
    while _judge(api, receipts).lost and time.monotonic() < until:
        program.check()
        time.sleep(_LOOK)
        receipts += subscriber.receipts()
    time.sleep(_QUIET)
    return receipts + subscriber.receipts()


def _first(receipts: Iterable[Receipt], since: float, fits: Callable[[Receipt], bool]) -> float:
    return next((receipt.at for receipt in receipts if receipt.at >= since and fits(receipt)), math.inf)


def _is_online(receipt: Receipt) -> bool:
    return receipt.topic == STATE and receipt.payload["state"] == "online"


def _judge(api: Api, receipts: Iterable[Receipt]) -> CheckResult:
    clans = Clans(api.clans)
    before, after = dict[str, int](), dict[str, int]()
    for number, version in enumerate(api.versions()):
        if version:
            before |= clans.donations(number, 0)
            after |= clans.donations(number, version)
    return check_events(receipts, before, after)
