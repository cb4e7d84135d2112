"""The occasions of reminders and the events about them, from the snapshots of a clan. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.clash.response import iso_time, parse_unix_time
from coc2mqtt.events.compare.cwl_state import CwlRound, own_rounds
from coc2mqtt.events.compare.games import games_state, members_below
from coc2mqtt.events.compare.raid_state import raid_state
from coc2mqtt.events.compare.reminder import Occasion, is_included
from coc2mqtt.events.compare.war import WarState, attacks_per_member, war_id, war_sides
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from coc2mqtt.events.compare.reminder import DueReminder, Part
    from coc2mqtt.events.resource import Reminders, Snapshot

Json = dict[str, Any]

PART_OF_KIND: Mapping[Kind, Part] = {Kind.WAR: "war", Kind.CWL: "cwl", Kind.RAID: "raid", Kind.GAMES: "games"}
KIND_OF_PART: Mapping[Part, Kind] = {part: kind for kind, part in PART_OF_KIND.items()}
# A reminder that is later than this was not sent on time.
_MAX_DELAY_S = 60.0


class ClanNow(NamedTuple):
    """A clan according to its snapshot: its name, and its members by tag (None: unknown)."""

    tag: str
    name: str | None = None
    members: Mapping[str, Json] | None = None

    @classmethod
    def of(cls, tag: str, snapshot: Snapshot | None) -> ClanNow:
        """Return the clan of a snapshot of Kind.CLAN."""
        data = {} if snapshot is None or snapshot.data is None else snapshot.data
        members = data.get("memberList")
        return cls(tag, data.get("name"), None if members is None else {member["tag"]: member for member in members})


def occasions_of(kind: Kind, snapshot: Snapshot | None, tag: str) -> list[Occasion]:
    """Return what is in progress in a clan's war, clan war league, raid weekend or clan games."""
    if snapshot is None or snapshot.data is None or snapshot.memo.get("private"):
        return []
    if kind is Kind.WAR:
        return _war_occasions("war", [snapshot.data])
    if kind is Kind.CWL:
        return _war_occasions("cwl", [one.war for one in own_rounds(snapshot, tag)])
    return _games_occasions(snapshot) if kind is Kind.GAMES else _raid_occasions(snapshot)


def reminder_event(
    reminder: DueReminder, snapshot: Snapshot, clan: ClanNow, reminders: Reminders, *, at: float, polled_at: float
) -> Event | None:
    """Return the event of a reminder, None if none of the members that the filters include has attacks left.

    ``snapshot`` is that of the war, the league or the raid weekend, which was last fetched at ``polled_at``.
    """
    part = reminder.occasion.part
    if part == "raid":
        event_type, details = EventType.RAID_REMINDER, _raid_details(snapshot, clan, reminders)
    elif part == "games":
        event_type, details = EventType.CLAN_GAMES_REMINDER, _games_details(snapshot, clan, reminders)
    else:
        event_type, details = EventType.WAR_REMINDER, _war_details(reminder, snapshot, clan, reminders)
    if details is None:
        return None
    metadata = {
        "hours_left": round(reminder.time / 3600.0, 4),
        "minutes_left": max(1, round((reminder.occasion.end - at) / 60.0)),
        "end_at": iso_time(reminder.occasion.end),
        "polled_at": iso_time(polled_at),
        **details,
    }
    if at - reminder.due > _MAX_DELAY_S:
        metadata |= {"catch_up": True, "snapshot_age_seconds": round(at - reminder.due, 3)}
    return Event(event_type, clan.tag, timestamp=at, name=clan.name, metadata=metadata)


def _war_occasions(part: Part, wars: Iterable[Json]) -> list[Occasion]:
    found = []
    for war in wars:
        identity, end = war_id(war), parse_unix_time(war.get("endTime"))
        if war.get("state") == WarState.IN_WAR.value and identity is not None and end is not None:
            found.append(Occasion(part, identity, end, _start(war.get("startTime"), end)))
    return found


def _raid_occasions(snapshot: Snapshot) -> list[Occasion]:
    state = raid_state(snapshot)
    end = parse_unix_time(state.end_time)
    if state.state != "ongoing" or state.start_time is None or end is None:
        return []
    return [Occasion("raid", state.start_time, end, _start(state.start_time, end))]


