"""The results of a run as a table, and its failures. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.spread import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

# The figures of shorter runs are not checked: they show no drift, and other programs may slow them down.
LONG_RUN_S = 300.0
# Memory may grow by this factor and this many MB, for caches and the allocator.
MEMORY_SHARE, MEMORY_MB = 1.15, 16.0
# The 95th percentile of the latency may grow by this factor and this many ms, because of other programs.
LATENCY_FACTOR, LATENCY_MS = 1.5, 20.0
# The bridge must exit within this time after SIGTERM, under any load.
STOP_S = 5.0
# A run with less than this share of the planned load proves nothing.
LOAD_SHARE = 0.9

_WIDTH = 34


@dataclass(frozen=True)
class Phase:
    """A part of a run; memory and journal in MB, ``cpu`` as a share of one core, latencies in ms."""

    name: str
    memory: float
    journal: float
    cpu: float
    events_per_second: float
    latencies: Sequence[float]

    def latency(self, share: float) -> float:
        """Return the latency that this share of the events did not exceed; inf if there were none."""
        return percentile(self.latencies, share) if self.latencies else float("inf")


@dataclass
class Result:
    """A run. ``outage_s`` is how long the broker was stopped, ``catch_up_s`` how long the delivery of the backlog took.

    ``stop_s`` is how long the bridge took to stop. All are in seconds.
    """

    seconds: float
    planned_rate: float
    phases: list[Phase]
    events: int
    resent: int
    lost: int
    reordered: int
    false: int
    outage_s: float
    catch_up_s: float
    backlog: int
    stop_s: float
    loop: str
    problems: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """All failures."""
        counted = (("lost", self.lost), ("reordered", self.reordered), ("false", self.false))
        problems = [f"{count} {name}" for name, count in counted if count]
        return [*problems, *self.problems, *(self._exceeded_limits() if self.seconds >= LONG_RUN_S else [])]

    def _exceeded_limits(self) -> list[str]:
        start, end = self.phases[0], self.phases[-1]
        compared = (
            ("memory in MB", start.memory, end.memory, MEMORY_SHARE * start.memory + MEMORY_MB),
            (
                "latency in ms (p95)",
                start.latency(0.95),
                end.latency(0.95),
                LATENCY_FACTOR * start.latency(0.95) + LATENCY_MS,
            ),
        )
        problems = [
            f"{name} grew from {before:.0f} to {after:.0f}: {allowed:.0f} is allowed"
            for name, before, after, allowed in compared
            if after > allowed
        ]
        if self.stop_s > STOP_S:
            problems.append(f"the stop took {self.stop_s:.1f} s: {STOP_S:.0f} are allowed")
        problems += [
            f"{phase.name}: {phase.events_per_second:.0f} of {self.planned_rate:g} events per second"
            for phase in self.phases
            if phase.events_per_second < LOAD_SHARE * self.planned_rate
        ]
        return problems


def table(result: Result) -> str:
    """Return the figures, one per line."""
    rows = [
        ("memory (MB)", [f"{phase.memory:.1f}" for phase in result.phases]),
        ("journal with -wal (MB)", [f"{phase.journal:.1f}" for phase in result.phases]),
        ("CPU (share of one core)", [f"{phase.cpu:.2f}" for phase in result.phases]),
        ("events per second", [f"{phase.events_per_second:.0f}" for phase in result.phases]),
        *(
            (f"latency, {name} (ms)", [f"{phase.latency(share):.1f}" for phase in result.phases])
            for name, share in (("median", 0.5), ("p95", 0.95), ("p99", 0.99))
        ),
    ]
    lines = [f"{'':<{_WIDTH}}" + "".join(f"{phase.name:>12}" for phase in result.phases)]
    lines += [f"{name:<{_WIDTH}}" + "".join(f"{value:>12}" for value in figures) for name, figures in rows]
    lines += [
        f"{name:<{_WIDTH}}{value:>12}"
        for name, value in (
            ("event loop", result.loop),
            ("events", f"{result.events:,}"),
            ("resent under their id", str(result.resent)),
            ("lost", str(result.lost)),
            ("reordered", str(result.reordered)),
            ("false", str(result.false)),
        )
    ]
    if result.outage_s:
        lines.append(
            f"The broker was stopped for {result.outage_s:.0f} s; the {result.backlog:,} events of that time were "
            f"delivered within {result.catch_up_s:.1f} s after its restart."
        )
    lines.append(f"The bridge stopped within {result.stop_s:.1f} s.")
    if result.seconds < LONG_RUN_S:
        lines.append(f"Drift, rate and stop are not checked: the run is shorter than {LONG_RUN_S:.0f} s.")
    return "\n".join(lines)
