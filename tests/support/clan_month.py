"""A scripted month of one clan: wars, a league, raid weekends, clan games, and maintenances that move their ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.clash import ApiResponse, MaintenanceError
from coc2mqtt.events.calendar import ClanGames
from tests.support.bodies import clan, member, no_war
from tests.support.leagues import DAY, HOUR, MINUTE, OWN, ScriptedLeague, ScriptedWar, api_text
from tests.support.raids import Weekend, past, seasons
from tests.support.replay import InMemoryApi

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

Json = dict[str, Any]

# A Thursday.
START = datetime(2026, 10, 1, 8, tzinfo=UTC).timestamp()
SIZE = 5
ROSTER = [f"{OWN}{letter}" for letter in "0289PYLQ"]
PROBE = "#JY9J2Y99"
MAX_POINTS = 1000


@dataclass
class Battle:
    """The subject of reminders: a war, a league round, a raid weekend or clan games.

    ``end`` is the planned end, ``attacks_per_member`` the number of attacks of each of the ``members``; ``attacks`` are
    the times and the attackers.
    """

    part: str
    identity: str
    start: float
    end: float
    members: list[str]
    attacks_per_member: int
    attacks: list[tuple[float, str]] = field(default_factory=list)

    def left(self, at: float) -> dict[str, int]:
        """Return the attacks left of each member who has any."""
        used = [attacker for time, attacker in self.attacks if time <= at]
        left = {tag: self.attacks_per_member - used.count(tag) for tag in self.members}
        return {tag: count for tag, count in left.items() if count > 0}


@dataclass
class Games(Battle):
    """Clan games; ``earned`` are the times, the members and their points at each."""

    earned: list[tuple[float, str, int]] = field(default_factory=list)

    def points(self, tag: str, at: float) -> int:
        """Return the points of a member at a time."""
        return sum(points for time, member, points in self.earned if member == tag and time <= at)

    def left(self, at: float) -> dict[str, int]:
        """Return the missing points of each member below the maximum."""
        missing = {tag: MAX_POINTS - self.points(tag, at) for tag in self.members}
        return {tag: count for tag, count in missing.items() if count > 0}


class ClanMonth:
    """The responses of the API at any time of the month.

    Regular wars follow each other outside the league; in some of them all attacks are used. A maintenance moves the end
    of what is in battle by its own length, but not that of the clan games, which the API does not show.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        days: int = 30,
        games: ClanGames = ClanGames(max_points=MAX_POINTS),  # noqa: B008 - frozen
    ) -> None:
        self.end = START + days * DAY
        self.maintenances = [
            (at, at + rng.choice([20 * MINUTE, 45 * MINUTE, 3 * HOUR]))
            for at in sorted(rng.uniform(START + DAY, self.end) for _ in range(days // 4))
        ]
        self.league = ScriptedLeague(clans=4, size=SIZE, start=START + 2 * DAY)
        self.wars = self._wars(rng)
        self.weekends = self._weekends(rng)
        self.clan_games = games
        self.games = self._games(rng)
        self.battles = [*map(self._war_battle, self.wars), *self._rounds(rng), *self._raids(), self.games]
        # The bodies of the raid weekends by their start, end, number of attacks and whether they are over.
        self._bodies: dict[tuple[float, float, int, bool], Json] = {}

    def end_of(self, battle: Battle, at: float) -> float:
        """Return the end of a battle, as the API shows it at a time."""
        end = battle.end
        if battle is self.games:
            return end
        for start, stop in self.maintenances:
            if battle.start <= start < end and start <= at:
                end += stop - start
        return end

    def is_down(self, at: float) -> bool:
        """Return whether the API is in maintenance."""
        return any(start <= at < stop for start, stop in self.maintenances)

    def response(self, path: str, at: float) -> Json:
        """Return the response to a request at a time; raises ClashError for a failure."""
        if self.is_down(at):
            raise MaintenanceError("down", status=503)
        if path == f"/players/{PROBE}":
            return {"tag": PROBE, "name": "probe"}
        if path.startswith("/players/"):
            return self._player(path.rpartition("/")[2], at)
        if path == f"/clans/{OWN}":
            return clan(*(member(tag) for tag in ROSTER))
        if path.endswith("/currentwar"):
            return self._current_war(at)
        if "capitalraidseasons" in path:
            return self._raid_seasons(at)
        for number, battle in enumerate((one for one in self.battles if one.part == "cwl"), 1):
            self.league.own(number).end = self.end_of(battle, at)
        body = self.league.response(path, at)
        if isinstance(body, Exception):
            raise body
        return body

    def _wars(self, rng: random.Random) -> list[ScriptedWar]:
        wars: list[ScriptedWar] = []
        at = START  # the first one is over before the league
        while at < self.end:
            start = at + 23 * HOUR
            war = ScriptedWar(f"#W{len(wars)}", 0, (OWN, "#8QQ"), SIZE, at, start, start + DAY)
            everyone = len(wars) % 3 == 1
            for place in range(SIZE):
                for _ in range(2 if everyone else rng.randrange(3)):
                    war.attack(rng.uniform(start, war.end - (8 * HOUR if everyone else 60)), by=place, on=place)
            wars.append(war)
            at = max(war.end + rng.choice([4 * HOUR, DAY]), self.league.end + 5 * HOUR)
        return wars

    def _war_battle(self, war: ScriptedWar) -> Battle:
        attacks = [(attack.at, attack.attacker) for attack in war.attacks]
        identity = f"{min(war.clans)}-{max(war.clans)}"
        return Battle("war", identity, war.start, war.end, war.lineup(0, war.start), 2, attacks)

    def _rounds(self, rng: random.Random) -> list[Battle]:
        battles = []
        for number in range(1, len(self.league.rounds) + 1):
            war, side = self.league.own(number), self.league.own_side(number)
            for place in range(SIZE):
                if rng.random() < 0.7 or number == 1:
                    latest = war.end - (5 * HOUR if number == 1 else 60)
                    war.attack(rng.uniform(war.start, latest), by=place, on=place, side=side)
            attacks = [(attack.at, attack.attacker) for attack in war.attacks if attack.side == side]
            members = war.lineup(side, war.start)
            battles.append(Battle("cwl", war.tag, war.start, war.end, members, 1, attacks))
        return battles

    def _weekends(self, rng: random.Random) -> list[tuple[float, list[tuple[float, str]]]]:
        friday = START - HOUR + DAY
        starts = [friday + 7 * DAY * week for week in range(5)]
        return [
            (start, sorted((rng.uniform(start, start + 3 * DAY), rng.choice(ROSTER)) for _ in range(rng.randrange(25))))
            for start in starts
        ]

    def _raids(self) -> list[Battle]:
        battles = []
        for start, wanted in self.weekends:
            used: dict[str, int] = {}
            attacks = []
            for at, tag in wanted:
                used[tag] = used.get(tag, 0) + 1
                if used[tag] <= 5:
                    attacks.append((at, tag))
            battles.append(Battle("raid", api_text(start), start, start + 3 * DAY, ROSTER, 5, attacks))
        return battles

    def _current_war(self, at: float) -> Json:
        battles = {battle.start: battle for battle in self.battles if battle.part == "war"}
        shown = [war for war in self.wars if war.preparation <= at]
        if not shown:
            return no_war()
        war = shown[-1]
        war.end = self.end_of(battles[war.start], at)
        return {**war.body(at), "attacksPerMember": 2}

    def _raid_seasons(self, at: float) -> Json:
        bodies = [
            self._raid_season(battle, at) for battle in self.battles if battle.part == "raid" and battle.start <= at
        ]
        latest = list(reversed(bodies))
        return seasons(*latest[:1], *map(past, latest[1:]))

    def _raid_season(self, battle: Battle, at: float) -> Json:
        end = self.end_of(battle, at)
        attacks = [tag for time, tag in battle.attacks if time <= at]
        key = battle.start, end, len(attacks), at >= end
        if key not in self._bodies:
            weekend = Weekend(datetime.fromtimestamp(battle.start, UTC))
            weekend._season["endTime"] = api_text(end)
            if attacks:
                weekend.raid("#8QQ")
            for tag in attacks:
                weekend.attack(tag, 40)
            if at >= end:
                weekend.finish()
            self._bodies[key] = weekend.season
        return self._bodies[key]

    def _games(self, rng: random.Random) -> Games:
        start, end = self.clan_games.next(START)
        earned = []
        for number, tag in enumerate(ROSTER):
            # The first member has no time, the second one reaches the maximum long before the end.
            times = sorted(rng.uniform(start, end - (DAY if number == 1 else 0)) for _ in range(5 if number else 0))
            earned += [(time, tag, 200 if number == 1 else rng.choice([50, 100, 200])) for time in times]
        return Games("games", f"{start:.0f}", start, end, ROSTER, 0, earned=earned)

    def _player(self, tag: str, at: float) -> Json:
        value = 5000 + self.games.points(tag, at)
        achievement = {"name": "Games Champion", "village": "home", "value": value, "target": 100_000, "stars": 1}
        return {"tag": tag, "name": tag, "achievements": [achievement]}


class MonthApi(InMemoryApi):
    """The API of a month at the time ``now()``."""

    requests_per_second = 1000.0
    is_open = True

    def __init__(self, month: ClanMonth, now: Callable[[], float]) -> None:
        super().__init__()
        self._month = month
        self._now = now
        self.max_age = 30.0

    def _respond(self, path: str) -> ApiResponse:
        return ApiResponse(200, orjson.dumps(self._month.response(path, self._now())), self.max_age)
