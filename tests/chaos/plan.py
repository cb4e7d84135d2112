"""The plan of a run: which faults, and at which moments, from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from tests.chaos.proxy import BOTH, Direction

if TYPE_CHECKING:
    from collections.abc import Mapping

Target = Literal["bridge", "broker", "network", "api"]


class Kind(StrEnum):
    """A sort of fault; the value says it in words."""

    KILL_BRIDGE = "the bridge is killed"
    KILL_BROKER = "the broker is killed"
    CUT = "the connection is reset"
    CLOSE = "the connection is closed"
    STALL = "bytes stop, then flow on"
    STALL_CUT = "bytes stop, then a reset"
    HALF = "half a packet, then a reset"
    REFUSE = "connections are refused"
    HANG = "the API does not answer"
    MAINTENANCE = "the API is in maintenance"
    TRUNCATED = "the API gives half answers"
    CLOSED = "the API is closed"


class Moment(StrEnum):
    """When a fault strikes: at once, as an event comes to the subscriber, or as the API shows what has changed."""

    NOW = "at once"
    EVENT = "as an event came"
    ANSWER = "as the API was asked"


_TARGETS: Mapping[Kind, Target] = {
    Kind.KILL_BRIDGE: "bridge",
    Kind.KILL_BROKER: "broker",
    **dict.fromkeys((Kind.CUT, Kind.CLOSE, Kind.STALL, Kind.STALL_CUT, Kind.HALF, Kind.REFUSE), "network"),
    **dict.fromkeys((Kind.HANG, Kind.MAINTENANCE, Kind.TRUNCATED, Kind.CLOSED), "api"),
}
# How long a fault lasts, in seconds; the others are over at once.
_LASTS: Mapping[Kind, tuple[float, float]] = {
    Kind.KILL_BRIDGE: (0.0, 0.8),
    Kind.KILL_BROKER: (0.2, 2.0),
    Kind.STALL: (0.3, 2.5),
    Kind.STALL_CUT: (0.3, 2.5),
    Kind.REFUSE: (0.2, 2.0),
    **dict.fromkeys((Kind.HANG, Kind.MAINTENANCE, Kind.TRUNCATED, Kind.CLOSED), (0.5, 3.0)),
}
# So soon (seconds) the bridge is done with what the API shows: compared, stored, published, acknowledged, noted.
_AFTERMATH = 0.008
# How often each moment is taken, in the order of ``Moment``: whoever strikes at any time seldom strikes where it hurts.
_MOMENTS: Mapping[Target, tuple[int, int, int]] = {
    "bridge": (1, 2, 4),
    "broker": (2, 3, 2),
    "network": (1, 1, 1),
    "api": (1, 0, 0),
}
_TOGETHER = 0.35


@dataclass(frozen=True)
class Fault:
    """One fault: ``rest`` seconds after the last one it waits for its ``moment``, and ``delay`` seconds more.

    ``together`` with the next one it may be under way; else that waits for its end. ``lasts`` is in seconds;
    ``directions`` and ``share`` are for what is done to the bytes.
    """

    kind: Kind
    moment: Moment
    rest: float
    delay: float
    lasts: float
    together: bool
    directions: tuple[Direction, ...]
    share: float

    @property
    def target(self) -> Target:
        """What it strikes: no two faults strike the same at a time."""
        return _TARGETS[self.kind]


@dataclass(frozen=True)
class Plan:
    """A run: its faults in their order, the rest between two changes of the game, and which home it plays for."""

    seed: int
    faults: tuple[Fault, ...]
    pause: tuple[float, float]
    home_assistant: bool


# What a run of minutes and one of seconds have of each sort.
LONG: Mapping[Kind, int] = {
    Kind.KILL_BRIDGE: 40,
    Kind.KILL_BROKER: 24,
    **dict.fromkeys((Kind.CUT, Kind.STALL, Kind.STALL_CUT, Kind.HALF), 5),
    **dict.fromkeys((Kind.CLOSE, Kind.REFUSE), 2),
    **dict.fromkeys((Kind.HANG, Kind.MAINTENANCE, Kind.TRUNCATED, Kind.CLOSED), 2),
}
SHORT: Mapping[Kind, int] = {
    Kind.KILL_BRIDGE: 3,
    Kind.KILL_BROKER: 2,
    Kind.STALL_CUT: 2,
    **dict.fromkeys((Kind.CUT, Kind.HALF, Kind.HANG, Kind.MAINTENANCE), 1),
}


def draw_plan(
    seed: int,
    counts: Mapping[Kind, int],
    *,
    pause: tuple[float, float],
    pace: float = 1.0,
    home_assistant: bool = True,
) -> Plan:
    """Draw so many faults of each kind, in any order; a ``pace`` of 2 halves how long they last, and the rests."""
    rng = random.Random(f"plan {seed}")
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    rng.shuffle(kinds)
    return Plan(seed, tuple(_draw(kind, rng, pace) for kind in kinds), pause, home_assistant)


def _draw(kind: Kind, rng: random.Random, pace: float) -> Fault:
    halves = [(direction,) for direction in BOTH]
    ways: list[tuple[Direction, ...]] = [*halves] if kind is Kind.HALF else [*halves, BOTH]
    (moment,) = rng.choices(list(Moment), _MOMENTS[_TARGETS[kind]])
    return Fault(
        kind,
        moment,
        rest=rng.uniform(0.0, 1.5) / pace,
        delay=0.0 if moment is Moment.NOW else rng.uniform(0.0, _AFTERMATH),
        lasts=rng.uniform(*_LASTS.get(kind, (0.0, 0.0))) / pace,
        together=rng.random() < _TOGETHER,
        directions=rng.choice(ways),
        share=rng.uniform(0.05, 0.95),
    )
