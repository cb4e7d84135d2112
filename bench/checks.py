"""Checks that a subscriber received exactly the changes. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bench.servers import Receipt


@dataclass(frozen=True)
class CheckResult:
    """The number of members with all changes reported and with a lost change, and of false events.

    ``resent`` counts repeated events with the same id, which may occur after a kill.
    """

    reported: int
    lost: int
    false: int
    resent: int

    def __str__(self) -> str:
        return f"{self.reported:,} reported, {self.lost} lost, {self.false} false, {self.resent} resent"


def check_events(receipts: Iterable[Receipt], before: Mapping[str, int], after: Mapping[str, int]) -> CheckResult:
    """Compare the events with the donations of all members, by tag, ``before`` and ``after``.

    A member's events must lead from the first value to the last one without a gap or overlap.
    """
    seen = set[str]()
    now = dict(before)
    false = resent = 0
    reported = defaultdict[str, int](int)
    for receipt in receipts:
        event = receipt.payload
        if "event_type" not in event:
            continue
        if event["id"] in seen:
            resent += 1
            continue
        seen.add(event["id"])
        member = event["metadata"].get("member_tag", "")
        changes = [(change["field"], change["old_value"]) for change in event["changes"]]
        if event["event_type"] != "member_donations" or changes != [("donations", now.get(member))]:
            false += 1
            continue
        now[member] = event["changes"][0]["new_value"]
        reported[member] += 1
    lost = sum(now[member] != figure for member, figure in after.items())
    return CheckResult(len(reported), lost, false, resent)