def _games_occasions(snapshot: Snapshot) -> list[Occasion]:
    games = games_state(snapshot)
    if games.state != "ongoing" or games.start is None or games.end is None:
        return []
    return [Occasion("games", f"{games.start:.0f}", games.end, games.start)]


def _start(text: object, end: float) -> float:
    """Return the start of a battle; minus infinity if it is unknown or not before the end."""
    start = parse_unix_time(text)
    return start if start is not None and start < end else -math.inf


def _war_details(reminder: DueReminder, snapshot: Snapshot, clan: ClanNow, reminders: Reminders) -> Json | None:
    rounds = [CwlRound(0, snapshot.data or {})]
    if reminder.occasion.part == "cwl":
        rounds = own_rounds(snapshot, clan.tag)
    found = next((one for one in rounds if war_id(one.war) == reminder.occasion.identity), None)
    if found is None:
        return None
    own, opponent = war_sides(found.war, clan.tag)
    each = attacks_per_member(found.war)
    fighters = own.get("members") or []
    left = ((one, one.get("townhallLevel"), each - len(one.get("attacks") or [])) for one in fighters)
    members = _included(left, clan, reminders)
    if not members:
        return None
    return {
        "war_id": reminder.occasion.identity,
        "war_type": "regular" if reminder.occasion.part == "war" else "cwl",
        "round": found.number or None,
        "opponent_tag": opponent.get("tag"),
        "opponent_name": opponent.get("name") or opponent.get("tag"),
        "stars": own.get("stars"),
        "opponent_stars": opponent.get("stars"),
        "attacks_left": sum(member["attacks_left"] for member in members),
        "members": len(members),
        "members_attacks_left": members,
    }


def _raid_details(snapshot: Snapshot, clan: ClanNow, reminders: Reminders) -> Json | None:
    state = raid_state(snapshot)
    known = clan.members or {}
    # Those who have left the clan cannot be reminded.
    present = [one for one in state.members if clan.members is None or one["tag"] in clan.members]
    left = ((dict(one), known.get(one["tag"], {}).get("townHallLevel"), one["attacks_left"]) for one in present)
    members = _included(left, clan, reminders)
    started = {member["tag"] for member in state.members}
    absent = [member for member in known.values() if member["tag"] not in started]
    not_started = [
        {"tag": member["tag"], "name": member.get("name")}
        for member in absent
        if is_included(
            reminders,
            role=member.get("role"),
            town_hall=member.get("townHallLevel"),
            attacks_left=reminders.min_attacks_left,
        )
    ]
    if not members and not not_started:
        return None
    return {
        "attacks_left": sum(member["attacks_left"] for member in members),
        "members": len(members) + len(not_started),
        "members_attacks_left": members,
        "members_not_started": None if clan.members is None else not_started,
    }


def _games_details(snapshot: Snapshot, clan: ClanNow, reminders: Reminders) -> Json | None:
    state = games_state(snapshot)
    known = clan.members or {}
    below = [
        one._asdict()
        for one in members_below(state, clan.members)
        if is_included(
            reminders,
            role=known.get(one.tag, {}).get("role"),
            town_hall=known.get(one.tag, {}).get("townHallLevel"),
            attacks_left=reminders.min_attacks_left,
        )
    ]
    if not below:
        return None
    return {"total": state.total, "max_points": state.max_points, "members": len(below), "members_below": below}


def _included(members: Iterable[tuple[Json, Any, int]], clan: ClanNow, reminders: Reminders) -> list[Json]:
    """Return the members with attacks left whom the filters include, those with the most left first."""
    known = clan.members or {}
    found = [
        {"tag": member["tag"], "name": member.get("name"), "town_hall": town_hall, "attacks_left": left}
        for member, town_hall, left in members
        if left > 0
        and is_included(
            reminders, role=known.get(member["tag"], {}).get("role"), town_hall=town_hall, attacks_left=left
        )
    ]
    return sorted(found, key=lambda member: -member["attacks_left"])
