"""What was told of a clan's wars, so that it is told once whatever the API forgets in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from coc2mqtt.events.compare.war import WarState, WarStateMachine, attack_orders, preparation_start, war_id

Json = dict[str, Any]

# The last attacks register late, behind a cache of 120 s: a score is final when it is the same a minute later, and so
# long after the end (seconds).
_FINAL_SCORE_AGE_S = 55.0
_LATEST_ATTACK_S = 600.0
# An attack that began in the last second goes on for three minutes, and is seen behind the cache (seconds).
_ATTACK_DURATION_S = 300.0
# An answer that is older than the newest one is minutes old: of more wars than these nobody will hear again.
_MAX_WARS = 4


@dataclass(slots=True)
class ReportedWar:
    """One war: the orders of its attacks that were told, and whether its end was.

    ``score`` is the one that the ended war was seen with, None before, and ``since`` the Unix time in seconds from
    which on it was the same.
    """

    orders: set[int] = field(default_factory=set)
    score: list[Any] | None = None
    since: float = 0.0
    ended: bool = False

    def settles(self, score: list[Any], *, end: float | None, at: float) -> bool:
        """Take up the score of the ended war; returns whether it is final.

        It is where it has stayed the same for a minute and the last attacks can be in it, and long after the ``end``.
        The times are Unix times in seconds; the end is None where it is not known.
        """
        # A wall clock that was set back begins anew.
        if score != self.score or at < self.since:
            self.score, self.since = score, at
        # An end that lies ahead is a clock that is wrong, and tells nothing.
        after = None if end is None or at < end else at - end
        if after is not None and after >= _LATEST_ATTACK_S:
            return True
        return at - self.since >= _FINAL_SCORE_AGE_S and (after is None or after >= _ATTACK_DURATION_S)


@dataclass(slots=True)
class WarHistory:
    """The wars of one clan: the identity of the present one (None: none), the last state that was told, and each."""

    war: str | None
    state: WarState
    wars: dict[str, ReportedWar]

    @classmethod
    def at_first_sight(cls, war: Json) -> WarHistory:
        """Return what is to be remembered of a war that was never seen before: all that it holds is known."""
        fsm = WarStateMachine()
        fsm.transition(str(war.get("state")))
        identity = war_id(war)
        ended = fsm.state is WarState.WAR_ENDED
        wars = {} if identity is None else {identity: ReportedWar(attack_orders(war), ended=ended)}
        return cls(identity, fsm.state, wars)

    @classmethod
    def from_json(cls, memo: Json, war: Json) -> WarHistory:
        """Return what ``to_json`` was called on; a memo that holds none is that of a first sight of ``war``."""
        if "wars" not in memo:
            return cls.at_first_sight(war)
        wars = {
            identity: ReportedWar(set(told["orders"]), told["score"], told["since"], told["ended"])
            for identity, told in memo["wars"].items()
        }
        return cls(memo["war"], WarState(memo["state"]), wars)

    def to_json(self) -> Json:
        """Return what is kept beside the snapshot: of the last few wars."""
        kept = {*sorted(self.wars)[-_MAX_WARS:], *([] if self.war is None else [self.war])}
        return {
            "war": self.war,
            "state": self.state.value,
            "wars": {
                identity: {
                    "orders": sorted(told.orders),
                    "score": told.score,
                    "since": told.since,
                    "ended": told.ended,
                }
                for identity, told in self.wars.items()
                if identity in kept
            },
        }

    @property
    def present(self) -> ReportedWar | None:
        """The war that the clan is in."""
        return None if self.war is None else self.wars[self.war]

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be told of the end of the present war."""
        return self.present is None or self.present.ended

    def is_replaced(self, identity: str) -> bool:
        """Tell whether a younger war was seen: then this one is over, whatever still shows it."""
        began = preparation_start(identity)
        return bool(began) and any(began < preparation_start(known) for known in self.wars)

    def rename(self, before: str | None, after: str | None) -> None:
        """Go on with the present war under another identity: more is known of it than before."""
        if before is not None and after is not None and before == self.war and before != after:
            self.wars[after] = self.wars.pop(before)
            self.war = after

    def shift(self, jump: float) -> None:
        """Move the remembered times by the seconds by which the wall clock was set since."""
        for told in self.wars.values():
            told.since += jump

    def is_over(self, identity: str) -> bool:
        """Tell whether a war cannot follow what was seen: it was replaced, or it was there and is not any more."""
        return self.is_replaced(identity) or (identity in self.wars and identity != self.war)
