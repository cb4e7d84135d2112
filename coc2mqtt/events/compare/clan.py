"""What changed between two answers about a clan. Pure: no clock, no I/O."""

from __future__ import annotations

import operator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.events.compare.diff import (
    any_decreased,
    diff_fields,
    diff_member_tags,
    diff_paths,
    is_first_number,
    is_subset,
)
from coc2mqtt.events.compare.season import DONATIONS, detect_season_reset
from coc2mqtt.events.event import Change, Event, EventType

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Json = dict[str, Any]

_ROLE_RANKS = {"member": 0, "admin": 1, "coLeader": 2, "leader": 3}
# What makes a member_updated. Ranks and trophies change all day and donations have their own event; `league` has
# been frozen since `leagueTier` replaced it.
_MEMBER_FIELDS = frozenset({"name", "townHallLevel", "leagueTier", "builderBaseLeague", "playerHouse"})
# Any other field an answer leaves out by mistake only: the record of a private war log and a few others come and go.
_OPTIONAL_FIELDS = frozenset({"warTies", "warLosses", "chatLanguage", "location", "memberList"})
# The fields of a member that events are about. None of them is ever taken away from a member.
_PERMANENT_MEMBER_FIELDS = (*_MEMBER_FIELDS, "role", *DONATIONS)
# What only grows, so that an answer with less of it is an older one. Donations fall at a season's end alone, and when
# somebody leaves and comes back unseen.
_NON_DECREASING = ("clanLevel", "warWins")
_NON_DECREASING_OF_MEMBERS = ("expLevel", "townHallLevel")
# An older answer shows less of a few members' donations. Of so many at a time only a season's end does.
_MIN_MEMBERS_OF_CERTAIN_RESET = 5


class Roster(NamedTuple):
    """A clan with the members that it is believed to have.

    ``missing`` are the tags of those whom its answer failed to name, ``whole`` is false where it failed to name any.
    """

    clan: Json
    missing: list[str]
    whole: bool = False


def is_permanent_clan_field(field: str) -> bool:
    """Tell whether a clan's field does not come and go."""
    return field not in _OPTIONAL_FIELDS


def clan_looks_stale(old: Json, new: Json, *, malformed: Collection[str] = ()) -> bool:
    """Tell whether ``new`` may be an older answer than ``old``, or half of one.

    So it is where something that only grows is less than before, or something is missing other than what was
    ``malformed``.
    """
    if any_decreased(old, new, _NON_DECREASING) or (old.keys() - new.keys() - _OPTIONAL_FIELDS).difference(malformed):
        return True
    before, after = old.get("memberList") or [], new.get("memberList") or []
    known = {member["tag"]: member for member in before}
    # Most are the same, which is by far the cheapest to see.
    pairs = [(was, member) for member in after if (was := known.get(member["tag"])) is not None and was != member]
    if any(
        any_decreased(was, member, _NON_DECREASING_OF_MEMBERS) or ("role" in was and "role" not in member)
        for was, member in pairs
    ):
        return True
    if not any(any_decreased(was, member, DONATIONS) for was, member in pairs):
        return False
    reset = detect_season_reset(before, after)
    return reset is None or reset["members"] < _MIN_MEMBERS_OF_CERTAIN_RESET


def restore_missing_members(
    old: Json | None, new: Json, *, missing: Collection[str] = (), believed: bool = False
) -> Roster:
    """Return the clan of an answer with the members that its list fails to name.

    An answer whose ``memberList`` is missing, empty or shorter than its ``members`` is no evidence that anybody left:
    whom it leaves out is taken over from ``old``, except those who are known to be ``missing`` from an earlier answer
    as well; an empty list never is evidence. Where nobody knows them, the list is left out altogether, unless it is
    ``believed``. An answer without ``members`` is taken at its word.
    """
    listed: list[Json] = new.get("memberList") or []
    tags = {member["tag"] for member in listed}
    count = new.get("members")
    known: list[Json] | None = None if old is None else old.get("memberList")
    if len(tags) >= count if count is not None else tags:
        return Roster(_restore_member_fields(known, new), [], whole=True)
    if known is None:
        if believed and listed:
            return Roster(new, [], whole=True)
        return Roster({key: value for key, value in new.items() if key != "memberList"}, [])
    absent = [member for member in known if member["tag"] not in tags]
    if not listed:
        return Roster({**new, "memberList": absent}, [])
    kept = [member for member in absent if member["tag"] not in missing]
    completed = _restore_member_fields(known, {**new, "memberList": listed + kept})
    return Roster(completed, [member["tag"] for member in kept])


