"""The plan of a run: the faults and their times, drawn from a seed."""

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
    """A kind of fault; the value describes it in the report."""

    KILL_BRIDGE = "the bridge is killed"
    KILL_BROKER = "the broker is killed"
    CUT = "the connection is reset"
    CLOSE = "the connection is closed"
    STALL = "traffic stalls, then resumes"
    STALL_CUT = "traffic stalls, then a reset"
    HALF = "half a packet, then a reset"
    REFUSE = "connections are refused"
    HANG = "the API does not respond"
    MAINTENANCE = "the API is in maintenance"
    TRUNCATED = "the API truncates responses"
    CLOSED = "the API server is stopped"


class Trigger(StrEnum):
    """The moment of a fault: at once, when an event arrives at the subscriber, or when the API returns a change."""

    NOW = "at once"
    EVENT = "when an event arrives"
    RESPONSE = "when the API is polled"


_TARGETS: Mapping[Kind, Target] = {
    Kind.KILL_BRIDGE: "bridge",
    Kind.KILL_BROKER: "broker",
    **dict.fromkeys((Kind.CUT, Kind.CLOSE, Kind.STALL, Kind.STALL_CUT, Kind.HALF, Kind.REFUSE), "network"),
    **dict.fromkeys((Kind.HANG, Kind.MAINTENANCE, Kind.TRUNCATED, Kind.CLOSED), "api"),
}
# Durations in seconds; the other faults are instantaneous.
_DURATIONS_S: Mapping[Kind, tuple[float, float]] = {
    Kind.KILL_BRIDGE: (0.0, 0.8),
    Kind.KILL_BROKER: (0.2, 2.0),
    Kind.STALL: (0.3, 2.5),
    Kind.STALL_CUT: (0.3, 2.5),
    Kind.REFUSE: (0.2, 2.0),
    **dict.fromkeys((Kind.HANG, Kind.MAINTENANCE, Kind.TRUNCATED, Kind.CLOSED), (0.5, 3.0)),
}
# Within this time (seconds) the bridge has compared, stored and published a change and recorded the acknowledgement.
_PROCESSING_S = 0.008
# Weights of the triggers, in the order of ``Trigger``. Faults at random times rarely hit the critical steps.
_TRIGGER_WEIGHTS: Mapping[Target, tuple[int, int, int]] = {
    "bridge": (1, 2, 4),
    "broker": (2, 3, 2),
    "network": (1, 1, 1),
    "api": (1, 0, 0),
}
_OVERLAP_PROBABILITY = 0.35


@dataclass(frozen=True)
class Fault:
    """One fault: ``gap_s`` seconds after the previous one it waits for its ``trigger``, then ``delay`` more seconds.

    If it ``overlaps``, the next fault may start before it ends. ``directions`` and ``fraction`` apply to faults of the
    network.
    """

    kind: Kind
    trigger: Trigger
    gap_s: float
    delay: float
    duration_s: float
    overlaps: bool
    directions: tuple[Direction, ...]
    fraction: float

    @property
    def target(self) -> Target:
        """The part that it affects; a part has at most one fault at a time."""
        return _TARGETS[self.kind]


@dataclass(frozen=True)
class Plan:
    """A run: its faults in order, the pause between two changes in the game, and whether Home Assistant is enabled."""

    seed: int
    faults: tuple[Fault, ...]
    pause_s: tuple[float, float]
    home_assistant: bool


# The number of faults of each kind in the long and in the short run.
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
    pause_s: tuple[float, float],
    speed: float = 1.0,
    home_assistant: bool = True,
) -> Plan:
    """Draw the given number of faults of each kind, in random order.

    A ``speed`` of 2 halves their durations and the gaps between them.
    """
    rng = random.Random(f"plan {seed}")
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    rng.shuffle(kinds)
    return Plan(seed, tuple(_draw(kind, rng, speed) for kind in kinds), pause_s, home_assistant)


def _draw(kind: Kind, rng: random.Random, speed: float) -> Fault:
    halves = [(direction,) for direction in BOTH]
    ways: list[tuple[Direction, ...]] = [*halves] if kind is Kind.HALF else [*halves, BOTH]
    (trigger,) = rng.choices(list(Trigger), _TRIGGER_WEIGHTS[_TARGETS[kind]])
    return Fault(
        kind,
        trigger,
        gap_s=rng.uniform(0.0, 1.5) / speed,
        delay=0.0 if trigger is Trigger.NOW else rng.uniform(0.0, _PROCESSING_S),
        duration_s=rng.uniform(*_DURATIONS_S.get(kind, (0.0, 0.0))) / speed,
        overlaps=rng.random() < _OVERLAP_PROBABILITY,
        directions=rng.choice(ways),
        fraction=rng.uniform(0.05, 0.95),
    )
