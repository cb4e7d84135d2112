"""The changes of raid weekends."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from coc2mqtt.demo import catalogue
from coc2mqtt.demo.changes import ImpossibleError
from coc2mqtt.demo.raid import Raid, Weekend, capital, draw_capital
from coc2mqtt.demo.world_base import WorldBase

if TYPE_CHECKING:
    from coc2mqtt.demo.changes import Changes, ExpectedEvent
    from coc2mqtt.demo.clan import Clan
    from coc2mqtt.demo.player import Player
    from coc2mqtt.demo.raid import District

Json = dict[str, Any]

WEEKEND = timedelta(days=3)
_DISTRICTS = 6
_MOST_ATTACKS = 6


class RaidChanges(WorldBase):
    """A world whose clans raid."""

    def start_raids(self, clan: str, duration: timedelta = WEEKEND, *, districts: int = _DISTRICTS) -> Changes:
        """Start a weekend now with the raid on a first clan, which has ``districts`` districts."""
        home = self._population.watched_clan(clan)
        if home.raids.last is not None and home.raids.last.state == "ongoing":
            raise ImpossibleError(f"{home.name} raids already: end the weekend first")
        weekend = Weekend(self._now(), self._now() + duration)
        home.raids.add(weekend)
        opponent = self._enter(weekend, self._draw_other_clan(), districts)
        return self._record("raid", clan, [("raid_started", {}), opponent])

    def raid(self, clan: str, *, districts: int = _DISTRICTS, again: bool = False) -> Changes:
        """Start to raid the next clan, which has ``districts`` districts, after the last one is destroyed.

        It is another clan or, with ``again``, the last one again, with all of its districts restored.
        """
        weekend = self._weekend(clan)
        if not weekend.raids[-1].is_completed:
            raise ImpossibleError(f"districts of {weekend.raids[-1].name} are left: destroy them first")
        last = weekend.raids[-1]
        other = (last.tag, last.name, last.level) if again else self._draw_other_clan()
        return self._record("raid", clan, [self._enter(weekend, other, districts)])

    def raid_attack(self, clan: str, member: str | None = None, gained: int | None = None) -> Changes:
        """Let a member (None: any with attacks left) destroy ``gained`` percent more of a district.

        None destroys a part or the rest. The clan attacks one district after the other; its last one is the peak.
        """
        home, weekend = self._population.watched_clan(clan), self._weekend(clan)
        raid = weekend.raids[-1]
        raid.next_district()
        raider, district, attack = weekend.attack(self._choose_raider(home, weekend, member), gained, self._raid_rng)
        about: Json = {"raid_index": len(weekend.raids), "defender_tag": raid.tag}
        earlier = district.attacks[-2].destruction if len(district.attacks) > 1 else 0
        details = {
            "attacker_tag": raider.tag,
            "order": len(district.attacks),
            "destruction": attack.destruction,
            "gained": attack.destruction - earlier,
            "stars": attack.stars,
            "finished": district.is_destroyed,
        }
        events = [("raid_attack_new", {**about, "district_id": district.id, **details})]
        if district.is_destroyed:
            events.append(("raid_district_destroyed", {**about, **_destroyed(district)}))
        if raid.is_completed:
            total = {"attacks": raid.attack_count, "loot": raid.loot, "districts": len(raid.districts)}
            events.append(("raid_clan_destroyed", {**about, **total}))
        return self._record("raid", clan, events)

    def raid_defense(self, clan: str, attacks: int | None = None) -> Changes:
        """Let another clan make ``attacks`` attacks on the clan (None: as many as it takes to destroy it).

        The raiding clan continues until it has destroyed the clan; then another one raids it. Only the end of its raid
        has an event.
        """
        home, weekend, rng = self._population.watched_clan(clan), self._weekend(clan), self._raid_rng
        if not weekend.defenses or weekend.defenses[-1].is_completed:
            halls = [district["districtHallLevel"] for district in catalogue.capital(home.capital_hall)["districts"]]
            weekend.defenses.append(Raid(*self._draw_other_clan(), capital(halls)))
        raid = weekend.defenses[-1]
        while not raid.is_completed and attacks != 0:
            raid.next_district().attack((next(self._tags), catalogue.player_name(rng)), None, rng)
            attacks = None if attacks is None else attacks - 1
        if not raid.is_completed:
            return self._record("raid", clan, [])
        details = {
            "attacker_tag": raid.tag,
            "attacks": raid.attack_count,
            "districts_destroyed": len(raid.destroyed),
        }
        return self._record("raid", clan, [("raid_defense_ended", details)])

    def end_raids(self, clan: str, *, rewarded: bool = True) -> Changes:
        """End the weekend, with its medals or, unless ``rewarded``, still without them."""
        weekend = self._weekend(clan)
        weekend.state = "ended"
        return self.reward_raids(clan) if rewarded else self._record("raid", clan, [])

    def reward_raids(self, clan: str) -> Changes:
        """Add the medals to the weekend that has ended; then its end must be published."""
        home = self._population.watched_clan(clan)
        weekend = home.raids.last
        if weekend is None or weekend.state != "ended" or weekend.medals != (0, 0):
            raise ImpossibleError(f"no weekend of {home.name} has ended without medals: end one first")
        weekend.medals = weekend.final_medals()
        return self._record("raid", clan, [("raid_ended", _result(weekend))])

    def upgrade_capital_hall(self, clan: str) -> Changes:
        """Upgrade the capital hall of the clan by one level."""
        return self._record("clan", clan, self._population.watched_clan(clan).upgrade_capital_hall())

    def change_capital_league(self, clan: str) -> Changes:
        """Move the clan one capital league up or down."""
        return self._record("clan", clan, self._population.watched_clan(clan).change_capital_league(self._rng))

    def _weekend(self, clan: str) -> Weekend:
        home = self._population.watched_clan(clan)
        if home.raids.last is None or home.raids.last.state != "ongoing":
            raise ImpossibleError(f"{home.name} does not raid: start a weekend first")
        return home.raids.last

    def _enter(self, weekend: Weekend, other: tuple[str, str, int], size: int) -> ExpectedEvent:
        raid = Raid(*other, draw_capital(self._raid_rng, size))
        weekend.raids.append(raid)
        return "raid_opponent_new", {
            "raid_index": len(weekend.raids),
            "defender_tag": raid.tag,
            "defender_name": raid.name,
            "defender_level": raid.level,
            "districts": size,
        }

    def _draw_other_clan(self) -> tuple[str, str, int]:
        return next(self._tags), catalogue.clan_name(self._raid_rng), self._raid_rng.randint(5, 25)

    def _choose_raider(self, home: Clan, weekend: Weekend, tag: str | None) -> Player:
        able = [one for one in home.members if weekend.can_attack(one.tag) and tag in (None, one.tag)]
        if not able:
            who = "nobody" if tag is None else f"no member {tag}"
            raise ImpossibleError(f"{who} of {home.name} has an attack left: choose another member, or end the weekend")
        return self._raid_rng.choice(able)


def _destroyed(district: District) -> Json:
    return {
        "district_id": district.id,
        "district_name": district.name,
        "district_hall": district.hall,
        "attacks": len(district.attacks),
        "loot": district.loot,
        "last_attacker_tag": district.attacks[-1].attacker_tag,
    }


def _result(weekend: Weekend) -> Json:
    offense, defense = weekend.medals
    return {
        "attacks": weekend.attack_count,
        "loot": weekend.loot,
        "districts_destroyed": len(weekend.destroyed),
        "raids_completed": weekend.completed,
        "offensive_reward": offense,
        "defensive_reward": defense,
        "max_medals": _MOST_ATTACKS * offense + defense,
        "members": len(weekend.raiders),
        "attacks_left": sum(raider.attacks_left for raider in weekend.raiders.values()),
        "partial": False,
    }
