"""Clan games, ranked battles and the gold pass in the world."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from coc2mqtt.demo.changes import ImpossibleError
from coc2mqtt.demo.world_base import WorldBase

if TYPE_CHECKING:
    from coc2mqtt.demo.changes import Changes

Json = dict[str, Any]
Side = Literal["attack", "defense"]

# A Monday at 05:00 UTC, on which a ranked week starts.
_MONDAY = datetime(2025, 10, 6, 5, tzinfo=UTC)
_WEEK = timedelta(days=7)
_GROUP_SIZE = 5
# A season starts at this hour of the first day of a month.
_GOLD_PASS_HOUR = 8
_GAMES_BEFORE = 10_000
_GAMES_TARGET = 100_000
_TROPHIES = 30
_ALL_STARS = 3
# The number of the tier after all others.
_LEGEND_TIER = 34
_SIGNUP_FIELDS = ["currentLeagueGroupTag", "currentLeagueSeasonId"]


@dataclass
class RankedWeek:
    """The ranked week of a player: its start, the tag of the league group, and the battles as the API shows them."""

    start: datetime
    group_tag: str
    battles: dict[Side, list[Json]] = field(default_factory=lambda: {"attack": [], "defense": []})

    @property
    def season(self) -> int:
        """The API's id of the week."""
        return int(self.start.timestamp())

    def trophies(self) -> int:
        """Return the trophies that the player has won."""
        return sum(int(battle["trophies"]) for battle in self.battles["attack"])


class SeasonChanges(WorldBase):
    """A world with clan games, ranked weeks and gold pass seasons; these changes have no expected events.

    They are published only for watches that have them on.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._games_points: Counter[str] = Counter()
        # The weeks of each player, the present one last.
        self._ranked: dict[str, list[RankedWeek]] = {}
        self._gold_pass_seasons = 0

    def earn_games_points(self, clan: str, member: str | None = None, points: int = 200) -> Changes:
        """Let a member earn points in the clan games."""
        home = self._population.watched_clan(clan)
        tag = member or home.members[-1].tag
        self._games_points[tag] += points
        self._log.touch("player", tag)
        return []

    def start_ranked_week(self, player: str) -> Changes:
        """Sign a player up for the next ranked week; the first one is the present week."""
        self._population.watched_player(player)
        weeks = self._ranked.setdefault(player, [])
        start = weeks[-1].start + _WEEK if weeks else self._week_start()
        weeks.append(RankedWeek(start, f"#{len(weeks) + 2}YY{player[-3:]}"))
        return self._record("player", player, [("player_updated", {"fields": _SIGNUP_FIELDS})])

    def ranked_battle(self, player: str, side: Side = "attack", stars: int = 2) -> Changes:
        """Let a player attack in a ranked battle, or be attacked."""
        weeks = self._ranked.get(player)
        if not weeks:
            raise ImpossibleError(f"player {player} has not signed up for ranked battles: start a ranked week first")
        battles = weeks[-1].battles[side]
        time = self._now() + timedelta(seconds=len(battles))
        battles.append(
            {
                "opponentPlayerTag": f"#8{'0289PYLQGRJCUV'[len(battles) % 14]}Q{player[-2:]}",
                "opponentName": ("Ash", "Birk", "Cole", "Dara", "Enna")[len(battles) % 5],
                "stars": stars,
                "destructionPercentage": 100 if stars == _ALL_STARS else 30 + 20 * stars,
                "trophies": _TROPHIES + 2 * stars if side == "attack" else 0,
                "creationTime": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
        self._log.touch("ranked", player)
        return []

    def reach_legend_league(self, player: str) -> Changes:
        """Promote a player to the Legend League."""
        self._population.watched_player(player).tier = _LEGEND_TIER
        return self._record("player", player, [("player_league_changed", {})])

    def start_gold_pass_season(self) -> Changes:
        """Start the gold pass season of the next month."""
        self._gold_pass_seasons += 1
        return []

    def gold_pass(self) -> Json:
        """Return the body of the current gold pass season."""
        start = (self._now() - timedelta(hours=_GOLD_PASS_HOUR)).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        start += timedelta(hours=_GOLD_PASS_HOUR)
        for _ in range(self._gold_pass_seasons):
            start = _next_month(start)
        return {"startTime": _api_text(start), "endTime": _api_text(_next_month(start))}

    def ranked_group(self, group_tag: str, season: int, player_tag: str) -> Json | None:
        """Return the body of a league group with the battles of a player, None if it is unknown."""
        week = next((one for one in self._ranked.get(player_tag, []) if one.season == season), None)
        if week is None or week.group_tag != group_tag:
            return None
        attacks, defenses = week.battles["attack"], week.battles["defense"]
        own = _group_member(player_tag, self._name_of(player_tag), week.trophies(), len(attacks), len(defenses))
        others = [
            _group_member(f"#8QQ{place}", f"Rival {place}", 35 * place, place, place) for place in range(_GROUP_SIZE)
        ]
        return {"members": [*others, own], "attackLogs": attacks, "defenseLogs": defenses}

    def league_history(self, tag: str) -> Json | None:
        """Return the body of a player's past ranked weeks, None if they do not exist."""
        player = self._population.player(tag)
        if player is None:
            return None
        items = [_history_item(week, player.tier) for week in self._ranked.get(tag, [])[:-1]]
        return {"items": items, "paging": {"cursors": {}}}

    def battle_log(self, tag: str) -> Json | None:
        """Return the body of a player's last battles, None if they do not exist."""
        return None if self._population.player(tag) is None else {"items": []}

    def _season_fields(self, tag: str, body: Json) -> Json:
        """Return the fields of a player's body that depend on clan games and ranked weeks."""
        games = {
            "name": "Games Champion",
            "stars": _ALL_STARS,
            "value": _GAMES_BEFORE + self._games_points[tag],
            "target": _GAMES_TARGET,
            "info": "Earn 100,000 points in Clan Games",
            "completionInfo": "Total Clan Games points: ",
            "village": "home",
        }
        fields: Json = {"achievements": [*body["achievements"], games]}
        if weeks := self._ranked.get(tag):
            fields |= {"currentLeagueGroupTag": weeks[-1].group_tag, "currentLeagueSeasonId": weeks[-1].season}
        return fields

    def _week_start(self) -> datetime:
        return _MONDAY + (self._now() - _MONDAY) // _WEEK * _WEEK

    def _name_of(self, tag: str) -> str:
        player = self._population.player(tag)
        return tag if player is None else player.name


def _group_member(tag: str, name: str, trophies: int, attacks: int, defenses: int) -> Json:
    return {
        "playerTag": tag,
        "playerName": name,
        "clanTag": None,
        "clanName": None,
        "leagueTrophies": trophies,
        "attackWinCount": attacks,
        "attackLoseCount": 0,
        "defenseWinCount": 0,
        "defenseLoseCount": defenses,
    }


def _history_item(week: RankedWeek, tier: int) -> Json:
    return {
        "leagueSeasonId": week.season,
        "leagueTrophies": week.trophies(),
        "leagueTierId": 105_000_000 + tier,
        "placement": 2,
        "attackWins": len(week.battles["attack"]),
        "attackLosses": 0,
        "attackStars": 0,
        "defenseWins": 0,
        "defenseLosses": len(week.battles["defense"]),
        "maxBattles": 30,
    }


def _next_month(start: datetime) -> datetime:
    return (start + timedelta(days=32)).replace(day=1)


def _api_text(time: datetime) -> str:
    return time.strftime("%Y%m%dT%H%M%S.000Z")
