"""The reported events of a clan's wars, so that each is reported once. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from coc2mqtt.events.compare.war import WarState, WarStateMachine, attack_orders, preparation_start, war_id

Json = dict[str, Any]

# Attacks that start before the end are counted up to five minutes later. A score is final if it has not changed for a
# minute and the war ended at least five minutes ago, or if the war ended ten minutes ago.
_FINAL_SCORE_AGE_S = 55.0
_MAX_FINAL_DELAY_S = 600.0
# An attack started in the last second takes three minutes, and shows up once the cache has expired.
_LAST_ATTACK_DELAY_S = 300.0
# A stale response is at most minutes old, so it cannot be about a war older than these.
_MAX_WARS = 4


@dataclass(slots=True)
class ReportedWar:
    """One war: the orders of its reported attacks, and whether its end was reported.

    ``score`` is the last score of the ended war, None before its end; ``since`` is the Unix time in seconds since when
    it has been unchanged.
    """

    orders: set[int] = field(default_factory=set)
    score: list[Any] | None = None
    since: float = 0.0
    ended: bool = False

    def record_score(self, score: list[Any], *, end: float | None, at: float, max_staleness: float = 0.0) -> bool:
        """Record the score of the ended war and return whether it is final.

        It is final once it has been unchanged for a minute and includes the last attacks, or ten minutes after the
        ``end``. Times are Unix times in seconds; ``end`` is None if unknown. The score may be the one of up to
        ``max_staleness`` seconds ago, if responses are cached for longer than a few minutes.
        """
        # After a wall clock was set back, the minute starts again.
        if score != self.score or at < self.since:
            self.score, self.since = score, at
        # An end in the future comes from a wrong clock and is ignored.
        after = None if end is None or at < end else at - end - max_staleness
        if after is None:
            return at - self.since >= _FINAL_SCORE_AGE_S + max_staleness
        if after >= _MAX_FINAL_DELAY_S:
            return True
        return at - self.since >= _FINAL_SCORE_AGE_S and after >= _LAST_ATTACK_DELAY_S


@dataclass(slots=True)
class WarHistory:
    """The last wars of one clan.

    ``war`` is the identity of the current war, None if there is none; ``state`` is the last reported state; ``wars``
    are the known wars by identity. ``last_result`` is the last reported result (``ended_war``), None before the first.
    """

    war: str | None
    state: WarState
    wars: dict[str, ReportedWar]
    last_result: Json | None = None

    @classmethod
    def from_first_response(cls, war: Json) -> WarHistory:
        """Return the history after the first response about a war: everything in it counts as reported."""
        state_machine = WarStateMachine()
        state_machine.transition(str(war.get("state")))
        identity = war_id(war)
        ended = state_machine.state is WarState.WAR_ENDED
        wars = {} if identity is None else {identity: ReportedWar(attack_orders(war), ended=ended)}
        return cls(identity, state_machine.state, wars)

    @classmethod
    def from_json(cls, memo: Json, war: Json) -> WarHistory:
        """Return the history that ``to_json`` encoded; without one, that of the first response ``war``."""
        if "wars" not in memo:
            return cls.from_first_response(war)
        wars = {
            identity: ReportedWar(set(reported["orders"]), reported["score"], reported["since"], reported["ended"])
            for identity, reported in memo["wars"].items()
        }
        return cls(memo["war"], WarState(memo["state"]), wars, memo.get("last_result"))

    def to_json(self) -> Json:
        """Return the snapshot's memo: the current war and the four latest ones."""
        kept = {*sorted(self.wars)[-_MAX_WARS:], *([] if self.war is None else [self.war])}
        return {
            "war": self.war,
            "state": self.state.value,
            "wars": {
                identity: {
                    "orders": sorted(reported.orders),
                    "score": reported.score,
                    "since": reported.since,
                    "ended": reported.ended,
                }
                for identity, reported in self.wars.items()
                if identity in kept
            },
            # Omitted like in the memos of earlier versions, which would otherwise all be different.
            **({} if self.last_result is None else {"last_result": self.last_result}),
        }

    @property
    def current(self) -> ReportedWar | None:
        """The clan's current war."""
        return None if self.war is None else self.wars[self.war]

    @property
    def final(self) -> bool:
        """Whether the clan is not in a war, or the end of its war was reported."""
        return self.current is None or self.current.ended

    def is_superseded(self, identity: str) -> bool:
        """Return whether a later war is known: then this one is over, even if a response still shows it."""
        start = preparation_start(identity)
        return bool(start) and any(start < preparation_start(known) for known in self.wars)

    def is_over(self, identity: str) -> bool:
        """Return whether a war was superseded, or was the current war once and no longer is."""
        return self.is_superseded(identity) or (identity in self.wars and identity != self.war)

    def rename(self, before: str | None, after: str | None) -> None:
        """Continue the current war under another identity, because more of it is known now."""
        if before is not None and after is not None and before == self.war and before != after:
            self.wars[after] = self.wars.pop(before)
            self.war = after

    def shift_times(self, jump: float) -> None:
        """Shift the stored times by the seconds by which the wall clock was set."""
        for reported in self.wars.values():
            reported.since += jump
