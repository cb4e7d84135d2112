"""The changes of regular wars and war logs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from coc2mqtt.demo.changes import ImpossibleError
from coc2mqtt.demo.world_base import WorldBase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.demo.changes import Changes, ExpectedEvent
    from coc2mqtt.demo.clan import Clan
    from coc2mqtt.demo.war import SideName, War

PREPARATION = timedelta(hours=23)
BATTLE = timedelta(hours=24)


class WarChanges(WorldBase):
    """A world whose clans fight regular wars."""

    def set_war_log_public(self, clan: str, public: bool) -> Changes:
        """Make the war log public or private; the clan and its war have events."""
        changes = self._record("clan", clan, self._population.watched_clan(clan).set_war_log_public(public))
        self._log.touch("war_log", clan)
        return changes + self._record("war", clan, [("war_log_public" if public else "war_log_private", {})])

    def declare_war(self, clan: str, preparation: timedelta = PREPARATION, battle: timedelta = BATTLE) -> Changes:
        """Declare a war against a new opponent; it replaces an ended war."""
        home = self._visible_clan(clan)
        if home.war is not None and home.war.state != "warEnded":
            raise ImpossibleError(f"{home.name} is in a war already: end it first, or replace it")
        return self._at_war(clan, self._declare(home, preparation, battle))

    def start_battle(self, clan: str) -> Changes:
        """Change from preparation to battle."""
        return self._at_war(clan, self._war(clan).start_battle())

    def attack(self, clan: str, side: SideName | None = None) -> Changes:
        """Make an attack by the clan or the opponent; None: either."""
        return self._at_war(clan, self._war(clan).attack(side, self._rng))

    def shift_war(self, clan: str, by: timedelta) -> Changes:
        """Shift start and end of the battle, as a maintenance does; this has no event."""
        self._war(clan).shift(by)
        return self._at_war(clan, [])

    def end_war(self, clan: str) -> Changes:
        """End the battle; the war, the clan and its war log change."""
        war = self._war(clan)
        return self._at_war(clan, war.finish()) + self._count(clan, war)

    def replace_war(self, clan: str, preparation: timedelta = PREPARATION, battle: timedelta = BATTLE) -> Changes:
        """End the war, in preparation or battle, and declare the next one before a poll can see the end.

        The old war counts with its current score, also in the war log, and its opponent still shows it.
        """
        old = self._war(clan)
        old.require("preparation", "inWar")
        declared = self._declare(self._visible_clan(clan), preparation, battle)
        self._log.touch("war", old.opponent.tag)
        return self._at_war(clan, [*old.finish_unseen(), *declared]) + self._count(clan, old)

    def clear_war(self, clan: str) -> Changes:
        """Leave the ended war; the opponent stays in it."""
        events = self._war(clan).leave()
        self._visible_clan(clan).war = None
        return self._record("war", clan, events)

    def _visible_clan(self, tag: str) -> Clan:
        clan = self._population.watched_clan(tag)
        if not clan.war_log_public:
            raise ImpossibleError(f"the war log of {clan.name} is private, so its war cannot change: make it public")
        return clan

    def _war(self, tag: str) -> War:
        clan = self._visible_clan(tag)
        if clan.war is None:
            raise ImpossibleError(f"{clan.name} is not in a war: declare one first")
        return clan.war

    def _declare(self, home: Clan, preparation: timedelta, battle: timedelta) -> list[ExpectedEvent]:
        events = home.declare_war(self._rng, self._tags, now=self._now(), preparation=preparation, battle=battle)
        war = self._war(home.tag)
        self._wars[war.opponent.tag] = war
        return events

    def _at_war(self, clan: str, events: Iterable[ExpectedEvent]) -> Changes:
        # The opponent shows the same war.
        self._log.touch("war", self._war(clan).opponent.tag)
        return self._record("war", clan, events)

    def _count(self, clan: str, war: War) -> Changes:
        """Record an ended war in the clan and its war log."""
        home = self._population.watched_clan(clan)
        forgotten = home.war_log.add(war)
        self._log.touch("war_log", clan)
        if forgotten is not None:
            del self._wars[forgotten.opponent.tag]
            self._log.touch("war", forgotten.opponent.tag)
        return self._record("clan", clan, home.count_war(war.result()))
