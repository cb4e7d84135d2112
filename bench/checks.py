"""Whether what a subscriber got is exactly what was changed. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bench.servers import Receipt


@dataclass(frozen=True)
class CheckResult:
    """So many members' changes were told whole, so many not (``lost``); so many events told of none (``invented``).

    ``twice`` counts events that came again under their id, as they may when the program was killed.
    """

    told: int
    lost: int
    invented: int
    twice: int

    def __str__(self) -> str:
        return f"{self.told:,} told, {self.lost} lost, {self.invented} invented, {self.twice} sent again under their id"


def check_events(receipts: Iterable[Receipt], before: Mapping[str, int], after: Mapping[str, int]) -> CheckResult:
    """Hold the events against the donations of all members, by tag, ``before`` and ``after``.

    A member's events must lead from the one figure to the other without a gap and without an overlap.
    """
    seen = set[str]()
    now = dict(before)
    invented = twice = 0
    told = defaultdict[str, int](int)
    for receipt in receipts:
        event = receipt.payload
        if "event_type" not in event:
            continue
        if event["id"] in seen:
            twice += 1
            continue
        seen.add(event["id"])
        member = event["metadata"].get("member_tag", "")
        changes = [(change["field"], change["old_value"]) for change in event["changes"]]
        if event["event_type"] != "member_donations" or changes != [("donations", now.get(member))]:
            invented += 1
            continue
        now[member] = event["changes"][0]["new_value"]
        told[member] += 1
    lost = sum(now[member] != figure for member, figure in after.items())
    return CheckResult(len(told), lost, invented, twice)
