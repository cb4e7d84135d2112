"""Benchmark d: ten thousand clans: memory, start, and restart after a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.bridge import Watching
from bench.restart import RestartResult, measure_restart, memory_of_one, memory_of_peer
from bench.tables import Figure, Target, table

if TYPE_CHECKING:
    from bench.options import Options

_CLANS = 10_000
_TOKENS, _PACE = 10, 100.0
_INTERVAL = 30.0
_PEERS_CLANS = 1_000


def many(options: Options) -> Figure:
    """Measure a bridge with ten thousand clans, without and with their wars, and the peers' memory."""
    clans = _PEERS_CLANS if options.quick else _CLANS
    watching = {war: _watching(war=war) for war in (False, True)}
    one = memory_of_one(options, watching[False])
    restarts = {war: measure_restart(options, clans, watching[war]) for war in watching}
    memory = [
        [f"coc2mqtt, {_name(clans, war=war)}", f"{(restart.memory - one) / clans * 1000:.1f}"]
        for war, restart in restarts.items()
    ]
    for name in ("cocapi", "coc.py"):
        grown = memory_of_peer(options, name, _PEERS_CLANS)
        memory.append([f"{name}, {_PEERS_CLANS:,} clans", f"{grown / _PEERS_CLANS * 1000:.1f}"])
    return Figure(
        "many",
        f"d. {clans:,} clans, {_TOKENS} tokens of {_PACE:g} requests per second each",
        [
            _table({_name(clans, war=war): restart for war, restart in restarts.items()}, one),
            table(["memory per clan, beyond the program's own", "kB"], memory),
        ],
        [line for war, restart in restarts.items() for line in _verdicts(_name(clans, war=war), restart)],
    )


def _watching(*, war: bool) -> Watching:
    return Watching(_INTERVAL, pace=_PACE, tokens=_TOKENS, war=war, war_interval=_INTERVAL, home_assistant=True)


def _name(clans: int, *, war: bool) -> str:
    return f"{clans:,} clans and their wars" if war else f"{clans:,} clans"


def _table(restarts: dict[str, RestartResult], one: float) -> str:
    rows = {
        "from the start to the end of the first round, s": lambda restart: f"{restart.first_round:.1f}",
        "most requests in any one second": lambda restart: f"{restart.busiest:,}",
        "most requests of one token in any second": lambda restart: f"{restart.busiest_token:,}",
        "resident memory after the first round, MB": lambda restart: f"{restart.memory:.0f}",
        "peak resident memory before and after the restart, MB": lambda restart: f"{restart.peak:.0f}",
        "restart after a kill: online after, s": lambda restart: f"{restart.online:.2f}",
        "first poll after, s": lambda restart: f"{restart.polled:.2f}",
        "first event after, s": lambda restart: f"{restart.first_event:.2f}",
        "end of the first round after, s": lambda restart: f"{restart.round_after_restart:.1f}",
        "members with all changes reported": lambda restart: f"{restart.checked.reported:,}",
        "members with a lost change": lambda restart: f"{restart.checked.lost:,}",
        "false events": lambda restart: f"{restart.checked.false:,}",
        "events resent under the same id": lambda restart: f"{restart.checked.resent:,}",
    }
    body = [[name, *map(value, restarts.values())] for name, value in rows.items()]
    return table(
        ["", *restarts], [*body, ["for comparison: memory with 1 clan, MB", f"{one:.0f}", *[""] * (len(restarts) - 1)]]
    )


def _verdicts(name: str, restart: RestartResult) -> list[str]:
    errors = restart.checked.lost + restart.checked.false
    return [
        Target(f"{name}: resident memory after the first round in MB", 200).verdict(restart.memory, digits=0),
        Target(f"{name}: peak resident memory in MB", 200).verdict(restart.peak, digits=0),
        Target(f"{name}: most requests in a second", _TOKENS * _PACE).verdict(restart.busiest, digits=0),
        Target(f"{name}: most requests of one token in a second", _PACE).verdict(restart.busiest_token, digits=0),
        Target(f"{name}: seconds from the restart until it is online and polls", 5).verdict(
            max(restart.online, restart.polled)
        ),
        Target(f"{name}: seconds from the restart to the first event", 5).verdict(restart.first_event),
        Target(f"{name}: lost or false", 0).verdict(errors, digits=0),
    ]
