"""Whether the events are exactly what changed, checked as they come. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bench.servers import Receipt

Json = dict[str, Any]

# Events about the API, which come where it fails.
TROUBLE = {"poll_error", "maintenance_start", "maintenance_end", "api_restored"}
_MOST_SHOWN = 20


class Arrival(NamedTuple):
    """A member's new figure, and when its event came (monotonic seconds)."""

    at: float
    member: str
    figure: int


class Checker:
    """Takes every event: those of a member must lead from figure to figure without a gap and without an overlap.

    ``before`` has the donations of all members by tag. An event that comes again under its id counts as resent. With
    ``troubled`` events about the API are allowed.
    """

    def __init__(self, before: Mapping[str, int], *, troubled: bool) -> None:
        self.events = self.resent = self.reordered = self.false = 0
        self.arrivals: list[Arrival] = []
        self.wrong: list[str] = []
        self._now = dict(before)
        self._troubled = troubled
        self._seen = set[str]()
        self._last = dict[str, int]()

    def take(self, receipts: Iterable[Receipt]) -> None:
        """Check what has come, in its order."""
        for receipt in receipts:
            if "event_type" in receipt.payload:
                self._take(receipt.at, receipt.payload)

    def lost(self, after: Mapping[str, int]) -> list[str]:
        """Return the members of whom the events do not lead to the figures that they have ``after``."""
        return [member for member, figure in after.items() if self._now.get(member) != figure]

    def _take(self, at: float, event: Json) -> None:
        if event["id"] in self._seen:
            self.resent += 1
            return
        self._seen.add(event["id"])
        self.events += 1
        tag, seq = event["tag"], event["seq"]
        if seq <= self._last.get(tag, 0):
            self.reordered += 1
            self._note(f"event {seq} of {tag} came after event {self._last[tag]}")
        self._last[tag] = max(seq, self._last.get(tag, 0))
        if event["event_type"] in TROUBLE and self._troubled:
            return
        member = event["metadata"].get("member_tag", "")
        changes = [(change["field"], change["old_value"]) for change in event["changes"]]
        if event["event_type"] != "member_donations" or changes != [("donations", self._now.get(member))]:
            self.false += 1
            self._note(f"false event: {event}")
            return
        figure = event["changes"][0]["new_value"]
        self._now[member] = figure
        self.arrivals.append(Arrival(at, member, figure))

    def _note(self, sentence: str) -> None:
        if len(self.wrong) < _MOST_SHOWN:
            self.wrong.append(sentence)
