"""The present state of a clan's raid weekend, from its snapshot. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

from coc2mqtt.events.compare.raid import (
    ENDED,
    attacks_left,
    destroyed_districts,
    district_count,
    estimated_reward,
    is_completed,
    own_raids,
    raids_completed,
    rewards,
    total_attacks,
    total_districts,
)
from coc2mqtt.events.compare.raid_history import RaidHistory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]


class RaidOpponent(NamedTuple):
    """The clan that is being raided, and how many of its districts are not destroyed yet."""

    tag: str | None
    name: str | None
    districts_left: int


class RaidMember(TypedDict):
    """A member who has started to attack; ``loot`` is capital gold."""

    tag: str
    name: str | None
    attacks: int
    attacks_left: int
    loot: int


class RaidState(NamedTuple):
    """The latest raid weekend of a clan.

    It is ``none`` if the clan never raided, and stays ``ended`` until the clan raids again. Times have the API's
    format. ``attacks_left`` and ``members`` include only members who have started to attack; some of them may have left
    the clan since. ``opponent`` is None unless the clan is raiding one. ``estimated_medals`` are the raid medals for
    each attack as long as the API does not show them in ``offensive_reward``; ``max_medals`` are those of a member with
    six attacks. After the end was reported, ``not_started`` are the members who had not attacked at that time, None if
    they are unknown.
    """

    state: Literal["none", "ongoing", "ended"] = "none"
    start_time: str | None = None
    end_time: str | None = None
    loot: int | None = None
    attacks: int | None = None
    attacks_left: int | None = None
    districts_destroyed: int | None = None
    raids_completed: int | None = None
    opponent: RaidOpponent | None = None
    estimated_medals: int | None = None
    offensive_reward: int | None = None
    defensive_reward: int | None = None
    max_medals: int | None = None
    members: tuple[RaidMember, ...] = ()
    is_end_reported: bool = False
    not_started: tuple[Json, ...] | None = None


def raid_state(snapshot: Snapshot) -> RaidState:
    """Return the state of a clan's raid weekend."""
    season: Json | None = (snapshot.data or {}).get("season")
    if season is None:
        return RaidState()
    history = RaidHistory.from_json(snapshot.memo, season)
    ended = season["state"] == ENDED or history.ended
    members = tuple(map(_member, season.get("members") or []))
    offensive, defensive, max_medals = rewards(season)
    return RaidState(
        state="ended" if ended else "ongoing",
        start_time=season["startTime"],
        end_time=season.get("endTime"),
        loot=season.get("capitalTotalLoot"),
        attacks=total_attacks(season),
        attacks_left=sum(member["attacks_left"] for member in members),
        districts_destroyed=total_districts(season),
        raids_completed=raids_completed(season),
        opponent=None if ended else _opponent(season),
        estimated_medals=None if offensive else estimated_reward(season),
        offensive_reward=offensive,
        defensive_reward=defensive,
        max_medals=max_medals,
        members=members,
        is_end_reported=history.ended,
        not_started=None if history.not_started is None else tuple(history.not_started),
    )


def members_not_started(state: RaidState, clan_member_list: Iterable[Json]) -> list[Json]:
    """Return the tag and name of each member of a list who has not attacked yet, in the order of the list."""
    started = {member["tag"] for member in state.members}
    return [
        {"tag": member["tag"], "name": member.get("name")}
        for member in clan_member_list
        if member["tag"] not in started
    ]


def _opponent(season: Json) -> RaidOpponent | None:
    raids = own_raids(season)
    if not raids or is_completed(raids[-1]):
        return None
    defender = raids[-1].get("defender") or {}
    left = max(0, district_count(raids[-1]) - destroyed_districts(raids[-1]))
    return RaidOpponent(defender.get("tag"), defender.get("name"), left)


def _member(member: Json) -> RaidMember:
    return {
        "tag": member["tag"],
        "name": member.get("name"),
        "attacks": member.get("attacks", 0),
        "attacks_left": attacks_left(member),
        "loot": member.get("capitalResourcesLooted", 0),
    }
