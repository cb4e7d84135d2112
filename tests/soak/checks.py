"""Checks that the events report exactly the changes, as they arrive. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bench.servers import Receipt

Json = dict[str, Any]

# Events about the API, which are expected if it fails.
API_EVENT_TYPES = {"poll_error", "maintenance_start", "maintenance_end", "api_restored"}
_MAX_SHOWN = 20


class Arrival(NamedTuple):
    """A member's new donations, and when the event arrived (monotonic seconds)."""

    at: float
    member: str
    value: int


class Checker:
    """Checks every event: those of a member must lead from value to value without a gap or overlap.

    ``before`` has the donations of all members by tag. An event with a known id counts as resent. With ``api_faults``
    events about the API are allowed.
    """

    def __init__(self, before: Mapping[str, int], *, api_faults: bool) -> None:
        self.events = self.resent = self.reordered = self.false = 0
        self.arrivals: list[Arrival] = []
        self.problems: list[str] = []
        self._now = dict(before)
        self._api_faults = api_faults
        self._seen = set[str]()
        self._last = dict[str, int]()

    def check(self, receipts: Iterable[Receipt]) -> None:
        """Check the new messages, in order."""
        for receipt in receipts:
            if "event_type" in receipt.payload:
                self._check(receipt.at, receipt.payload)

    def lost(self, after: Mapping[str, int]) -> list[str]:
        """Return the members whose events do not lead to the values that they have ``after``."""
        return [member for member, value in after.items() if self._now.get(member) != value]

    def _check(self, at: float, event: Json) -> None:
        if event["id"] in self._seen:
            self.resent += 1
            return
        self._seen.add(event["id"])
        self.events += 1
        tag, seq = event["tag"], event["seq"]
        if seq <= self._last.get(tag, 0):
            self.reordered += 1
            self._add_problem(f"event {seq} of {tag} arrived after event {self._last[tag]}")
        self._last[tag] = max(seq, self._last.get(tag, 0))
        if event["event_type"] in API_EVENT_TYPES and self._api_faults:
            return
        member = event["metadata"].get("member_tag", "")
        changes = [(change["field"], change["old_value"]) for change in event["changes"]]
        if event["event_type"] != "member_donations" or changes != [("donations", self._now.get(member))]:
            self.false += 1
            self._add_problem(f"false event: {event}")
            return
        value = event["changes"][0]["new_value"]
        self._now[member] = value
        self.arrivals.append(Arrival(at, member, value))

    def _add_problem(self, sentence: str) -> None:
        if len(self.problems) < _MAX_SHOWN:
            self.problems.append(sentence)
