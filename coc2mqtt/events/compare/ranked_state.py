"""The ranked week of a player: what was reported, and the events of a new response. Pure: no clock, no I/O.

Times are Unix times in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.clash.response import iso_time
from coc2mqtt.events.compare.ranked import UNKNOWN_TIER, Battle, Place, Signup, Tier, count_of
from coc2mqtt.events.event import Event, EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

_WEEK_S = 7 * 86_400.0
# More than the battles of two weeks.
_MAX_REPORTED = 1000
# A battle is shown within minutes.
MAX_DELAY_S = 3600.0
# A response may be this old: a battle before the first poll may be shown after it.
_CACHE_S = 600.0
# The result of a week is reported this long after its end.
_USUAL_SETTLING_S = 9 * 3600.0


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
    yet, with its tier and the time of its end as it was seen. ``reported`` are the keys of the reported battles of both
    weeks. ``legend_day`` is the start of the day in the Legend League that was not reported yet. ``last`` is the
    metadata of the last reported result. ``since`` is the time of the first poll, whose battles are the baseline.
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
    since: float = 0.0

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
            data["since"],
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
            "since": self.since,
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


def believable_signup(ranked: Ranked, found: Signup | None, *, at: float, is_listed: bool) -> Signup | None:
    """Return the league group to follow if the latest response about the player shows ``found``.

    That response may be stale, or lack the group. So a week is left only after its end, or for a later one, and it is
    not entered again. ``is_listed`` is whether the league history shows the result of the known week.
    """
    known = ranked.signup
    if known is None:
        left = max((ranked.ended.season if ranked.ended else 0, ranked.last["season"] if ranked.last else 0))
        return None if found is not None and found.season <= left <= at else found
    if found == known:
        return None if is_listed else known
    if found is None:
        return None if at >= week_end(known) else known
    return known if found.season < known.season <= at + _WEEK_S else found


def event_of_signup(snapshot: Snapshot | None, found: Signup | None, *, at: float) -> EventType | None:
    """Return the type of the event that will report another league group, None if none will.

    ``snapshot`` is that of the player's ranked battles.
    """
    if snapshot is None or snapshot.data is None:
        return None
    ranked = Ranked.from_json(snapshot.data)
    signup = believable_signup(ranked, found, at=at, is_listed=False)
    if signup == ranked.signup:
        return None
    if signup is None:
        return EventType.RANKED_WEEK_ENDED
    is_new = ranked.signup is None or signup.season != ranked.signup.season
    return EventType.RANKED_WEEK_STARTED if is_new else None


def week_end(signup: Signup) -> float:
    """Return the end of the week of a league group."""
    return signup.season + _WEEK_S


def follow_week(
    ranked: Ranked, signup: Signup | None, tier: Tier, player: Subject, *, gap: float | None
) -> list[Event]:
    """Adopt the present league group, and return the event of a new week.

    The previous week remains to be reported. ``gap`` is for how many seconds the player was not polled, None if they
    were polled recently. The first group is the baseline.
    """
    first = not ranked.since
    # The wall clock may have been ahead.
    ranked.since = player.at if first else min(ranked.since, player.at)
    if ranked.signup == signup:
        ranked.tier = tier
        return []
    if ranked.signup is not None and (signup is None or signup.season != ranked.signup.season):
        ranked.ended, ranked.ended_tier = ranked.signup, ranked.tier
        ranked.ended_at = min(player.at, week_end(ranked.signup))
    is_new = signup is not None and (ranked.signup is None or signup.season != ranked.signup.season)
    ranked.signup, ranked.tier, ranked.place = signup, tier, None
    if signup is None or not is_new or first:
        return []
    metadata = {"season": signup.season, "group_tag": signup.group, "tier_id": tier.id, "tier_name": tier.name}
    return [ranked_event(EventType.RANKED_WEEK_STARTED, player, metadata | late(gap))]


def report_battles(
    ranked: Ranked, battles: Iterable[Battle], signup: Signup, player: Subject, *, first: bool
) -> list[Event]:
    """Return an event for each battle that was not reported yet, the oldest first.

    Battles of the ``first`` poll, and those long before it, have none: they are the baseline.
    """
    events, known = [], set(ranked.reported)
    baseline = math.inf if first else ranked.since - _CACHE_S
    for battle in battles:
        key = f"{signup.season} {battle.key}"
        if key in known:
            continue
        known.add(key)
        ranked.reported.append(key)
        if battle.at > baseline:
            events.append(_battle_event(battle, signup, player))
    return events


def forget_old_battles(ranked: Ranked) -> None:
    """Keep only the reported battles of weeks whose battles are still polled."""
    weeks = tuple(f"{week.season} " for week in (ranked.ended, ranked.signup) if week is not None)
    ranked.reported = [key for key in ranked.reported if key.startswith(weeks)][-_MAX_REPORTED:]


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
    waited = player.at - ranked.ended_at
    is_late = waited > _USUAL_SETTLING_S
    return [ranked_event(EventType.RANKED_WEEK_ENDED, player, metadata | late(waited if is_late else None))]


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
    age = player.at - battle.at
    return ranked_event(event_type, player, metadata | late(age if age > MAX_DELAY_S else None))


def late(seconds: float | None) -> Json:
    """Return the metadata of an event that happened at most this many seconds ago, none if it was seen at once."""
    return {} if seconds is None else {"catch_up": True, "snapshot_age_seconds": round(seconds, 3)}


def ranked_event(event_type: EventType, player: Subject, metadata: Json) -> Event:
    """Return an event of a player."""
    return Event(event_type, player.tag, timestamp=player.at, name=player.name, metadata=metadata)
