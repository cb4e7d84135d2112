"""Compare two responses about a clan. Pure: no clock, no I/O."""

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
# The fields of member_updated. Ranks and trophies change all day and donations have their own event; `league` has been
# frozen since `leagueTier` replaced it.
_MEMBER_FIELDS = frozenset({"name", "townHallLevel", "leagueTier", "builderBaseLeague", "playerHouse"})
# These may be missing, such as the record of a private war log. A response lacks any other field by mistake only.
_OPTIONAL_FIELDS = frozenset({"warTies", "warLosses", "chatLanguage", "location", "memberList"})
# The fields of a member that events are about. A member never loses any of them.
_PERMANENT_MEMBER_FIELDS = (*_MEMBER_FIELDS, "role", *DONATIONS)
# These only grow, so a response with a lower value is stale. Donations decrease only at the end of a season, and when a
# member leaves and rejoins unobserved.
_NON_DECREASING = ("clanLevel", "warWins")
_NON_DECREASING_OF_CAPITAL = ("capitalHallLevel",)
_NON_DECREASING_OF_MEMBERS = ("expLevel", "townHallLevel")
# A stale response shows lower donations of a few members. Only the end of a season affects this many at once.
_MIN_MEMBERS_OF_CERTAIN_RESET = 5


# The war league of a clan that has not signed up for one, or not for long.
UNRANKED_WAR_LEAGUE = 48000000


class Roster(NamedTuple):
    """A clan with its restored member list.

    ``missing`` are the tags of members that the response did not list but that were kept. ``is_complete`` is whether
    the response listed as many members as it counted.
    """

    clan: Json
    missing: list[str]
    is_complete: bool = False


def is_permanent_clan_field(field: str) -> bool:
    """Return whether a response lacks this field of a clan by mistake only."""
    return field not in _OPTIONAL_FIELDS


def clan_looks_stale(old: Json, new: Json, *, malformed: Collection[str] = ()) -> bool:
    """Return whether ``new`` may be older than ``old``, or incomplete.

    It may be if a value that only grows is lower than before, or if a permanent field is missing that was not removed
    as ``malformed``.
    """
    if any_decreased(old, new, _NON_DECREASING) or (old.keys() - new.keys() - _OPTIONAL_FIELDS).difference(malformed):
        return True
    if any_decreased(old.get("clanCapital") or {}, new.get("clanCapital") or {}, _NON_DECREASING_OF_CAPITAL):
        return True
    before, after = old.get("memberList") or [], new.get("memberList") or []
    known = {member["tag"]: member for member in before}
    # Most members are unchanged, and the test for equality is by far the cheapest.
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
    old: Json | None, new: Json, *, left: Collection[str] = (), accept_short_list: bool = False
) -> Roster:
    """Return the clan of a response with the members that its list lacks.

    A response whose ``memberList`` is missing, empty or shorter than its ``members`` does not prove that anyone left:
    the unlisted members are kept from ``old``, except those that have ``left`` because an earlier response did not list
    them either. With an empty list, all are kept. If the members are not known yet, a short list is dropped unless
    ``accept_short_list``. A response without ``members`` counts as complete unless its list is empty.
    """
    listed: list[Json] = new.get("memberList") or []
    tags = {member["tag"] for member in listed}
    count = new.get("members")
    known: list[Json] | None = None if old is None else old.get("memberList")
    if len(tags) >= count if count is not None else tags:
        return Roster(_restore_member_fields(known, new), [], is_complete=True)
    if known is None:
        if accept_short_list and listed:
            return Roster(new, [], is_complete=True)
        return Roster({key: value for key, value in new.items() if key != "memberList"}, [])
    absent = [member for member in known if member["tag"] not in tags]
    if not listed:
        return Roster({**new, "memberList": absent}, [])
    kept = [member for member in absent if member["tag"] not in left]
    completed = _restore_member_fields(known, {**new, "memberList": listed + kept})
    return Roster(completed, [member["tag"] for member in kept])


def _restore_member_fields(known: list[Json] | None, new: Json) -> Json:
    """Return a clan whose members have the last known values of the fields that the response lacks."""
    if not known:
        return new
    by_tag = {member["tag"]: member for member in known}
    completed = [_restore_fields_of_member(by_tag.get(member["tag"]), member) for member in new.get("memberList") or []]
    return new if all(map(operator.is_, completed, new.get("memberList") or [])) else {**new, "memberList": completed}


def _restore_fields_of_member(known: Json | None, member: Json) -> Json:
    # Nearly all members have the same fields as before.
    if known is None or known.keys() == member.keys():
        return member
    gone = {key: known[key] for key in _PERMANENT_MEMBER_FIELDS if key in known and member.get(key) is None}
    return {**member, **gone} if gone else member


