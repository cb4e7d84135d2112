"""What changed between two answers about a clan. Pure: no clock, no I/O."""

from __future__ import annotations

from functools import partial
from typing import Any

from coc2mqtt.events.diff import diff_dicts, diff_member_tags, diff_paths
from coc2mqtt.events.event import Change, Event, EventType

Json = dict[str, Any]

_ROLE_RANKS = {"member": 0, "admin": 1, "coLeader": 2, "leader": 3}
# What makes a member_updated. Ranks and trophies change all day and donations have their own event; `league` has
# been frozen since `leagueTier` replaced it.
_MEMBER_FIELDS = frozenset({"name", "townHallLevel", "leagueTier", "builderBaseLeague", "playerHouse"})


def complete_members(old: Json | None, new: Json) -> Json:
    """Return ``new`` with the members that its list fails to name.

    An answer whose ``memberList`` is missing, empty or shorter than its ``members`` is no evidence that anybody left:
    whom it leaves out is taken over from ``old``. Where nobody knows them, the list is left out altogether.
    """
    listed: list[Json] = new.get("memberList") or []
    if len(listed) >= new.get("members", 0):
        return new
    if old is None or "memberList" not in old:
        return {key: value for key, value in new.items() if key != "memberList"}
    tags = {member["tag"] for member in listed}
    missing = [member for member in old["memberList"] or [] if member["tag"] not in tags]
    return {**new, "memberList": listed + missing}


def compare_clan(old: Json, new: Json, *, at: float, members: bool = True) -> list[Event]:
    """Return the events between two snapshots of a clan, the clan's own first, then its members' in list order.

    ``at`` is the Unix time in seconds that the events carry. Both snapshots are as ``complete_members`` returns
    them. Without ``members`` only the clan's own fields are compared.
    """
    event = partial(Event, tag=new["tag"], timestamp=at, name=new.get("name"))
    events = []
    changes = diff_paths(old, new, exclude_fields=frozenset({"tag", "memberList"}))
    if changes:
        events.append(event(EventType.CLAN_UPDATED, old_data=old, new_data=new, changes=tuple(changes)))
    if not members or "memberList" not in old:
        return events
    joined, left, updated = diff_member_tags(old.get("memberList") or [], new.get("memberList") or [])
    events += [
        event(EventType.MEMBER_LEFT, old_data=member, metadata={**_who(member), "role": member.get("role")})
        for member in left
    ]
    events += [
        event(
            EventType.MEMBER_JOINED,
            new_data=member,
            metadata={
                **_who(member),
                "role": member.get("role"),
                "town_hall_level": member.get("townHallLevel"),
            },
        )
        for member in joined
    ]
    for before, after in updated:
        for event_type, member_changes, metadata in _compare_member(before, after):
            events.append(
                event(
                    event_type,
                    old_data=before,
                    new_data=after,
                    changes=tuple(member_changes),
                    metadata={**_who(after), **metadata},
                )
            )
    return events


def _who(member: Json) -> Json:
    return {"member_tag": member["tag"], "member_name": member.get("name") or member["tag"]}


def _compare_member(old: Json, new: Json) -> list[tuple[EventType, list[Change], Json]]:
    found: list[tuple[EventType, list[Change], Json]] = []
    if role := diff_dicts(old, new, include_fields=frozenset({"role"})):
        old_role, new_role = old.get("role"), new.get("role")
        rose = _ROLE_RANKS.get(str(new_role), 0) >= _ROLE_RANKS.get(str(old_role), 0)
        direction = "promoted" if rose else "demoted"
        metadata = {"old_role": old_role, "new_role": new_role, "direction": direction}
        found.append((EventType.MEMBER_ROLE_CHANGED, role, metadata))
    donated = {field: _increase(old, new, field) for field in ("donations", "donationsReceived")}
    if any(donated.values()):
        changes = [Change(field, old.get(field), new.get(field)) for field, more in donated.items() if more]
        found.append((EventType.MEMBER_DONATIONS, changes, donated))
    if changes := diff_dicts(old, new, include_fields=_MEMBER_FIELDS):
        found.append((EventType.MEMBER_UPDATED, changes, {}))
    return found


def _increase(old: Json, new: Json, field: str) -> int:
    """Count what was donated: the figures only ever fall when the season resets or somebody comes back."""
    return max(0, int(new.get(field) or 0) - int(old.get(field) or 0))
