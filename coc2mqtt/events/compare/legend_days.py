"""A player's days in the Legend League, from 05:00 to 05:00 UTC. Pure: no clock, no I/O. Times are Unix times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coc2mqtt.clash.response import iso_time
from coc2mqtt.events.calendar import Period, day_of
from coc2mqtt.events.compare.ranked import KnownBattles, Tier, is_legend
from coc2mqtt.events.compare.ranked_state import MAX_DELAY_S, Ranked, Subject, late, ranked_event
from coc2mqtt.events.event import Event, EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.compare.ranked import Battle

Json = dict[str, Any]

_DAY_S = 86_400.0
# The last battles of a day are shown within this time.
_SETTLING_S = 300.0
# The battles of earlier days are unknown.
_MAX_DAYS = 8


def is_legend_day_over(ranked: Ranked, *, at: float) -> bool:
    """Return whether a day in the Legend League is to be reported."""
    return ranked.legend_day is not None and at >= ranked.legend_day + _DAY_S + _SETTLING_S


def follow_legend_days(ranked: Ranked, known: KnownBattles | None, tier: Tier, player: Subject) -> list[Event]:
    """Return the events of the days in the Legend League that are over.

    ``known`` are the last battles. Days whose battles are not all known are left out; if it is None, the day waits for
    them, up to a day.
    """
    today = day_of(player.at)
    if not is_legend_day_over(ranked, at=player.at) or ranked.legend_day is None:
        if ranked.legend_day is None or ranked.legend_day > today.start:
            ranked.legend_day = today.start if is_legend(tier) else None
        return []
    if known is None and player.at < ranked.legend_day + 2 * _DAY_S:
        return []
    events = []
    day = day_of(max(ranked.legend_day, player.at - _MAX_DAYS * _DAY_S))
    while player.at >= day.end + _SETTLING_S:
        if known is not None and day.start >= known.since:
            events.append(_day_event(day, known.battles, player))
        day = day_of(day.end)
    ranked.legend_day = day.start if is_legend(tier) else None
    return events


def _day_event(day: Period, battles: Iterable[Battle], player: Subject) -> Event:
    of_day = [battle for battle in battles if battle.at in day]
    attacks = [battle.trophies for battle in of_day if battle.side == "attack"]
    defenses = [battle.trophies for battle in of_day if battle.side == "defense"]
    metadata = {
        "day": iso_time(day.start)[:10],
        "attacks": len(attacks),
        "defenses": len(defenses),
        "trophies_gained": None if None in attacks else sum(one or 0 for one in attacks),
        # Elsewhere a defence wins trophies.
        "trophies_lost": None if None in defenses else sum(max(0, -(one or 0)) for one in defenses),
    }
    age = player.at - day.end
    return ranked_event(EventType.LEGEND_DAY_ENDED, player, metadata | late(age if age > MAX_DELAY_S else None))
