"""The report of a run: a table, and the evidence where something is wrong."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import orjson

from tests.chaos.plan import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.chaos.run import Result

_WIDTH = 44


def table(result: Result) -> str:
    """Return the figures of a run, one a line."""
    checked = result.checked
    recovery = longest_recovery(result)
    kinds = Counter(performed.fault.kind for performed in result.performed)
    rows = [
        ("seed", result.plan.seed),
        ("duration", f"{result.duration:.0f} s"),
        ("changes made", result.happened),
        ("  facts that changed", len(result.truth.turns)),
        ("  told by events", checked.told),
        ("  merged with a later one, unseen", checked.merged),
        ("events received (distinct ids)", checked.received),
        ("events resent (same id, same bytes)", checked.resent),
        ("lost", len(checked.lost)),
        ("out of order within a tag", len(checked.disordered)),
        ("resent with other bytes", len(checked.altered)),
        ("false events", len(checked.false)),
        ("back without having been offline", len(checked.unwilled)),
        ("payloads that fit no model", len(checked.unfit)),
        ("other violations", len(result.wrong)),
        ("faults", len(result.performed)),
        *((f"  {kind}", kinds[kind]) for kind in Kind if kinds[kind]),
        ("longest recovery, undisturbed by others", "-" if recovery is None else f"{recovery:.1f} s"),
        ("longest time without an event", f"{longest_silence(result):.1f} s"),
    ]
    return "\n".join(f"{name:<{_WIDTH}}{value!s:>12}" for name, value in rows)


def longest_recovery(result: Result) -> float | None:
    """Return the longest time from the end of a fault to the next event, in seconds, None where no fault tells.

    A fault that another one followed, or was under way with, before the next event came says nothing.
    """
    return max(_recoveries(result), default=None)


def longest_silence(result: Result) -> float:
    """Return the longest time between two events, in seconds: how long a fault, or several in a row, kept them up."""
    arrivals = [receipt.at for receipt in result.receipts if receipt.seen.is_event]
    return max((after - before for before, after in pairwise(arrivals)), default=0.0)


def _recoveries(result: Result) -> Iterator[float]:
    arrivals = [receipt.at for receipt in result.receipts if receipt.seen.is_event]
    for one in result.performed:
        back = next((at for at in arrivals if at > one.ended), None)
        if back is None:
            continue
        if not any(other.ended > one.ended and other.began < back for other in result.performed):
            yield back - one.ended


def keep_evidence(result: Result, folder: Path) -> None:
    """Write beside the bridge's files what is wrong, and all that it is judged by."""
    folder.joinpath("verdict.txt").write_text("\n".join([table(result), "", *result.violations, ""]))
    faults = [f"{one.began:8.3f} to {one.ended:8.3f}  {one.fault}" for one in result.performed]
    folder.joinpath("faults.txt").write_text("\n".join([*faults, ""]))
    turns = [f"{turn.at:8.3f}  {turn.key}: {turn.old!r} -> {turn.new!r}" for turn in result.truth.turns]
    folder.joinpath("changes.txt").write_text("\n".join([*turns, ""]))
    receipts = [
        orjson.dumps({"at": round(at, 3), "life": life, "topic": seen.topic, "payload": seen.payload.decode()})
        for at, seen, life in result.receipts
    ]
    folder.joinpath("received.jsonl").write_bytes(b"\n".join([*receipts, b""]))
