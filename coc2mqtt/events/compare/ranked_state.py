"""The ranked week of a player: what was reported, and the events of a new response. Pure: no clock, no I/O.

Times are Unix times in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.clash.response import iso_time
from coc2mqtt.events.calendar import Period, day_of
from coc2mqtt.events.compare.ranked import UNKNOWN_TIER, Battle, Place, Signup, Tier, count_of, is_legend
from coc2mqtt.events.event import Event, EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

_WEEK_S = 7 * 86_400.0
# More than the battles of two weeks in the Legend League.
_MAX_REPORTED = 400
# A battle is shown within minutes.
_MAX_DELAY_S = 3600.0


class RankedState(NamedTuple):
    """The ranked week of a player; without a sign-up only the tier and the result of the last week are known."""

    season: int | None = None
    end: float | None = None
    group: str | None = None
    tier: Tier = UNKNOWN_TIER
    place: Place | None = None
    last: Json | None = None


@dataclass(slots=True)
class Ranked:
    """A player's ranked battles, as far as they are known.

    ``signup`` is the present week, ``tier`` the league tier in it. ``ended`` is the week whose result was not reported
    yet, with its tier and the time of its end as it was seen. ``reported`` are the keys of the reported battles.
    ``legend_day`` is the start of the day in the Legend League that was not reported yet. ``last`` is the metadata of
    the last reported result.
    """

    signup: Signup | None = None
    tier: Tier = UNKNOWN_TIER
    place: Place | None = None
    ended: Signup | None = None
    ended_tier: Tier = UNKNOWN_TIER
    ended_at: float = 0.0
    reported: list[str] = field(default_factory=list)
    legend_day: float | None = None
    last: Json | None = None

    @classmethod
    def from_json(cls, data: Json) -> Ranked:
        """Return the one that ``to_json`` encoded."""
        return cls(
            None if data["signup"] is None else Signup(*data["signup"]),
            Tier(*data["tier"]),
            None if data["place"] is None else Place(*data["place"]),
            None if data["ended"] is None else Signup(*data["ended"]),
            Tier(*data["ended_tier"]),
            data["ended_at"],
            list(data["reported"]),
            data["legend_day"],
            data["last"],
        )

    def to_json(self) -> Json:
        """Return the data of a snapshot."""
        return {
            "signup": self.signup,
            "tier": self.tier,
            "place": self.place,
            "ended": self.ended,
            "ended_tier": self.ended_tier,
            "ended_at": self.ended_at,
            "reported": self.reported,
            "legend_day": self.legend_day,
            "last": self.last,
        }


class Subject(NamedTuple):
    """The player of an event, and its time."""

    tag: str
    name: str | None
    at: float


def ranked_state(snapshot: Snapshot) -> RankedState:
    """Return the ranked week of a player from the snapshot of its resource."""
    if snapshot.data is None:
        return RankedState()
    ranked = Ranked.from_json(snapshot.data)
    if ranked.signup is None:
        return RankedState(tier=ranked.tier, last=ranked.last)
    season = ranked.signup.season
    return RankedState(season, season + _WEEK_S, ranked.signup.group, ranked.tier, ranked.place, ranked.last)


def follow_week(ranked: Ranked, signup: Signup | None, tier: Tier, player: Subject, *, first: bool) -> list[Event]:
    """Adopt the present league group, and return the event of a new week.

    The previous week remains to be reported. ``first`` is whether nothing was known before.
    """
    if ranked.signup == signup:
        ranked.tier = tier
        return []
    if ranked.signup is not None and (signup is None or signup.season != ranked.signup.season):
        ranked.ended, ranked.ended_tier = ranked.signup, ranked.tier
        ranked.ended_at = min(player.at, ranked.signup.season + _WEEK_S)
    is_new = signup is not None and (ranked.signup is None or signup.season != ranked.signup.season)
    ranked.signup, ranked.tier, ranked.place = signup, tier, None
    if signup is None or not is_new or first:
        return []
    metadata = {"season": signup.season, "group_tag": signup.group, "tier_id": tier.id, "tier_name": tier.name}
    return [_event(EventType.RANKED_WEEK_STARTED, player, metadata)]


def report_battles(
    ranked: Ranked, battles: Iterable[Battle], signup: Signup, player: Subject, *, first: bool
) -> list[Event]:
    """Return an event for each battle that was not reported yet, the oldest first; none if they are the ``first``."""
    events = []
    for battle in battles:
        if battle.key in ranked.reported:
            continue
        ranked.reported.append(battle.key)
        if not first:
            events.append(_battle_event(battle, signup, player))
    del ranked.reported[:-_MAX_REPORTED]
    return events


def report_end(ranked: Ranked, entry: Json | None, tier: Tier, player: Subject) -> list[Event]:
    """Return the event of the week that ended; ``entry`` is its entry in the league history, None if there is none."""
    ended, old = ranked.ended, ranked.ended_tier
    if ended is None:
        return []
    listed = count_of(entry, "leagueTierId")
    old = old if listed is None or listed == old.id else Tier(listed, None)
    direction = None
    if old.id is not None and tier.id is not None and old.id != tier.id:
        direction = "promoted" if tier.id > old.id else "demoted"
    metadata = {
        "season": ended.season,
        "group_tag": ended.group,
        "placement": count_of(entry, "placement"),
        "trophies": count_of(entry, "leagueTrophies"),
        "attack_wins": count_of(entry, "attackWins"),
        "attack_losses": count_of(entry, "attackLosses"),
        "defense_wins": count_of(entry, "defenseWins"),
        "defense_losses": count_of(entry, "defenseLosses"),
        "old_tier_id": old.id,
        "old_tier_name": old.name,
        "new_tier_id": tier.id,
        "new_tier_name": tier.name,
        "direction": direction,
    }
    ranked.ended, ranked.last = None, metadata
    return [_event(EventType.RANKED_WEEK_ENDED, player, metadata)]


def follow_legend_day(
    ranked: Ranked, battles: Iterable[Battle] | None, tier: Tier, player: Subject, *, settled_after: float
) -> list[Event]:
    """Return the event of a day in the Legend League that is over for ``settled_after`` seconds.

    ``battles`` are the last ones, None if they are unknown.
    """
    today = day_of(player.at).start
    if ranked.legend_day is None or ranked.legend_day > today:
        ranked.legend_day = today if is_legend(tier) else None
        return []
    day = day_of(ranked.legend_day)
    if battles is None or player.at < day.end + settled_after:
        return []
    ranked.legend_day = today if is_legend(tier) else None
    return [_legend_event(day, battles, player)]


def _battle_event(battle: Battle, signup: Signup, player: Subject) -> Event:
    event_type = EventType.RANKED_ATTACK_NEW if battle.side == "attack" else EventType.RANKED_DEFENSE_NEW
    metadata = {
        "season": signup.season,
        "opponent_tag": battle.opponent_tag,
        "opponent_name": battle.opponent_name,
        "stars": battle.stars,
        "destruction": battle.destruction,
        "trophies": battle.trophies,
        "battle_at": iso_time(battle.at),
    }
    if player.at - battle.at > _MAX_DELAY_S:
        metadata |= {"catch_up": True, "snapshot_age_seconds": round(player.at - battle.at, 3)}
    return _event(event_type, player, metadata)


def _legend_event(day: Period, battles: Iterable[Battle], player: Subject) -> Event:
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
    if player.at - day.end > _MAX_DELAY_S:
        metadata |= {"catch_up": True, "snapshot_age_seconds": round(player.at - day.end, 3)}
    return _event(EventType.LEGEND_DAY_ENDED, player, metadata)


def _event(event_type: EventType, player: Subject, metadata: Json) -> Event:
    return Event(event_type, player.tag, timestamp=player.at, name=player.name, metadata=metadata)
