"""The retained state of clans, wars, players and the API, built from snapshots. Pure: no clock, no I/O.

The API's values are not validated here: a value of an unexpected type becomes null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coc2mqtt.events.compare.activity import clan_activity
from coc2mqtt.events.resource import PARTS, Kind, Resource, Snapshot
from coc2mqtt.mqtt.payloads.cwl import cwl_payload
from coc2mqtt.mqtt.payloads.games import games_payload
from coc2mqtt.mqtt.payloads.last_war import last_war_payload
from coc2mqtt.mqtt.payloads.members import members_payload, sum_of_members
from coc2mqtt.mqtt.payloads.models import (
    ApiStatusPayload,
    BadgePayload,
    ClanPayload,
    OnlinePayload,
    Payload,
    PollPayload,
    iso_time,
)
from coc2mqtt.mqtt.payloads.player import PlayerParts, player_payload
from coc2mqtt.mqtt.payloads.raid import raid_payload
from coc2mqtt.mqtt.payloads.ranked import ranked_payload
from coc2mqtt.mqtt.payloads.values import integer, json_object, name_of, text
from coc2mqtt.mqtt.payloads.war import war_payload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coc2mqtt.events.compare.activity import ClanActivity

Json = dict[str, Any]

# The facets of each kind's state. Availability is last because it marks a state as not yet completely removed.
FACETS: Mapping[Kind, tuple[str, ...]] = {
    Kind.CLAN: ("clan", "badge", "members", "poll", "availability"),
    Kind.WAR: ("war", "last_war"),
    Kind.CWL: ("cwl",),
    Kind.RAID: ("raid",),
    Kind.GAMES: ("games",),
    Kind.REMINDER: (),
    Kind.RANKED: ("ranked",),
    Kind.PLAYER: ("player", "poll", "availability"),
}

_NO_PARTS = PlayerParts()


def state_payloads(
    resource: Resource,
    snapshot: Snapshot,
    *,
    polled_at: float | None = None,
    parts: PlayerParts = _NO_PARTS,
    roster: list[Json] | None = None,
    reachable: bool = True,
    members: bool = True,
) -> dict[str, Payload]:
    """Return the known state payloads of a clan, a part of it or a player, by facet.

    ``polled_at`` is the Unix time in seconds of the API's last response, None if there was none in this run. ``parts``
    are a player's parts in the wars and raids of their clan. ``roster`` is the member list of a clan whose raid weekend
    is published, None if it is unknown. ``reachable`` is false while the API is unreachable or denies access: nothing
    is available then. ``members`` is whether to return a clan's members, which take most of the time.
    """
    if resource.kind in PARTS:
        return _part_states(resource, snapshot, roster)
    online = is_available(snapshot) and reachable
    states: dict[str, Payload] = {"availability": OnlinePayload(state="online" if online else "offline")}
    if snapshot.data is not None:
        if resource.kind is Kind.CLAN:
            activity = clan_activity(snapshot)
            states["clan"] = clan = _clan_payload(resource.tag, snapshot.data, snapshot.taken_at, activity)
            states["badge"] = BadgePayload(badge_url=clan.badge_url)
            if members:
                states["members"] = members_payload(snapshot.data, snapshot.taken_at, activity)
        else:
            states["player"] = player_payload(resource.tag, snapshot.data, snapshot.taken_at, parts)
    if polled_at is not None:
        states["poll"] = PollPayload(polled_at=iso_time(polled_at))
    return states


def _part_states(resource: Resource, snapshot: Snapshot, roster: list[Json] | None) -> dict[str, Payload]:
    if resource.kind is Kind.WAR:
        return _war_states(resource.tag, snapshot)
    if snapshot.data is None:
        return {}
    if resource.kind is Kind.CWL:
        return {"cwl": cwl_payload(resource.tag, snapshot)}
    if resource.kind is Kind.RAID:
        return {"raid": raid_payload(snapshot, roster)}
    if resource.kind is Kind.RANKED:
        return {"ranked": ranked_payload(snapshot)}
    return {"games": games_payload(snapshot, roster)} if resource.kind is Kind.GAMES else {}


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


def _clan_payload(tag: str, data: Json, taken_at: float, activity: ClanActivity | None) -> ClanPayload:
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
        donations_today=None if activity is None else activity.donations_today,
        donations_week=None if activity is None else activity.donations_week,
        inactive_members=None if activity is None else activity.inactive_members,
        war_league=name_of(data.get("warLeague")),
        capital_league=name_of(data.get("capitalLeague")),
        war_win_streak=integer(data.get("warWinStreak")),
        war_wins=integer(data.get("warWins")),
        is_war_log_public=data.get("isWarLogPublic") if isinstance(data.get("isWarLogPublic"), bool) else None,
        badge_url=text(json_object(data.get("badgeUrls")).get("large")),
        updated_at=iso_time(taken_at),
    )
