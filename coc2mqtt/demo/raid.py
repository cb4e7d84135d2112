"""A raid weekend of a clan: its raids on other clans, their raids on it, and its raiders."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.demo.catalogue import DISTRICTS, badge_urls
from coc2mqtt.demo.changes import ImpossibleError
from coc2mqtt.demo.war import api_time

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from datetime import datetime

    from coc2mqtt.demo.player import Player

Json = dict[str, Any]

ATTACKS_PER_MEMBER = 5
_BONUS_ATTACKS = 1
_DESTROYED = 100
# The medals of a destroyed district by the level of its hall, and those of the capital peak.
_HALL_MEDALS = (0, 135, 225, 350, 405, 460)
_PEAK_MEDALS = (0, 0, 180, 360, 585, 810, 1115, 1240, 1260, 1375, 1450)
_MEDALS_PER_DEFENSE = 35
# The destruction that an attack must reach for one, two and three stars, in percent.
_STAR_LIMITS = (50, 75, _DESTROYED)
_LOOT_PER_PERCENT = (60, 110)
# The length of the list of weekends; the story is endless.
_MOST_WEEKENDS = 3


class RaidAttack(NamedTuple):
    """An attack; ``destruction`` is that of the district after it, in percent."""

    attacker_tag: str
    attacker_name: str
    destruction: int

    @property
    def stars(self) -> int:
        """The stars, from 0 to 3."""
        return sum(self.destruction >= limit for limit in _STAR_LIMITS)

    def body(self) -> Json:
        """Return the attack as in the API."""
        return {
            "attacker": {"tag": self.attacker_tag, "name": self.attacker_name},
            "destructionPercent": self.destruction,
            "stars": self.stars,
        }


@dataclass(slots=True, eq=False)
class District:
    """A district of a raided clan; ``number`` 0 is the capital peak."""

    number: int
    hall: int
    loot: int = 0
    attacks: list[RaidAttack] = field(default_factory=list)

    @property
    def id(self) -> int:
        """The id of the district in the API."""
        return 70000000 + self.number

    @property
    def name(self) -> str:
        """The name of the district."""
        return DISTRICTS[self.number]

    @property
    def destruction(self) -> int:
        """The present destruction in percent."""
        return self.attacks[-1].destruction if self.attacks else 0

    @property
    def is_destroyed(self) -> bool:
        """Whether nothing is left of the district."""
        return self.destruction == _DESTROYED

    @property
    def medals(self) -> int:
        """The medals for destroying the district."""
        return (_HALL_MEDALS if self.number else _PEAK_MEDALS)[self.hall]

    def attack(self, attacker: tuple[str, str], gained: int | None, rng: random.Random) -> tuple[RaidAttack, int]:
        """Destroy ``gained`` percent more (None: a part or the rest); return the attack and its loot."""
        left = _DESTROYED - self.destruction
        if gained is None:
            gained = left if self.attacks and rng.random() < 0.6 else rng.randint(20, 80)  # noqa: PLR2004
        gained = min(gained, left)
        attack = RaidAttack(*attacker, self.destruction + gained)
        loot = gained * rng.randint(*_LOOT_PER_PERCENT)
        self.attacks.append(attack)
        self.loot += loot
        return attack, loot

    def body(self, *, has_ended: bool, lists_attacks: bool) -> Json:
        """Return the district as in the API, which omits empty keys and the stars of an ended weekend."""
        body: Json = {
            "id": self.id,
            "name": self.name,
            "districtHallLevel": self.hall,
            "destructionPercent": self.destruction,
            "stars": 0 if has_ended else max((attack.stars for attack in self.attacks), default=0),
            "attackCount": len(self.attacks),
            "totalLooted": self.loot,
        }
        if self.attacks and lists_attacks:
            body["attacks"] = [attack.body() for attack in reversed(self.attacks)]
        return body


@dataclass(slots=True, eq=False)
class Raid:
    """A raid of one clan on another: ``tag``, ``name`` and ``level`` are those of the other clan.

    Of a raid by the clan, ``districts`` are those of the other one; of a raid on it, its own.
    """

    tag: str
    name: str
    level: int
    districts: list[District]

    @property
    def attack_count(self) -> int:
        """The number of attacks."""
        return sum(len(district.attacks) for district in self.districts)

    @property
    def destroyed(self) -> list[District]:
        """The destroyed districts."""
        return [district for district in self.districts if district.is_destroyed]

    @property
    def is_completed(self) -> bool:
        """Whether all districts are destroyed."""
        return len(self.destroyed) == len(self.districts)

    @property
    def loot(self) -> int:
        """The capital gold looted from all districts."""
        return sum(district.loot for district in self.districts)

    def next_district(self) -> District:
        """Return the district to attack next: the peak is unlocked last."""
        if self.is_completed:
            raise ImpossibleError(f"the raid on {self.name} is completed: raid the next clan")
        return next(district for district in reversed(self.districts) if not district.is_destroyed)

    def body(self, role: str, *, has_ended: bool, lists_attacks: bool) -> Json:
        """Return the raid as in the API; ``role`` is ``defender`` or ``attacker``, that of the other clan."""
        return {
            role: {"tag": self.tag, "name": self.name, "level": self.level, "badgeUrls": badge_urls(self.tag)},
            "attackCount": self.attack_count,
            "districtCount": len(self.districts),
            "districtsDestroyed": len(self.destroyed),
            "districts": [
                district.body(has_ended=has_ended, lists_attacks=lists_attacks) for district in self.districts
            ],
        }


@dataclass(slots=True, eq=False)
class Raider:
    """A member who has attacked in a weekend; the name is that of their first attack."""

    tag: str
    name: str
    attacks: int = 0
    bonus: int = 0
    loot: int = 0

    @property
    def attacks_left(self) -> int:
        """The number of attacks that the member can still make."""
        return ATTACKS_PER_MEMBER + self.bonus - self.attacks

    def body(self) -> Json:
        """Return the member as in the API."""
        return {
            "tag": self.tag,
            "name": self.name,
            "attacks": self.attacks,
            "attackLimit": ATTACKS_PER_MEMBER,
            "bonusAttackLimit": self.bonus,
            "capitalResourcesLooted": self.loot,
        }


@dataclass(slots=True, eq=False)
class Weekend:
    """A raid weekend, which has ended once it has medals: those of each attack and those of the defence."""

    start: datetime
    end: datetime
    state: str = "ongoing"
    medals: tuple[int, int] = (0, 0)
    raiders: dict[str, Raider] = field(default_factory=dict)
    raids: list[Raid] = field(default_factory=list)
    defenses: list[Raid] = field(default_factory=list)

    @property
    def loot(self) -> int:
        """The capital gold looted by the clan."""
        return sum(raid.loot for raid in self.raids)

    @property
    def attack_count(self) -> int:
        """The number of attacks by the clan."""
        return sum(raid.attack_count for raid in self.raids)

    @property
    def destroyed(self) -> list[District]:
        """The districts destroyed by the clan."""
        return [district for raid in self.raids for district in raid.destroyed]

    @property
    def completed(self) -> int:
        """The number of clans that the clan has destroyed completely."""
        return sum(raid.is_completed for raid in self.raids)

    def can_attack(self, tag: str) -> bool:
        """Whether a member has an attack left."""
        return tag not in self.raiders or self.raiders[tag].attacks_left > 0

    def attack(self, member: Player, gained: int | None, rng: random.Random) -> tuple[Raider, District, RaidAttack]:
        """Let a member attack the next district of the last raided clan; the last hit on a district earns a bonus."""
        district = self.raids[-1].next_district()
        raider = self.raiders.setdefault(member.tag, Raider(member.tag, member.name))
        attack, loot = district.attack((raider.tag, raider.name), gained, rng)
        raider.attacks += 1
        raider.loot += loot
        if district.is_destroyed:
            raider.bonus = _BONUS_ATTACKS
        return raider, district, attack

    def final_medals(self) -> tuple[int, int]:
        """Return the medals for each attack and for the defence."""
        offense = sum(district.medals for district in self.destroyed)
        lost = sum(raid.attack_count for raid in self.defenses)
        return math.ceil(offense / max(1, self.attack_count)), lost * _MEDALS_PER_DEFENSE // 10

    def body(self, *, is_last: bool) -> Json:
        """Return the weekend as in the API, which lists members and attacks only of the last one."""
        has_ended = self.state == "ended"
        form = {"has_ended": has_ended, "lists_attacks": is_last}
        # The order of the members is not stable.
        raiders = list(self.raiders.values())[:: -1 if self.attack_count % 2 else 1]
        members = {"members": [raider.body() for raider in raiders]} if is_last else {}
        return {
            "state": self.state,
            "startTime": api_time(self.start),
            "endTime": api_time(self.end),
            "capitalTotalLoot": self.loot,
            # The API also counts the raids on the clan.
            "raidsCompleted": self.completed + sum(raid.is_completed for raid in self.defenses),
            "totalAttacks": self.attack_count,
            "enemyDistrictsDestroyed": len(self.destroyed),
            "offensiveReward": self.medals[0],
            "defensiveReward": self.medals[1],
            **members,
            "attackLog": [raid.body("defender", **form) for raid in self.raids],
            "defenseLog": [raid.body("attacker", **form) for raid in self.defenses],
        }


class Weekends:
    """The last raid weekends of a clan, the last one first."""

    def __init__(self) -> None:
        self._weekends: deque[Weekend] = deque(maxlen=_MOST_WEEKENDS)

    @property
    def last(self) -> Weekend | None:
        """The present weekend or the last one, None without any."""
        return self._weekends[0] if self._weekends else None

    def add(self, weekend: Weekend) -> None:
        """Add a weekend that has just started."""
        self._weekends.appendleft(weekend)

    def body(self, limit: int | None) -> Json:
        """Return the last ``limit`` weekends as in the API, None: all."""
        shown = list(self._weekends)[:limit]
        items = [weekend.body(is_last=not place) for place, weekend in enumerate(shown)]
        return {"items": items, "paging": {"cursors": {}}}


def capital(halls: Sequence[int]) -> list[District]:
    """Return the intact districts of a capital with halls of these levels."""
    return [District(number, hall) for number, hall in enumerate(halls)]


def draw_capital(rng: random.Random, size: int) -> list[District]:
    """Return the intact districts of another clan's capital with ``size`` of them."""
    peak = rng.randint(size, len(_PEAK_MEDALS) - 1)
    return capital([peak, *sorted((rng.randint(1, 5) for _ in range(size - 1)), reverse=True)])
