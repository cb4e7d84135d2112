"""Responses about ranked battles: their battles and the player's place. Pure: no clock, no I/O.

The API's season id is the start of the ranked week (Unix time in seconds); its times are in ISO 8601 here, unlike
anywhere else.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from coc2mqtt.clash.response import parse_unix_time
from coc2mqtt.clash.tags import InvalidTagError, normalize_tag

Json = dict[str, Any]
Side = Literal["attack", "defense"]

LEGEND_TIER = 105000034
_LEGEND = "legend"
_NO_GROUP = "#0"
# Times outside of these are malformed: from 2001 to 2100.
_EARLIEST, _LATEST = 978_307_200.0, 4_102_444_800.0
# More than the battles of a week; the list of the last battles has this many.
_MAX_BATTLES = 400
_LOG_SIZE = 50
_COUNTS = ("leagueTrophies", "attackWinCount", "attackLoseCount", "defenseWinCount", "defenseLoseCount")


class Signup(NamedTuple):
    """The league group of a player: its tag and the season's id."""

    group: str
    season: int


class Tier(NamedTuple):
    """A league tier; the API numbers the tiers from the lowest up."""

    id: int | None
    name: str | None


UNKNOWN_TIER = Tier(None, None)


class Battle(NamedTuple):
    """A ranked battle; ``at`` is Unix time, ``trophies`` what the player won, below 0 for lost ones."""

    side: Side
    at: float
    opponent_tag: str | None
    opponent_name: str | None
    stars: int | None
    destruction: float | None
    trophies: int | None

    @property
    def key(self) -> str:
        """The identity of the battle in its week; the API has no id."""
        return f"{self.side} {self.at:.0f} {self.opponent_tag}"


class KnownBattles(NamedTuple):
    """Battles of a player, complete since a time (Unix time)."""

    battles: list[Battle]
    since: float


class Place(NamedTuple):
    """The place of a player in their league group, with the counts of the API."""

    placement: int
    size: int
    trophies: int
    attack_wins: int
    attack_losses: int
    defense_wins: int
    defense_losses: int


def signup_of(player: Json) -> Signup | None:
    """Return the league group that a response about a player names, None if they have not signed up.

    Then its tag is ``#0``, null or absent.
    """
    group, season = player.get("currentLeagueGroupTag"), _integer(player.get("currentLeagueSeasonId"))
    if not isinstance(group, str) or group in ("", _NO_GROUP) or season is None or not _is_plausible(season):
        return None
    try:
        return Signup(normalize_tag(group), season)
    except InvalidTagError:
        return None


def tier_of(player: Json, *, known: Tier) -> Tier:
    """Return the league tier of a player, the known one if the response lacks it."""
    tier = player.get("leagueTier")
    tier = tier if isinstance(tier, dict) else {}
    name = tier.get("name")
    found = Tier(_integer(tier.get("id")), name if isinstance(name, str) else None)
    return known if found == UNKNOWN_TIER else found


def is_legend(tier: Tier) -> bool:
    """Return whether a tier is the Legend League."""
    return tier.id == LEGEND_TIER or (tier.name is not None and _LEGEND in tier.name.lower())


def group_battles(group: Json) -> list[Battle]:
    """Return the battles of the player whom the response about a league group is about, the oldest first."""
    sides: tuple[tuple[str, Side], ...] = (("attackLogs", "attack"), ("defenseLogs", "defense"))
    found = [
        battle
        for key, side in sides
        for entry in _objects(group.get(key))
        if (battle := _battle(entry, side, entry.get("creationTime"))) is not None
    ]
    return sorted(found, key=lambda battle: battle.at)[-_MAX_BATTLES:]


def legend_battles(battle_log: Json) -> KnownBattles | None:
    """Return the battles in the Legend League of a response about a player's last battles, None if one has no time."""
    items = _objects(battle_log.get("items"))
    found = []
    for entry in items:
        if _LEGEND in str(entry.get("battleType")).lower():
            side: Side = "attack" if entry.get("attack") is True else "defense"
            battle = _battle(entry, side, entry.get("battleTimestamp"))
            if battle is None:
                return None
            found.append(battle)
    if len(items) < _LOG_SIZE:
        return KnownBattles(found, -math.inf)
    times = [_time(entry.get("battleTimestamp")) for entry in items]
    # The oldest battle is the last one.
    return None if times[-1] is None else KnownBattles(found, times[-1])


def place_of(group: Json, tag: str) -> Place | None:
    """Return the place of a player in a league group, None if the response does not list them."""
    members = [
        (member.get("playerTag"), counts)
        for member in _objects(group.get("members"))
        if None not in (counts := [_integer(member.get(key)) for key in _COUNTS])
    ]
    own = next((counts for member, counts in members if member == tag), None)
    if own is None:
        return None
    trophies = [counts[0] or 0 for _, counts in members]
    place = 1 + sum(one > (own[0] or 0) for one in trophies)
    return Place(place, len(members), *(count or 0 for count in own))


def history_entry(history: Json, season: int) -> Json | None:
    """Return the entry of a past season in a player's league history, None if it is not listed yet."""
    return next((one for one in _objects(history.get("items")) if one.get("leagueSeasonId") == season), None)


def count_of(entry: Json | None, key: str) -> int | None:
    """Return a number of an entry of the league history, None if it is unknown."""
    return None if entry is None else _integer(entry.get(key))


def _battle(entry: Json, side: Side, time: object) -> Battle | None:
    at = _time(time)
    if at is None:
        return None
    tag, name, destruction = (
        entry.get("opponentPlayerTag"),
        entry.get("opponentName"),
        entry.get("destructionPercentage"),
    )
    return Battle(
        side,
        at,
        tag if isinstance(tag, str) else None,
        name if isinstance(name, str) else None,
        _integer(entry.get("stars")),
        destruction if isinstance(destruction, int | float) and not isinstance(destruction, bool) else None,
        _integer(entry.get("trophies")),
    )


def _time(value: object) -> float | None:
    """Return a time in ISO 8601, in the API's usual format or as Unix time, None if it is invalid."""
    time = _parsed_time(value)
    return time if time is not None and _is_plausible(time) else None


def _parsed_time(value: object) -> float | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    if (usual := parse_unix_time(value)) is not None:
        return usual
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _is_plausible(time: float) -> bool:
    return _EARLIEST <= time < _LATEST


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _objects(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
