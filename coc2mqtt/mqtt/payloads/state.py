"""The retained state of each resource, from its snapshot. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.mqtt.payloads.json_fields import integer, json_object, named, text
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
    iso_time,
    shorten,
)
from coc2mqtt.mqtt.payloads.war_state import war_state

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

# What is retained of each kind, availability last: whoever empties them is not done while it is there.
FACETS: Mapping[Kind, tuple[str, ...]] = {
    Kind.CLAN: ("clan", "badge", "poll", "availability"),
    Kind.WAR: ("war",),
    Kind.PLAYER: ("player", "poll", "availability"),
}


def facets(
    resource: Resource,
    snapshot: Snapshot,
    *,
    polled_at: float | None = None,
    war: PlayerWarPayload | None = None,
    reachable: bool = True,
) -> dict[str, Payload]:
    """Return the retained state of a clan, a war or a player, by facet: those that are known.

    ``polled_at`` is when the API last answered for it (Unix time in seconds), None where it did not in this run;
    ``war`` is a player's part in the war of their clan, None where that is not watched. ``reachable`` is false while
    the API cannot be reached or denies access: then nothing is available.
    """
    if resource.kind is Kind.WAR:
        known = snapshot.data is not None or bool(snapshot.memo.get("private"))
        return {"war": war_state(resource.tag, snapshot)} if known else {}
    online = is_available(snapshot) and reachable
    states: dict[str, Payload] = {"availability": OnlinePayload(state="online" if online else "offline")}
    if snapshot.data is not None:
        if resource.kind is Kind.CLAN:
            states["clan"] = clan = _clan(resource.tag, snapshot.data, snapshot.taken_at)
            states["badge"] = BadgePayload(badge_url=clan.badge_url)
        else:
            states["player"] = _player(resource.tag, snapshot.data, snapshot.taken_at, war)
    if polled_at is not None:
        states["poll"] = PollPayload(polled_at=iso_time(polled_at))
    return states


def is_available(snapshot: Snapshot) -> bool:
    """Return whether a clan or a player was found when the API last answered for it."""
    return snapshot.data is not None and not snapshot.memo.get("unavailable")


def api_status(snapshot: Snapshot) -> ApiStatusPayload:
    """Return the retained state of the API itself, whose snapshot has data."""
    data = snapshot.data or {}
    return ApiStatusPayload(
        state=data["status"], since=iso_time(data["since"]), message=data["message"], address=data["address"]
    )


def clan_of(player: Snapshot) -> str | None:
    """Return the tag of the clan that a player is in, None without one."""
    tag = json_object((player.data or {}).get("clan")).get("tag")
    return tag if isinstance(tag, str) else None


def _clan(tag: str, data: Json, taken_at: float) -> ClanPayload:
    return ClanPayload(
        tag=tag,
        name=text(data.get("name")),
        level=integer(data.get("clanLevel")),
        points=integer(data.get("clanPoints")),
        builder_base_points=integer(data.get("clanBuilderBasePoints")),
        capital_points=integer(data.get("clanCapitalPoints")),
        members=integer(data.get("members")),
        war_league=named(data.get("warLeague")),
        capital_league=named(data.get("capitalLeague")),
        war_win_streak=integer(data.get("warWinStreak")),
        war_wins=integer(data.get("warWins")),
        is_war_log_public=data.get("isWarLogPublic") if isinstance(data.get("isWarLogPublic"), bool) else None,
        badge_url=text(json_object(data.get("badgeUrls")).get("large")),
        updated_at=iso_time(taken_at),
    )


def _player(tag: str, data: Json, taken_at: float, war: PlayerWarPayload | None) -> PlayerPayload:
    clan = json_object(data.get("clan"))
    return PlayerPayload(
        tag=tag,
        name=text(data.get("name")),
        town_hall_level=integer(data.get("townHallLevel")),
        builder_hall_level=integer(data.get("builderHallLevel")),
        exp_level=integer(data.get("expLevel")),
        league_tier=named(data.get("leagueTier") or data.get("league")),
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