def _restore_member_fields(known: list[Json] | None, new: Json) -> Json:
    """Return a clan whose members have the last known values of fields that its answer lacks."""
    if not known:
        return new
    by_tag = {member["tag"]: member for member in known}
    completed = [_restore_fields_of_member(by_tag.get(member["tag"]), member) for member in new.get("memberList") or []]
    return new if all(map(operator.is_, completed, new.get("memberList") or [])) else {**new, "memberList": completed}


def _restore_fields_of_member(known: Json | None, member: Json) -> Json:
    # By far the most members have the same fields as before.
    if known is None or known.keys() == member.keys():
        return member
    gone = {key: known[key] for key in _PERMANENT_MEMBER_FIELDS if key in known and member.get(key) is None}
    return {**member, **gone} if gone else member


def compare_clan(
    old: Json, new: Json, *, at: float, members: bool = True, season_ended: bool | None = None
) -> list[Event]:
    """Return the events between two snapshots of a clan, the clan's own first, then its members' in list order.

    ``at`` is the Unix time in seconds that the events carry. Both snapshots are as ``restore_missing_members`` returns
    them. Without ``members`` only the clan's own fields are compared. Where a season has ended between the two, that
    is one event and no member's donations are; ``season_ended`` tells where that is known, None where it shows.
    """
    event = partial(Event, tag=new["tag"], timestamp=at, name=new.get("name"))
    events = []
    changes = diff_paths(old, new, exclude_fields=frozenset({"tag", "memberList"}))
    if changes:
        events.append(event(EventType.CLAN_UPDATED, old_data=old, new_data=new, changes=tuple(changes)))
    if not members or "memberList" not in old or "memberList" not in new:
        return events
    before, after = old["memberList"] or [], new["memberList"] or []
    joined, left, updated = diff_member_tags(before, after)
    reset = None if season_ended is False else detect_season_reset(before, after, ended=season_ended is True)
    if reset is not None:
        events.append(event(EventType.SEASON_RESET, old_data=old, new_data=new, metadata=reset))
    events += [
        event(EventType.MEMBER_LEFT, old_data=member, metadata={**_member_metadata(member), "role": member.get("role")})
        for member in left
    ]
    events += [
        event(
            EventType.MEMBER_JOINED,
            new_data=member,
            metadata={
                **_member_metadata(member),
                "role": member.get("role"),
                "town_hall_level": member.get("townHallLevel"),
            },
        )
        for member in joined
    ]
    events += [
        event(
            event_type,
            old_data=was,
            new_data=member,
            changes=changes,
            metadata={**_member_metadata(member), **metadata},
        )
        for was, member in updated
        for event_type, changes, metadata in _compare_member(was, member, donations=reset is None)
    ]
    return events


def _member_metadata(member: Json) -> Json:
    return {"member_tag": member["tag"], "member_name": member.get("name") or member["tag"]}


def _compare_member(old: Json, new: Json, *, donations: bool) -> Iterator[tuple[EventType, tuple[Change, ...], Json]]:
    old_role, new_role = old.get("role"), new.get("role")
    if old_role != new_role and old_role is not None and new_role is not None:
        metadata = {"old_role": old_role, "new_role": new_role, "direction": _direction(old_role, new_role)}
        yield EventType.MEMBER_ROLE_CHANGED, (Change("role", old_role, new_role),), metadata
    donated = {field: _increase(old, new, field) for field in DONATIONS}
    if donations and any(donated.values()):
        changes = tuple(Change(field, old.get(field), new.get(field)) for field, more in donated.items() if more)
        yield EventType.MEMBER_DONATIONS, changes, donated
    updated = [one for one in diff_fields(old, new, include_fields=_MEMBER_FIELDS) if not _is_insignificant(one)]
    if updated:
        yield EventType.MEMBER_UPDATED, tuple(updated), {}


def _is_insignificant(change: Change) -> bool:
    """Tell whether a change is a baseline, or only that of how much of an object a response shows."""
    old, new = change.old_value, change.new_value
    if isinstance(old, dict) and isinstance(new, dict):
        return is_subset(old, new) or is_subset(new, old)
    return is_first_number(change)


def _direction(old_role: object, new_role: object) -> str | None:
    """Return which way a role went, None where one of the two is not known: the API may grow roles."""
    old_rank, new_rank = _ROLE_RANKS.get(str(old_role)), _ROLE_RANKS.get(str(new_role))
    if old_rank is None or new_rank is None:
        return None
    return "promoted" if new_rank > old_rank else "demoted"


def _increase(old: Json, new: Json, field: str) -> int:
    """Count what was donated: where the figure is less than before, or not known, nothing was."""
    before, after = old.get(field), new.get(field)
    return 0 if before is None or after is None else max(0, after - before)
