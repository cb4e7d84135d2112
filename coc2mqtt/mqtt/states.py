"""The retained state of each resource, from its snapshot. Pure: no clock, no I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.war import war_id, war_sides
from coc2mqtt.mqtt.payloads import (
    ApiStatusPayload,
    ClanPayload,
    OnlinePayload,
    Payload,
    PlayerClanPayload,
    PlayerPayload,
    WarPayload,
    WarSidePayload,
    iso_time,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

FACETS: Mapping[Kind, tuple[str, ...]] = {
    Kind.CLAN: ("availability", "clan"),
    Kind.WAR: ("war",),
    Kind.PLAYER: ("availability", "player"),
}


def facets(resource: Resource, snapshot: Snapshot) -> dict[str, Payload]:
    """Return the retained state of a clan, a war or a player, by facet: those that are known."""
    if resource.kind is Kind.WAR:
        return {"war": _war(resource.tag, snapshot)}
    known = snapshot.data is not None
    online = known and not snapshot.memo.get("unavailable")
    states: dict[str, Payload] = {"availability": OnlinePayload(state="online" if online else "offline")}
    if snapshot.data is not None:
        build = _clan if resource.kind is Kind.CLAN else _player
        states[resource.kind.value] = build(snapshot.data, snapshot.taken_at)
    return states


def api_status(snapshot: Snapshot) -> ApiStatusPayload:
    """Return the retained state of the API itself, whose snapshot has data."""
    data = snapshot.data or {}
    return ApiStatusPayload(
        state=data["status"], since=iso_time(data["since"]), message=data["message"], address=data["address"]
    )


def api_time(text: object) -> str | None:
    """Return a time of the API (``20260417T011933.000Z``) as it is published, None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC).isoformat(timespec="milliseconds")
    except ValueError:
        return None


def _clan(data: Json, taken_at: float) -> ClanPayload:
    return ClanPayload(
        tag=data["tag"],
        name=_text(data.get("name")),
        level=_number(data.get("clanLevel")),
        points=_number(data.get("clanPoints")),
        builder_base_points=_number(data.get("clanBuilderBasePoints")),
        capital_points=_number(data.get("clanCapitalPoints")),
        members=_number(data.get("members")),
        war_league=_named(data.get("warLeague")),
        capital_league=_named(data.get("capitalLeague")),
        war_win_streak=_number(data.get("warWinStreak")),
        war_wins=_number(data.get("warWins")),
        is_war_log_public=data.get("isWarLogPublic") if isinstance(data.get("isWarLogPublic"), bool) else None,
        badge_url=_text((data.get("badgeUrls") or {}).get("large")),
        updated_at=iso_time(taken_at),
    )


def _player(data: Json, taken_at: float) -> PlayerPayload:
    clan = data.get("clan")
    return PlayerPayload(
        tag=data["tag"],
        name=_text(data.get("name")),
        town_hall_level=_number(data.get("townHallLevel")),
        builder_hall_level=_number(data.get("builderHallLevel")),
        exp_level=_number(data.get("expLevel")),
        league_tier=_named(data.get("leagueTier") or data.get("league")),
        trophies=_number(data.get("trophies")),
        war_stars=_number(data.get("warStars")),
        donations=_number(data.get("donations")),
        donations_received=_number(data.get("donationsReceived")),
        war_preference=_text(data.get("warPreference")),
        role=_text(data.get("role")),
        clan=PlayerClanPayload(tag=clan["tag"], name=_text(clan.get("name")))
        if isinstance(clan, dict) and isinstance(clan.get("tag"), str)
        else None,
        updated_at=iso_time(taken_at),
    )


def _war(tag: str, snapshot: Snapshot) -> WarPayload:
    private = bool(snapshot.memo.get("private")) or snapshot.data is None
    data = {} if private or snapshot.data is None else snapshot.data
    at_war = war_id(data) is not None
    own, other = war_sides(data, tag)
    return WarPayload(
        state=_text(data.get("state")),
        war_log="private" if snapshot.memo.get("private") else "public",
        war_id=war_id(data),
        preparation_start_time=api_time(data.get("preparationStartTime")),
        start_time=api_time(data.get("startTime")),
        end_time=api_time(data.get("endTime")),
        team_size=_number(data.get("teamSize")),
        # A war of the clan war league does not say it: there it is one attack each.
        attacks_per_member=_number(data.get("attacksPerMember", 1)) if at_war else None,
        status=_status(data, own, other),
        clan=_side(own) if at_war else None,
        opponent=_side(other) if at_war else None,
        updated_at=iso_time(snapshot.taken_at),
    )


def _side(side: Json) -> WarSidePayload:
    return WarSidePayload(
        tag=_text(side.get("tag")),
        name=_text(side.get("name")),
        level=_number(side.get("clanLevel")),
        stars=_number(side.get("stars")),
        attacks=_number(side.get("attacks")),
        destruction=_number(side.get("destructionPercentage")),
    )


def _status(war: Json, own: Json, other: Json) -> Literal["winning", "losing", "tied"] | None:
    if war.get("state") not in ("inWar", "warEnded"):
        return None
    score, other_score = (
        (_number(side.get("stars")) or 0, _number(side.get("destructionPercentage")) or 0) for side in (own, other)
    )
    return "winning" if score > other_score else "losing" if score < other_score else "tied"


def _number(value: object) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _named(value: object) -> str | None:
    return _text(value.get("name")) if isinstance(value, dict) else None
