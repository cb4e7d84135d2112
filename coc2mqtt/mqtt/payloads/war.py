"""The retained state of a clan's war. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from coc2mqtt.clash.response import api_time
from coc2mqtt.events.compare.war import attacks_per_member, war_id, war_sides
from coc2mqtt.mqtt.payloads.models import Payload, Time, iso_time
from coc2mqtt.mqtt.payloads.values import integer, json_object, json_objects, number, text

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]
WarStatus = Literal["winning", "losing", "tied", "won", "lost"]


class WarSidePayload(Payload):
    """One side of a war. ``destruction`` is in percent. After the war, ``attacks_left`` counts the unused attacks."""

    tag: str | None
    name: str | None
    """The tag if the API returns no name."""
    level: int | None
    stars: int | None
    attacks: int | None
    attacks_left: int | None
    destruction: float | None


class WarMemberPayload(Payload):
    """A member of the watched clan with attacks left; ``position`` is the position on the war map."""

    tag: str | None
    name: str | None
    position: int | None
    attacks_left: int


class WarPayload(Payload):
    """The current war of a clan; without a war, or with a private war log, most keys are null."""

    state: str | None
    """The API's value: `notInWar`, `preparation`, `inWar` or `warEnded`; null if unknown."""
    war_log: Literal["public", "private"]
    war_id: str | None
    """The same value as in the events of this war."""
    preparation_start_time: Time | None
    start_time: Time | None
    end_time: Time | None
    team_size: int | None
    """The number of members on each side."""
    attacks_per_member: int | None
    status: WarStatus | None
    """The watched clan's status, by stars, then by destruction; null without a war or before the battle."""
    clan: WarSidePayload | None
    """The watched clan."""
    opponent: WarSidePayload | None
    members_with_attacks_left: list[WarMemberPayload]
    """Members of the watched clan with attacks left, in the order of the war map; at most 50."""
    updated_at: Time


# The largest war in the game.
_MAX_WAR_MEMBERS = 50

# The status of a war in each state when the score is equal, higher or lower than the opponent's.
_WAR_STATUS: dict[str, tuple[WarStatus, WarStatus, WarStatus]] = {
    "inWar": ("tied", "winning", "losing"),
    "warEnded": ("tied", "won", "lost"),
}


def war_payload(tag: str, snapshot: Snapshot) -> WarPayload:
    """Return the current war of the clan ``tag``; most keys are null without a war or with a private war log."""
    private = bool(snapshot.memo.get("private"))
    data = war_data(snapshot)
    at_war = war_id(data) is not None
    own, opponent = war_sides(data, tag)
    return WarPayload(
        state=text(data.get("state")),
        war_log="private" if private else "public",
        war_id=text(war_id(data)),
        preparation_start_time=api_time(data.get("preparationStartTime")),
        start_time=api_time(data.get("startTime")),
        end_time=api_time(data.get("endTime")),
        team_size=integer(data.get("teamSize")),
        attacks_per_member=attacks_per_member(data) if at_war else None,
        status=war_status(data, own, opponent),
        clan=side_payload(data, own) if at_war else None,
        opponent=side_payload(data, opponent) if at_war else None,
        members_with_attacks_left=members_with_attacks_left(data, own) if at_war else [],
        updated_at=iso_time(snapshot.taken_at),
    )


def war_data(snapshot: Snapshot) -> Json:
    """Return the war in a snapshot, with both sides as objects; an empty one if the war log is private."""
    data = {} if snapshot.memo.get("private") or snapshot.data is None else snapshot.data
    # Without a war the API may omit the sides, and they are not validated then.
    return {**data, "clan": json_object(data.get("clan")), "opponent": json_object(data.get("opponent"))}


def side_payload(war: Json, side: Json) -> WarSidePayload:
    """Return one side of a war."""
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


def members_with_attacks_left(war: Json, side: Json) -> list[WarMemberPayload]:
    """Return the members of a side with attacks left, by position."""
    members = [
        WarMemberPayload(
            tag=text(member.get("tag")),
            name=text(member.get("name")),
            position=integer(member.get("mapPosition")),
            attacks_left=left,
        )
        for member in json_objects(side.get("members"))
        if (left := war_attacks_left(war, member))
    ]
    # Positions in a clan war league have gaps. A member without a position comes last.
    return sorted(members, key=lambda member: (member.position is None, member.position))[:_MAX_WAR_MEMBERS]


def war_attacks_left(war: Json, member: Json) -> int:
    """Return the number of a member's attacks left."""
    return max(attacks_per_member(war) - len(json_objects(member.get("attacks"))), 0)


def war_status(war: Json, own: Json, opponent: Json) -> WarStatus | None:
    """Return the status of the side ``own``, None before the battle or if a score is unknown."""
    statuses = _WAR_STATUS.get(str(war.get("state")))
    if statuses is None:
        return None
    score, opponent_score = _score(own), _score(opponent)
    # A missing number is not 0, so a war with an unknown score is not tied.
    if score is None or opponent_score is None:
        return None
    return statuses[(score > opponent_score) - (score < opponent_score)]


def _score(side: Json) -> tuple[int, float] | None:
    stars, destruction = integer(side.get("stars")), number(side.get("destructionPercentage"))
    return None if stars is None or destruction is None else (stars, destruction)
