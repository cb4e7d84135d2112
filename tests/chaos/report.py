"""The report of a run: a table and, after a violation, the evidence."""

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
    """Return the figures of a run, one per line."""
    checked = result.checked
    recovery = longest_recovery_s(result)
    kinds = Counter(injected.fault.kind for injected in result.injected)
    # The types of clan war leagues and raid weekends have these prefixes.
    parts = Counter(event_type.partition("_")[0] for event_type in _event_types(result).values())
    rows = [
        ("seed", result.plan.seed),
        ("duration", f"{result.duration:.0f} s"),
        ("changes made", result.change_count),
        ("  facts that changed", len(result.truth.changes)),
        ("  reported by events", checked.reported),
        ("  merged with a later one between polls", checked.merged),
        ("events received (distinct ids)", checked.received),
        ("  about clan war leagues", parts["cwl"]),
        ("  about raid weekends", parts["raid"]),
        ("events resent (same id, same bytes)", checked.resent),
        ("lost", len(checked.lost)),
        ("out of order within a tag", len(checked.out_of_order)),
        ("resent with other bytes", len(checked.altered)),
        ("false events", len(checked.false)),
        ("online again without an offline message", len(checked.missing_will)),
        ("payloads that match no model", len(checked.invalid)),
        ("other problems", len(result.problems)),
        ("faults", len(result.injected)),
        *((f"  {kind}", kinds[kind]) for kind in Kind if kinds[kind]),
        ("longest recovery from a single fault", "-" if recovery is None else f"{recovery:.1f} s"),
        ("longest time without an event", f"{longest_silence_s(result):.1f} s"),
    ]
    return "\n".join(f"{name:<{_WIDTH}}{value!s:>12}" for name, value in rows)


def _event_types(result: Result) -> dict[str, str]:
    """Return the type of each event by its id."""
    events = (receipt.message.data for receipt in result.receipts if receipt.message.is_event)
    return {event["id"]: event["event_type"] for event in events}


def longest_recovery_s(result: Result) -> float | None:
    """Return the longest time from the end of a fault to the next event, in seconds; None if no fault can be measured.

    Faults that overlap with another one, or that another one follows before the next event, are not measured.
    """
    return max(_recoveries(result), default=None)


def longest_silence_s(result: Result) -> float:
    """Return the longest time between two events, in seconds: the effect of one fault or of several in a row."""
    arrivals = [receipt.at for receipt in result.receipts if receipt.message.is_event]
    return max((after - before for before, after in pairwise(arrivals)), default=0.0)


def _recoveries(result: Result) -> Iterator[float]:
    arrivals = [receipt.at for receipt in result.receipts if receipt.message.is_event]
    for one in result.injected:
        back = next((at for at in arrivals if at > one.ended), None)
        if back is None:
            continue
        if not any(other.ended > one.ended and other.started < back for other in result.injected):
            yield back - one.ended


def write_evidence(result: Result, folder: Path) -> None:
    """Write the problems, and the data they were found in, next to the files of the bridge."""
    folder.joinpath("violations.txt").write_text("\n".join([table(result), "", *result.violations, ""]))
    faults = [f"{one.started:8.3f} to {one.ended:8.3f}  {one.fault}" for one in result.injected]
    folder.joinpath("faults.txt").write_text("\n".join([*faults, ""]))
    changes = [f"{turn.at:8.3f}  {turn.key}: {turn.old!r} -> {turn.new!r}" for turn in result.truth.changes]
    folder.joinpath("changes.txt").write_text("\n".join([*changes, ""]))
    receipts = [
        orjson.dumps(
            {"at": round(at, 3), "life": broker_run, "topic": message.topic, "payload": message.payload.decode()}
        )
        for at, message, broker_run in result.receipts
    ]
    folder.joinpath("received.jsonl").write_bytes(b"\n".join([*receipts, b""]))
