"""The retained state of clans, wars, players and the API, built from snapshots. Pure: no clock, no I/O.

The API's values are not validated here: a value of an unexpected type becomes null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coc2mqtt.clash.response import api_time
from coc2mqtt.events.compare.war import attacks_per_member, war_id, war_sides
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.mqtt.payloads.last_war import last_war_payload
from coc2mqtt.mqtt.payloads.members import members_payload, sum_of_members
from coc2mqtt.mqtt.payloads.models import (
    ApiStatusPayload,
    BadgePayload,
    ClanPayload,
    OnlinePayload,
    Payload,
    PlayerClanPayload,
    PlayerPayload,
    PlayerWarPayload,
    PollPayload,
    WarMemberPayload,
    WarPayload,
    WarSidePayload,
    WarStatus,
    iso_time,
)
from coc2mqtt.mqtt.payloads.values import integer, json_object, json_objects, name_of, number, text
from coc2mqtt.util.text import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

# The facets of each kind's state. Availability is last because it marks a state as not yet completely removed.
FACETS: Mapping[Kind, tuple[str, ...]] = {
    Kind.CLAN: ("clan", "badge", "members", "poll", "availability"),
    Kind.WAR: ("war", "last_war"),
    Kind.PLAYER: ("player", "poll", "availability"),
}

# The largest war in the game.
_MAX_WAR_MEMBERS = 50

# The status of a war in each state when the score is equal, higher or lower than the opponent's.
_WAR_STATUS: dict[str, tuple[WarStatus, WarStatus, WarStatus]] = {
    "inWar": ("tied", "winning", "losing"),
    "warEnded": ("tied", "won", "lost"),
}


def state_payloads(
    resource: Resource,
    snapshot: Snapshot,
    *,
    polled_at: float | None = None,
    war: PlayerWarPayload | None = None,
    war_taken_at: float = 0.0,
    reachable: bool = True,
    members: bool = True,
) -> dict[str, Payload]:
    """Return the known state payloads of a clan, a war or a player, by facet.

    ``polled_at`` is the Unix time in seconds of the API's last response, None if there was none in this run. ``war`` is
    a player's part in the war of their clan, None if that war is not watched; it is from a response at the Unix time
    ``war_taken_at``. ``reachable`` is false while the API is unreachable or denies access: nothing is available then.
    ``members`` is whether to return a clan's members, which take most of the time.
    """
    if resource.kind is Kind.WAR:
        return _war_states(resource.tag, snapshot)
    online = is_available(snapshot) and reachable
    states: dict[str, Payload] = {"availability": OnlinePayload(state="online" if online else "offline")}
    if snapshot.data is not None:
        if resource.kind is Kind.CLAN:
            states["clan"] = clan = _clan_payload(resource.tag, snapshot.data, snapshot.taken_at)
            states["badge"] = BadgePayload(badge_url=clan.badge_url)
            if members:
                states["members"] = members_payload(snapshot.data, snapshot.taken_at)
        else:
            taken_at = max(snapshot.taken_at, war_taken_at)
            states["player"] = _player_payload(resource.tag, snapshot.data, taken_at, war)
    if polled_at is not None:
        states["poll"] = PollPayload(polled_at=iso_time(polled_at))
    return states


def _war_states(tag: str, snapshot: Snapshot) -> dict[str, Payload]:
    states: dict[str, Payload] = {}
    if snapshot.data is not None or snapshot.memo.get("private"):
        states["war"] = war_payload(tag, snapshot)
    if (last_war := last_war_payload(snapshot)) is not None:
        states["last_war"] = last_war
    return states


def is_available(snapshot: Snapshot) -> bool:
    """Return whether the API's last response contained the clan or player."""
    return snapshot.data is not None and not snapshot.memo.get("unavailable")


def api_status_payload(snapshot: Snapshot) -> ApiStatusPayload:
    """Return the state of the API itself, from its snapshot, which must have data."""
    data = snapshot.data or {}
    return ApiStatusPayload(
        state=data["status"], since=iso_time(data["since"]), message=data["message"], address=data["address"]
    )


def clan_of(player: Snapshot) -> str | None:
    """Return the tag of a player's clan, None without one."""
    tag = json_object(json_object(player.data).get("clan")).get("tag")
    return tag if isinstance(tag, str) else None