def compare_clan(
    old: Json, new: Json, *, at: float, members: bool = True, season_ended: bool | None = None
) -> list[Event]:
    """Return the events between two snapshots of a clan, the clan's own first, then its members' in list order.

    Both snapshots are results of ``restore_missing_members``. ``at`` is the Unix time in seconds of the events. Without
    ``members``, only the clan's own fields are compared. The end of a season is one event and replaces the members'
    donations; ``season_ended`` is whether one has ended in between, None if the donations decide.
    """
    event = partial(Event, tag=new["tag"], timestamp=at, name=new.get("name"))
    events = []
    changes = diff_paths(old, new, exclude_fields=frozenset({"tag", "memberList"}))
    if changes:
        events.append(event(EventType.CLAN_UPDATED, old_data=old, new_data=new, changes=tuple(changes)))
    events += [
        event(event_type, old_data=old, new_data=new, changes=(change,), metadata=metadata)
        for event_type, change, metadata in _clan_progress(old, new)
    ]
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


def _clan_progress(old: Json, new: Json) -> Iterator[tuple[EventType, Change, Json]]:
    """Yield the changes of the clan itself that have an event of their own; a first value is a baseline."""
    capital, new_capital = old.get("clanCapital") or {}, new.get("clanCapital") or {}
    for event_type, path, field, before, after in (
        (EventType.CLAN_LEVEL_UP, "", "clanLevel", old, new),
        (EventType.CAPITAL_HALL_UPGRADED, "clanCapital.", "capitalHallLevel", capital, new_capital),
    ):
        if _increase(before, after, field):
            metadata = {"old_value": before[field], "new_value": after[field]}
            yield event_type, Change(f"{path}{field}", before[field], after[field]), metadata
    for event_type, field in (
        (EventType.CLAN_WAR_LEAGUE_CHANGED, "warLeague"),
        (EventType.CLAN_CAPITAL_LEAGUE_CHANGED, "capitalLeague"),
    ):
        was, now = old.get(field) or {}, new.get(field) or {}
        old_id, new_id = was.get("id"), now.get("id")
        if old_id is not None and new_id is not None and old_id != new_id:
            metadata = {"old_id": old_id, "old_name": was.get("name"), "new_id": new_id, "new_name": now.get("name")}
            metadata["direction"] = _league_direction(old_id, new_id)
            if event_type is EventType.CLAN_WAR_LEAGUE_CHANGED:
                # Only another resource shows these.
                metadata |= {"season": None, "position": None}
            yield event_type, Change(f"{field}.id", old_id, new_id), metadata


def _league_direction(old_id: int, new_id: int) -> str:
    """Return the direction of a change of leagues, whose ids the API numbers from the lowest up."""
    if old_id == UNRANKED_WAR_LEAGUE:
        return "seeded"
    return "promoted" if new_id > old_id else "demoted"


def _member_metadata(member: Json) -> Json:
    return {"member_tag": member["tag"], "member_name": member.get("name") or member["tag"]}


def _compare_member(old: Json, new: Json, *, donations: bool) -> Iterator[tuple[EventType, tuple[Change, ...], Json]]:
    old_role, new_role = old.get("role"), new.get("role")
    if old_role != new_role and old_role is not None and new_role is not None:
        metadata = {"old_role": old_role, "new_role": new_role, "direction": _direction(old_role, new_role)}
        yield EventType.MEMBER_ROLE_CHANGED, (Change("role", old_role, new_role),), metadata
    increases = {field: _increase(old, new, field) for field in DONATIONS}
    if donations and any(increases.values()):
        changes = tuple(Change(field, old.get(field), new.get(field)) for field, more in increases.items() if more)
        yield EventType.MEMBER_DONATIONS, changes, increases
    updated = [one for one in diff_fields(old, new, include_fields=_MEMBER_FIELDS) if not _is_insignificant(one)]
    if updated:
        yield EventType.MEMBER_UPDATED, tuple(updated), {}


def _is_insignificant(change: Change) -> bool:
    """Return whether a change is a baseline, or only shows more or less of the same object."""
    old, new = change.old_value, change.new_value
    if isinstance(old, dict) and isinstance(new, dict):
        return is_subset(old, new) or is_subset(new, old)
    return is_first_number(change)


def _direction(old_role: object, new_role: object) -> str | None:
    """Return promoted or demoted, None if one of the roles is unknown: the API may add roles."""
    old_rank, new_rank = _ROLE_RANKS.get(str(old_role)), _ROLE_RANKS.get(str(new_role))
    if old_rank is None or new_rank is None:
        return None
    return "promoted" if new_rank > old_rank else "demoted"


def _increase(old: Json, new: Json, field: str) -> int:
    """Return the increase of a number, 0 if it decreased or is unknown."""
    before, after = old.get(field), new.get(field)
    return 0 if before is None or after is None else max(0, after - before)
