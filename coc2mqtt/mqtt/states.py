"""The retained state of each resource, from its snapshot. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from coc2mqtt.clash.times import parse_time
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.war import attacks_per_member, war_id, war_sides
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
    shorten,
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
        known = snapshot.data is not None or bool(snapshot.memo.get("private"))
        return {"war": _war(resource.tag, snapshot)} if known else {}
    known = snapshot.data is not None
    online = known and not snapshot.memo.get("unavailable")
    states: dict[str, Payload] = {"availability": OnlinePayload(state="online" if online else "offline")}
    if snapshot.data is not None:
        build = _clan if resource.kind is Kind.CLAN else _player
        states[resource.kind.value] = build(resource.tag, snapshot.data, snapshot.taken_at)
    return states


def api_status(snapshot: Snapshot) -> ApiStatusPayload:
    """Return the retained state of the API itself, whose snapshot has data."""
    data = snapshot.data or {}
    return ApiStatusPayload(
        state=data["status"], since=iso_time(data["since"]), message=data["message"], address=data["address"]
    )


def api_time(text: object) -> str | None:
    """Return a time of the API (``20260417T011933.000Z``) as it is published, None where it is none."""
    moment = parse_time(text)
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _clan(tag: str, data: Json, taken_at: float) -> ClanPayload:
    return ClanPayload(
        tag=tag,
        name=_text(data.get("name")),
        level=_integer(data.get("clanLevel")),
        points=_integer(data.get("clanPoints")),
        builder_base_points=_integer(data.get("clanBuilderBasePoints")),
        capital_points=_integer(data.get("clanCapitalPoints")),
        members=_integer(data.get("members")),
        war_league=_named(data.get("warLeague")),
        capital_league=_named(data.get("capitalLeague")),
        war_win_streak=_integer(data.get("warWinStreak")),
        war_wins=_integer(data.get("warWins")),
        is_war_log_public=data.get("isWarLogPublic") if isinstance(data.get("isWarLogPublic"), bool) else None,
        badge_url=_text(_object(data.get("badgeUrls")).get("large")),
        updated_at=iso_time(taken_at),
    )


def _player(tag: str, data: Json, taken_at: float) -> PlayerPayload:
    clan = data.get("clan")
    return PlayerPayload(
        tag=tag,
        name=_text(data.get("name")),
        town_hall_level=_integer(data.get("townHallLevel")),
        builder_hall_level=_integer(data.get("builderHallLevel")),
        exp_level=_integer(data.get("expLevel")),
        league_tier=_named(data.get("leagueTier") or data.get("league")),
        trophies=_integer(data.get("trophies")),
        war_stars=_integer(data.get("warStars")),
        donations=_integer(data.get("donations")),
        donations_received=_integer(data.get("donationsReceived")),
        war_preference=_text(data.get("warPreference")),
        role=_text(data.get("role")),
        clan=PlayerClanPayload(tag=shorten(clan["tag"]), name=_text(clan.get("name")))
        if isinstance(clan, dict) and isinstance(clan.get("tag"), str)
        else None,
        updated_at=iso_time(taken_at),
    )


def _war(tag: str, snapshot: Snapshot) -> WarPayload:
    private = bool(snapshot.memo.get("private"))
    data = {} if private or snapshot.data is None else snapshot.data
    # Without a war the API need not name the sides, nor is it checked what they are then.
    data = {**data, "clan": _object(data.get("clan")), "opponent": _object(data.get("opponent"))}
    at_war = war_id(data) is not None
    own, other = war_sides(data, tag)
    return WarPayload(
        state=_text(data.get("state")),
        war_log="private" if private else "public",
        war_id=_text(war_id(data)),
        preparation_start_time=api_time(data.get("preparationStartTime")),
        start_time=api_time(data.get("startTime")),
        end_time=api_time(data.get("endTime")),
        team_size=_integer(data.get("teamSize")),
        attacks_per_member=attacks_per_member(data) if at_war else None,
        status=_status(data, own, other),
        clan=_side(own) if at_war else None,
        opponent=_side(other) if at_war else None,
        updated_at=iso_time(snapshot.taken_at),
    )


def _side(side: Json) -> WarSidePayload:
    return WarSidePayload(
        tag=_text(side.get("tag")),
        name=_text(side.get("name")),
        level=_integer(side.get("clanLevel")),
        stars=_integer(side.get("stars")),
        attacks=_integer(side.get("attacks")),
        destruction=_number(side.get("destructionPercentage")),
    )


def _status(war: Json, own: Json, other: Json) -> Literal["winning", "losing", "tied"] | None:
    if war.get("state") not in ("inWar", "warEnded"):
        return None
    score, other_score = (
        (_integer(side.get("stars")) or 0, _number(side.get("destructionPercentage")) or 0) for side in (own, other)
    )
    return "winning" if score > other_score else "losing" if score < other_score else "tied"


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return shorten(value) if isinstance(value, str) else None


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _named(value: object) -> str | None:
    return _text(_object(value).get("name"))
