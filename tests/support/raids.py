"""Scripted raid weekends: responses in the shape of the API's."""

from __future__ import annotations

import copy
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.support.bodies import CLAN_TAG

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

Json = dict[str, Any]

RAIDS = f"/clans/{CLAN_TAG}/capitalraidseasons?limit="
# A Friday.
START = datetime(2026, 11, 27, 7, tzinfo=UTC)
WEEKEND = timedelta(days=3)
WEEK = timedelta(days=7)
PEAK, CAMP = 70_000_000, 70_000_001


def seasons(*latest_first: Json) -> Json:
    """Return the response with these weekends."""
    return {"items": list(latest_first), "paging": {"cursors": {}}}


def past(season: Json) -> Json:
    """Return how a weekend appears once a later one has started: without members and attacks."""
    old = copy.deepcopy(season)
    del old["members"]
    for raid in (*old["attackLog"], *old["defenseLog"]):
        for district in raid["districts"]:
            district.pop("attacks", None)
    return old


class Weekend:
    """A raid weekend that grows by attacks; ``season`` is the present body, which may be kept."""

    def __init__(self, start: datetime = START) -> None:
        self.start, self.end = start, start + WEEKEND
        self._season: Json = {
            "state": "ongoing",
            "startTime": _text(self.start),
            "endTime": _text(self.end),
            "capitalTotalLoot": 0,
            "raidsCompleted": 0,
            "totalAttacks": 0,
            "enemyDistrictsDestroyed": 0,
            "offensiveReward": 0,
            "defensiveReward": 0,
            "members": [],
            "attackLog": [],
            "defenseLog": [],
        }

    @property
    def season(self) -> Json:
        """A copy of the present body."""
        return copy.deepcopy(self._season)

    @property
    def response(self) -> Json:
        """The response with this weekend alone."""
        return seasons(self.season)

    def raid(self, tag: str, *, districts: Iterable[int] = (PEAK, CAMP), hall: int = 3) -> None:
        """Start to raid a clan."""
        self._season["attackLog"].append(_raid("defender", tag, districts, hall))

    def attack(self, attacker: str, destruction: int, *, district: int = CAMP, stars: int | None = None) -> None:
        """Raise the destruction of a district of the present opponent to a value; 100 destroys it."""
        raid = self._season["attackLog"][-1]
        loot = _attack(raid, attacker, destruction, district, stars)
        member = self.join(attacker)
        member["attacks"] += 1
        member["capitalResourcesLooted"] += loot
        self._season["capitalTotalLoot"] += loot
        self._season["totalAttacks"] += 1
        if destruction == 100:
            member["bonusAttackLimit"] = 1
            self._season["enemyDistrictsDestroyed"] += 1
            self._season["raidsCompleted"] += raid["districtsDestroyed"] == raid["districtCount"]

    def join(self, tag: str) -> Json:
        """Return the entry of a member, who appears when their first attack starts."""
        for member in self._season["members"]:
            if member["tag"] == tag:
                return member  # type: ignore[no-any-return]  # of JSON
        member = {"tag": tag, "name": f"Name of {tag}", "attacks": 0, "attackLimit": 5, "bonusAttackLimit": 0}
        member["capitalResourcesLooted"] = 0
        self._season["members"].append(member)
        return member

    def defend(self, tag: str, *destroyed: int, districts: Iterable[int] = (PEAK, CAMP)) -> None:
        """Let another clan raid this one and destroy districts with an attack each."""
        raid = _raid("attacker", tag, districts, 3)
        for district in destroyed:
            _attack(raid, "#YYY", 100, district, None)
        self._season["defenseLog"].append(raid)
        self._season["raidsCompleted"] += raid["districtsDestroyed"] == raid["districtCount"]

    def finish(self, offensive: int = 200, defensive: int = 50) -> None:
        """End the weekend with these rewards."""
        self._season |= {"state": "ended", "offensiveReward": offensive, "defensiveReward": defensive}


def play_weekend(rng: random.Random, start: datetime = START) -> list[Json]:
    """Return the bodies of a scripted weekend, one after each change; the first is before the first attack."""
    weekend = Weekend(start)
    bodies = [weekend.season]
    members = [f"#2P{letter}" for letter in "0289PYLQ"]
    opponents = [rng.choice(["#8Q2", "#8Q8", "#8QQ"]) for _ in range(rng.randint(1, 5))]
    for number, opponent in enumerate(opponents):
        districts = [PEAK + index for index in range(rng.randint(1, 4))]
        weekend.raid(opponent, districts=districts, hall=rng.randint(2, 5))
        bodies.append(weekend.season)
        reached = dict.fromkeys(districts, 0)
        last = number == len(opponents) - 1
        # A weekend without attacks has no rewards.
        while reached and not (last and bodies[-1]["totalAttacks"] and rng.random() < 0.1):
            district = rng.choice(list(reached))
            # An attack may destroy nothing.
            reached[district] = min(100, reached[district] + rng.choice([0, 20, 45, 100]))
            weekend.attack(rng.choice(members), reached[district], district=district)
            bodies.append(weekend.season)
            if reached[district] == 100:
                del reached[district]
            if rng.random() < 0.1:
                weekend.defend(rng.choice(opponents), *districts[: rng.randint(0, 4)], districts=districts)
                bodies.append(weekend.season)
    if rng.random() < 0.3:
        weekend.finish(0, 0)
        bodies.append(weekend.season)
    weekend.finish()
    bodies.append(weekend.season)
    return bodies


def _text(time: datetime) -> str:
    return time.strftime("%Y%m%dT%H%M%S.000Z")


def _raid(role: str, tag: str, districts: Iterable[int], hall: int) -> Json:
    """Return a raid of which all districts are listed from the start."""
    listed = [
        {
            "id": district,
            "name": "Capital Peak" if district == PEAK else f"District {district - PEAK}",
            "districtHallLevel": hall,
            "destructionPercent": 0,
            "stars": 0,
            "attackCount": 0,
            "totalLooted": 0,
        }
        for district in districts
    ]
    return {
        role: {"tag": tag, "name": f"Name of {tag}", "level": 10, "badgeUrls": {}},
        "attackCount": 0,
        "districtCount": len(listed),
        "districtsDestroyed": 0,
        "districts": listed,
    }


def _attack(raid: Json, attacker: str, destruction: int, district_id: int, stars: int | None) -> int:
    """Add an attack and return its loot."""
    (district,) = [one for one in raid["districts"] if one["id"] == district_id]
    gained = destruction - district["destructionPercent"]
    loot: int = 10 * gained
    attack = {
        "attacker": {"tag": attacker, "name": f"Name of {attacker}"},
        "destructionPercent": destruction,
        "stars": math.floor(destruction / 34) if stars is None else stars,
    }
    # The newest attack is the first.
    district["attacks"] = [attack, *district.get("attacks", [])]
    # The stars of a destroyed district may be 0.
    district |= {"destructionPercent": destruction, "attackCount": len(district["attacks"])}
    district["totalLooted"] += loot
    raid["attackCount"] += 1
    raid["districtsDestroyed"] += destruction == 100
    return loot
