"""The recent activity of the members of a clan: donations of the day and the week, and when they were last seen. Pure.

Times are Unix times in seconds. The result is kept in the memo of the clan's snapshot: it is updated by each comparison
of two responses, and a response that shows nothing new changes nothing in it until the next day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.clash.response import iso_time
from coc2mqtt.events.calendar import day_of, season_of, week_of
from coc2mqtt.events.compare.diff import is_subset
from coc2mqtt.events.event import Event, EventType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from coc2mqtt.events.calendar import Period
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

MEMO_KEY = "activity"
# These only increase by what the member does, like donations. Ranks, trophies, leagues, received donations and roles
# are the work of others too, or change at the end of a week.
_OWN_PROGRESS = ("expLevel", "townHallLevel")
_OWN_CHOICES = ("name", "playerHouse")
# A sum that includes a longer time before the day would be too high.
_MAX_GAP_S = 2 * 3600.0
_DAY_S = 86_400.0


class MemberActivity(NamedTuple):
    """The donations of a member, when something was last seen that only they can do, and whether that is long ago."""

    donations_today: int
    donations_week: int
    last_seen: float
    inactive: bool = False


class ClanActivity(NamedTuple):
    """The sums of a clan's members, and the members by tag."""

    donations_today: int
    donations_week: int
    inactive_members: int
    members: Mapping[str, MemberActivity]


@dataclass(frozen=True, slots=True)
class Activity:
    """The activity of a clan's members, by tag, and the start of the day and of the week of their sums."""

    day: float
    week: float
    members: dict[str, MemberActivity]

    @classmethod
    def from_memo(cls, memo: Json) -> Activity | None:
        """Return the activity of a snapshot's memo, None if it has none."""
        data = memo.get(MEMO_KEY)
        if data is None:
            return None
        return cls(data["day"], data["week"], {tag: MemberActivity(*values) for tag, values in data["members"].items()})

    def to_memo(self) -> Json:
        """Return the value in the memo."""
        return {"day": self.day, "week": self.week, "members": {tag: list(one) for tag, one in self.members.items()}}

    def shifted(self, jump: float) -> Activity:
        """Return the activity with its times shifted by the seconds by which the wall clock was set."""
        members = {tag: one._replace(last_seen=one.last_seen + jump) for tag, one in self.members.items()}
        return Activity(self.day, self.week, members)


def clan_activity(snapshot: Snapshot) -> ClanActivity | None:
    """Return the activity of a clan's present members from its snapshot, None if it is unknown."""
    activity = Activity.from_memo(snapshot.memo)
    if activity is None:
        return None
    members = activity.members.values()
    return ClanActivity(
        sum(one.donations_today for one in members),
        sum(one.donations_week for one in members),
        sum(one.inactive for one in members),
        activity.members,
    )


class Elapsed(NamedTuple):
    """The time between two responses (Unix times), and whether a season ended in it."""

    since: float
    at: float
    season_ended: bool = False

    def counts_for(self, period: Period) -> bool:
        """Return whether the donations in this time belong to a day or a week.

        They may include two hours before it. The game resets donations at the end of a season.
        """
        return self.since >= period.start - _MAX_GAP_S or (
            self.season_ended and season_of(self.at).start == period.start
        )


def update_activity(
    known: Activity | None,
    old: Iterable[Json] | None,
    new: Iterable[Json],
    elapsed: Elapsed,
    *,
    seen: Mapping[str, float],
) -> Activity:
    """Return the activity after a response with the member list ``new``.

    ``elapsed`` is the time since the clan was last polled. ``seen`` is when members were seen elsewhere, such as in a
    war. A member who is first listed now counts as seen, and has not donated yet.
    """
    at = elapsed.at
    day, week = day_of(at), week_of(at)
    if known is None:
        return Activity(day.start, week.start, {member["tag"]: MemberActivity(0, 0, at) for member in new})
    before = {member["tag"]: member for member in old or ()}
    # A day that lies in the future comes from a clock that was set back.
    is_same_day, is_same_week = known.day == day.start, known.week == week.start
    counts_today, counts_this_week = elapsed.counts_for(day), elapsed.counts_for(week)
    members: dict[str, MemberActivity] = {}
    for member in new:
        tag = member["tag"]
        last, was = known.members.get(tag), before.get(tag)
        if last is None:
            members[tag] = MemberActivity(0, 0, at)
            continue
        today, this_week, last_seen, inactive = last
        if not is_same_day:
            today = 0
        if not is_same_week:
            this_week = 0
        if was is not None and was is not member and was != member:
            donated = _donated(was, member, season_ended=elapsed.season_ended)
            today += donated if counts_today else 0
            this_week += donated if counts_this_week else 0
            if donated or _has_acted(was, member):
                last_seen, inactive = at, False
        if seen.get(tag, last_seen) > last_seen:
            last_seen, inactive = seen[tag], False
        members[tag] = MemberActivity(today, this_week, min(last_seen, at), inactive)
    return Activity(day.start, week.start, members)


def report_inactive(
    activity: Activity, members: Iterable[Json], *, clan: Json, after: float | None, at: float
) -> tuple[Activity, list[Event]]:
    """Return the events of the members who have become inactive, and the activity that records them.

    ``after`` is the time in seconds without anything seen, None if nobody is reported. With a longer time than before
    some members are not inactive yet.
    """
    updated, events = dict(activity.members), []
    for member in members:
        known = updated.get(member["tag"])
        if known is None:
            continue
        is_inactive = after is not None and at - known.last_seen >= after
        if is_inactive != known.inactive:
            updated[member["tag"]] = known._replace(inactive=is_inactive)
        if after is not None and is_inactive and not known.inactive:
            events.append(_inactive_event(member, known.last_seen, clan=clan, after=after, at=at))
    changed = updated != activity.members
    return (Activity(activity.day, activity.week, updated) if changed else activity), events


def _inactive_event(member: Json, last_seen: float, *, clan: Json, after: float, at: float) -> Event:
    metadata = {
        "member_tag": member["tag"],
        "member_name": member.get("name") or member["tag"],
        "role": member.get("role"),
        "days": round(after / _DAY_S, 2),
        "last_seen_at": iso_time(last_seen),
    }
    return Event(
        EventType.MEMBER_INACTIVE,
        clan["tag"],
        timestamp=at,
        new_data=member,
        metadata=metadata,
        name=clan.get("name"),
    )


def next_check(activity: Activity, *, after: float | None, at: float) -> float:
    """Return when the activity changes without a change of the clan: at the next day, or if a member gets inactive."""
    due = [] if after is None else [one.last_seen + after for one in activity.members.values() if not one.inactive]
    return min([day_of(at).end, *due])


def _donated(was: Json, member: Json, *, season_ended: bool) -> int:
    """Return the donations since the last response; they start from 0 at the end of a season and after a return.

    Slightly lower ones are those of another server.
    """
    before, after = was.get("donations"), member.get("donations")
    if before is None or after is None:
        return 0
    if season_ended:
        return int(after)
    if after >= before:
        return int(after - before)
    return int(after) if 2 * after < before else 0


def _has_acted(was: Json, member: Json) -> bool:
    if any(
        (before := was.get(key)) is not None and (after := member.get(key)) is not None and after > before
        for key in _OWN_PROGRESS
    ):
        return True
    return any(key in was and key in member and _is_choice(was[key], member[key]) for key in _OWN_CHOICES)


def _is_choice(was: object, value: object) -> bool:
    """Return whether a value changed, and not only shows more or less of the same object."""
    if isinstance(was, dict) and isinstance(value, dict):
        return not (is_subset(was, value) or is_subset(value, was))
    return was != value