def war_payload(tag: str, snapshot: Snapshot) -> WarPayload:
    """Return the current war of the clan ``tag``; most keys are null without a war or with a private war log."""
    private = bool(snapshot.memo.get("private"))
    data = _war_data(snapshot)
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
        status=_war_status(data, own, opponent),
        clan=_side_payload(data, own) if at_war else None,
        opponent=_side_payload(data, opponent) if at_war else None,
        members_with_attacks_left=_members_with_attacks_left(data, own) if at_war else [],
        updated_at=iso_time(snapshot.taken_at),
    )


def player_war_payload(player_tag: str, clan_tag: str, snapshot: Snapshot) -> PlayerWarPayload:
    """Return a player's part in the current war of their clan.

    A player who does not take part has no attacks left. With a private war log everything is null.
    """
    data = _war_data(snapshot)
    own, _ = war_sides(data, clan_tag)
    state, members = data.get("state"), own.get("members")
    left: int | None = 0
    if snapshot.memo.get("private"):
        left = None
    elif state in ("preparation", "inWar"):
        found = [member for member in json_objects(members) if member.get("tag") == player_tag]
        left = _attacks_left(data, found[0]) if found else 0 if isinstance(members, list) else None
    return PlayerWarPayload(
        clan_tag=clan_tag,
        state=text(state),
        attacks_left=left,
        attack_pending=None if left is None else state == "inWar" and left > 0,
        end_time=api_time(data.get("endTime")),
    )


def _clan_payload(tag: str, data: Json, taken_at: float) -> ClanPayload:
    return ClanPayload(
        tag=tag,
        name=text(data.get("name")),
        level=integer(data.get("clanLevel")),
        points=integer(data.get("clanPoints")),
        builder_base_points=integer(data.get("clanBuilderBasePoints")),
        capital_points=integer(data.get("clanCapitalPoints")),
        members=integer(data.get("members")),
        donations=sum_of_members(data, "donations"),
        donations_received=sum_of_members(data, "donationsReceived"),
        war_league=name_of(data.get("warLeague")),
        capital_league=name_of(data.get("capitalLeague")),
        war_win_streak=integer(data.get("warWinStreak")),
        war_wins=integer(data.get("warWins")),
        is_war_log_public=data.get("isWarLogPublic") if isinstance(data.get("isWarLogPublic"), bool) else None,
        badge_url=text(json_object(data.get("badgeUrls")).get("large")),
        updated_at=iso_time(taken_at),
    )


def _player_payload(tag: str, data: Json, taken_at: float, war: PlayerWarPayload | None) -> PlayerPayload:
    clan = json_object(data.get("clan"))
    return PlayerPayload(
        tag=tag,
        name=text(data.get("name")),
        town_hall_level=integer(data.get("townHallLevel")),
        builder_hall_level=integer(data.get("builderHallLevel")),
        exp_level=integer(data.get("expLevel")),
        league_tier=name_of(data.get("leagueTier") or data.get("league")),
        trophies=integer(data.get("trophies")),
        war_stars=integer(data.get("warStars")),
        donations=integer(data.get("donations")),
        donations_received=integer(data.get("donationsReceived")),
        war_preference=text(data.get("warPreference")),
        role=text(data.get("role")),
        clan=PlayerClanPayload(tag=shorten(clan["tag"]), name=text(clan.get("name")) or shorten(clan["tag"]))
        if isinstance(clan.get("tag"), str)
        else None,
        war=war,
        updated_at=iso_time(taken_at),
    )


def _war_data(snapshot: Snapshot) -> Json:
    data = {} if snapshot.memo.get("private") or snapshot.data is None else snapshot.data
    # Without a war the API may omit the sides, and they are not validated then.
    return {**data, "clan": json_object(data.get("clan")), "opponent": json_object(data.get("opponent"))}


def _side_payload(war: Json, side: Json) -> WarSidePayload:
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
    # Positions in a clan war league have gaps. A member without a position comes last.
    return sorted(members, key=lambda member: (member.position is None, member.position))[:_MAX_WAR_MEMBERS]


def _attacks_left(war: Json, member: Json) -> int:
    return max(attacks_per_member(war) - len(json_objects(member.get("attacks"))), 0)


def _war_status(war: Json, own: Json, opponent: Json) -> WarStatus | None:
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
