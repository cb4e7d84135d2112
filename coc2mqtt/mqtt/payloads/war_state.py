"""The retained state of a war, and of a player's part in it, from the war's snapshot. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coc2mqtt.clash.response import parse_time
from coc2mqtt.events.compare.war import attacks_per_member, war_id, war_sides
from coc2mqtt.mqtt.payloads.json_fields import integer, json_object, json_objects, number, text
from coc2mqtt.mqtt.payloads.models import (
    PlayerWarPayload,
    WarMemberPayload,
    WarPayload,
    WarSidePayload,
    WarStatus,
    iso_time,
)

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

# The largest war that the game has.
_MOST_MEMBERS = 50

# Of a war that goes on and of one that is over: a tie, ahead, behind.
_STATUS: dict[str, tuple[WarStatus, WarStatus, WarStatus]] = {
    "inWar": ("tied", "winning", "losing"),
    "warEnded": ("tied", "won", "lost"),
}


def war_state(tag: str, snapshot: Snapshot) -> WarPayload:
    """Return the current war of the clan ``tag``; without one, or behind a private war log, most of it is null."""
    private = bool(snapshot.memo.get("private"))
    data = _war(snapshot)
    at_war = war_id(data) is not None
    own, other = war_sides(data, tag)
    return WarPayload(
        state=text(data.get("state")),
        war_log="private" if private else "public",
        war_id=text(war_id(data)),
        preparation_start_time=api_time(data.get("preparationStartTime")),
        start_time=api_time(data.get("startTime")),
        end_time=api_time(data.get("endTime")),
        team_size=integer(data.get("teamSize")),
        attacks_per_member=attacks_per_member(data) if at_war else None,
        status=_status(data, own, other),
        clan=_side(data, own) if at_war else None,
        opponent=_side(data, other) if at_war else None,
        members_with_attacks_left=_members_with_attacks_left(data, own) if at_war else [],
        updated_at=iso_time(snapshot.taken_at),
    )


def player_war(player_tag: str, clan_tag: str, snapshot: Snapshot) -> PlayerWarPayload:
    """Return a player's part in the current war of the clan that they are in; who does not fight has no attack left.

    Behind a private war log nothing is known of it.
    """
    data = _war(snapshot)
    own, _ = war_sides(data, clan_tag)
    state, members = data.get("state"), own.get("members")
    left: int | None = 0
    if snapshot.memo.get("private"):
        left = None
    elif state in ("preparation", "inWar"):
        seats = [member for member in json_objects(members) if member.get("tag") == player_tag]
        left = _attacks_left(data, seats[0]) if seats else 0 if isinstance(members, list) else None
    return PlayerWarPayload(
        clan_tag=clan_tag,
        state=text(state),
        attacks_left=left,
        attack_pending=None if left is None else state == "inWar" and left > 0,
        end_time=api_time(data.get("endTime")),
    )


def api_time(value: object) -> str | None:
    """Return a time of the API (``20260417T011933.000Z``) as it is published, None where it is none."""
    moment = parse_time(value)
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _war(snapshot: Snapshot) -> Json:
    data = {} if snapshot.memo.get("private") or snapshot.data is None else snapshot.data
    # Without a war the API need not name the sides, nor is it checked what they are then.
    return {**data, "clan": json_object(data.get("clan")), "opponent": json_object(data.get("opponent"))}


def _side(war: Json, side: Json) -> WarSidePayload:
    size, used = integer(war.get("teamSize")), integer(side.get("attacks"))
    return WarSidePayload(
        tag=text(side.get("tag")),
        name=text(side.get("name")) or text(side.get("tag")),
        level=integer(side.get("clanLevel")),
        stars=integer(side.get("stars")),
        attacks=used,
        attacks_left=None if size is None or used is None else max(size * attacks_per_member(war) - used, 0),
        destruction=number(side.get("destructionPercentage")),
    )


def _members_with_attacks_left(war: Json, side: Json) -> list[WarMemberPayload]:
    members = [
        WarMemberPayload(
            tag=text(member.get("tag")),
            name=text(member.get("name")),
            position=integer(member.get("mapPosition")),
            attacks_left=left,
        )
        for member in json_objects(side.get("members"))
        if (left := _attacks_left(war, member))
    ]
    # In a war of the clan war league the positions have gaps, and one that is missing must not come first.
    return sorted(members, key=lambda member: (member.position is None, member.position))[:_MOST_MEMBERS]


def _attacks_left(war: Json, member: Json) -> int:
    return max(attacks_per_member(war) - len(json_objects(member.get("attacks"))), 0)


def _status(war: Json, own: Json, other: Json) -> WarStatus | None:
    words = _STATUS.get(str(war.get("state")))
    if words is None:
        return None
    score, other_score = _score(own), _score(other)
    # A figure that is missing is not 0, and a war whose score is not known is not tied.
    return None if score is None or other_score is None else words[(score > other_score) - (score < other_score)]


def _score(side: Json) -> tuple[int, float] | None:
    stars, destruction = integer(side.get("stars")), number(side.get("destructionPercentage"))
    return None if stars is None or destruction is None else (stars, destruction)
