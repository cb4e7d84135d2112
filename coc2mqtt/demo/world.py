"""The world that the scripted API shows: clans, wars and players, and what can happen to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from coc2mqtt.demo import war as wars
from coc2mqtt.demo.change import ImpossibleError
from coc2mqtt.demo.chronicle import Changes, Chronicle, Kind
from coc2mqtt.demo.names import new_tags, seeded
from coc2mqtt.demo.player import ROLES, draw_player
from coc2mqtt.demo.population import Population

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coc2mqtt.demo.change import Sighting
    from coc2mqtt.demo.clan import Clan
    from coc2mqtt.demo.profile import Profile
    from coc2mqtt.demo.war import War

Json = dict[str, Any]

PREPARATION = timedelta(hours=23)
BATTLE = timedelta(hours=24)


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


class World:
    """A small Clash of Clans in memory, the same for the same seed and the same verbs.

    ``clans`` clans to be watched (the first with a public war log, every second with a private one) of ``members``
    each (10 to 50; None: drawn for each), and ``players`` players to be watched. These live in other clans, so that
    a change of theirs is no change of a watched clan; where they leave one they join another of these. Every member
    of any clan has a player's page as well. ``now`` gives the time in UTC; wars carry it.

    Each verb makes one change, appends to ``changes`` every event that a perfect watcher of ``clan_tags`` and
    ``player_tags`` reports for it, and returns these. A verb that is not possible raises ImpossibleError and changes
    nothing; KeyError for a tag that is not to be watched. While a war log is private its war stands still, as nobody
    could tell. The opponents of wars are known by these wars alone: they show no clan.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        now: Callable[[], datetime] = utc_now,
        clans: int = 2,
        members: int | None = None,
        players: int = 2,
    ) -> None:
        self.in_maintenance = False
        self._now = now
        self._rng = seeded(seed)
        self._tags = new_tags(self._rng)
        self._chronicle = Chronicle()
        self._people = Population(self._rng, self._tags, clans=clans, members=members, players=players)
        # By the opponent's tag, the wars that somebody may still ask the opponent about.
        self._wars: dict[str, War] = {}

    @property
    def clan_tags(self) -> tuple[str, ...]:
        """The clans to be watched."""
        return self._people.clan_tags

    @property
    def player_tags(self) -> tuple[str, ...]:
        """The players to be watched."""
        return self._people.player_tags

    @property
    def changes(self) -> Changes:
        """What a perfect watcher has reported so far."""
        return self._chronicle.changes

    def clan(self, tag: str) -> Json | None:
        """Return the body of a clan, None where there is none."""
        clan = self._people.clan(tag)
        return None if clan is None else clan.body()

    def current_war(self, tag: str) -> Json | None:
        """Return the body of a clan's or an opponent's war, None where there is neither or its war log is private."""
        if tag in self._wars:
            return self._wars[tag].seen_by_opponent().body()
        clan = self._people.clan(tag)
        if clan is None or not clan.war_log_public:
            return None
        return wars.no_war_body() if clan.war is None else clan.war.body()

    def war_log(self, tag: str) -> Json | None:
        """Return the body of a clan's war log, None where there is no such clan or it is private."""
        clan = self._people.clan(tag)
        return clan.war_log.body() if clan is not None and clan.war_log_public else None

    def player(self, tag: str) -> Json | None:
        """Return the body of a player, None where there is none."""
        player, home = self._people.player(tag), self._people.home(tag)
        return None if player is None else player.body(None if home is None else home.card())

    def is_war_log_private(self, tag: str) -> bool:
        """Whether there is such a clan, and it hides its wars."""
        clan = self._people.clan(tag)
        return clan is not None and not clan.war_log_public

    def version(self, kind: Kind, tag: str) -> int:
        """Return a number that changes whenever the body of this resource does."""
        return self._chronicle.version(kind, tag)

    def join(self, clan: str) -> Changes:
        """Let a new player join."""
        home, player = self._people.watched_clan(clan), draw_player(self._rng, next(self._tags))
        sightings = home.join(player)
        self._people.move_in(player, home)
        return self._record("clan", clan, sightings)

    def leave(self, clan: str, member: str | None = None) -> Changes:
        """Let a member leave, the leader excepted; who has left is not heard of again."""
        changes = self._record("clan", clan, self._people.watched_clan(clan).leave(member, self._rng))
        self._people.forget(changes[-1].details["member_tag"])
        return changes

    def promote(self, clan: str, member: str | None = None) -> Changes:
        """Raise a member by one role, as far as co-leader."""
        return self._record("clan", clan, self._people.watched_clan(clan).promote(member, self._rng))

    def demote(self, clan: str, member: str | None = None) -> Changes:
        """Lower an elder or co-leader by one role."""
        return self._record("clan", clan, self._people.watched_clan(clan).demote(member, self._rng))

    def donate(self, clan: str, member: str | None = None, amount: int | None = None) -> Changes:
        """Let a member donate ``amount`` troops, one to forty by default, to another: both are seen."""
        amount = self._rng.randint(1, 40) if amount is None else amount
        return self._record("clan", clan, self._people.watched_clan(clan).donate(member, amount, self._rng))

    def reset_season(self, clan: str) -> Changes:
        """Begin a new season: what every member has donated and received falls to 0."""
        home = self._people.watched_clan(clan)
        changes = self._record("clan", clan, home.reset_season())
        self._chronicle.touch("player", *(member.tag for member in home.members))
        return changes

    def rename_member(self, clan: str, member: str | None = None) -> Changes:
        """Give a member another name."""
        return self._record("clan", clan, self._people.watched_clan(clan).rename_member(member, self._rng))

    def upgrade_member_town_hall(self, clan: str, member: str | None = None) -> Changes:
        """Raise a member's town hall by one level."""
        return self._record("clan", clan, self._people.watched_clan(clan).upgrade_member_town_hall(member, self._rng))

    def gain_points(self, clan: str) -> Changes:
        """Let the clan's points grow."""
        return self._record("clan", clan, self._people.watched_clan(clan).gain_points(self._rng.randint(5, 300)))

    def set_war_log_public(self, clan: str, public: bool) -> Changes:
        """Open or close the war log: seen in the clan and at its war."""
        changes = self._record("clan", clan, self._people.watched_clan(clan).set_war_log_public(public))
        self._chronicle.touch("war_log", clan)
        return changes + self._record("war", clan, [("war_log_public" if public else "war_log_private", {})])

    def declare_war(self, clan: str, preparation: timedelta = PREPARATION, battle: timedelta = BATTLE) -> Changes:
        """Begin the preparation of a war against a new opponent; one that has ended makes room for it."""
        home = self._visible_clan(clan)
        if home.war is not None and home.war.state != "warEnded":
            raise ImpossibleError(f"{home.name} is in a war already: end it first, or replace it")
        return self._at_war(clan, self._declare(home, preparation, battle))

    def begin_battle(self, clan: str) -> Changes:
        """Go from the preparation of a war into battle."""
        return self._at_war(clan, self._war(clan).begin_battle())

    def attack(self, clan: str, side: wars.SideName | None = None) -> Changes:
        """Let one of the clan or of the opponent attack; ``side`` None: either."""
        return self._at_war(clan, self._war(clan).attack(side, self._rng))

    def shift_war(self, clan: str, by: timedelta) -> Changes:
        """Move when the battle begins and ends, as a maintenance does: nothing to report, and the same war."""
        self._war(clan).shift(by)
        return self._at_war(clan, [])

    def end_war(self, clan: str) -> Changes:
        """End the battle: seen at the war, and the result in the clan and its war log."""
        war = self._war(clan)
        return self._at_war(clan, war.finish()) + self._count(clan, war)

    def replace_war(self, clan: str, preparation: timedelta = PREPARATION, battle: timedelta = BATTLE) -> Changes:
        """End the war, in preparation or battle, and declare the next one before anybody could see the end.

        The old war counts as it stands, also in the war log, and its opponent goes on to show it.
        """
        old = self._war(clan)
        old.require("preparation", "inWar")
        declared = self._declare(self._visible_clan(clan), preparation, battle)
        self._chronicle.touch("war", old.opponent.tag)
        return self._at_war(clan, [*old.finish_unseen(), *declared]) + self._count(clan, old)

    def clear_war(self, clan: str) -> Changes:
        """Leave the war that has ended; its opponent stays in it."""
        sightings = self._war(clan).leave()
        self._visible_clan(clan).war = None
        return self._record("war", clan, sightings)

    def upgrade_troop(self, player: str) -> Changes:
        """Raise one of the player's troops by one level, siege machines, pets and builder base units included."""
        return self._happen(player, self._profile(player).upgrade("troops", self._rng))

    def upgrade_spell(self, player: str) -> Changes:
        """Raise one of the player's spells by one level."""
        return self._happen(player, self._profile(player).upgrade("spells", self._rng))

    def upgrade_hero(self, player: str) -> Changes:
        """Raise one of the player's heroes by one level."""
        return self._happen(player, self._profile(player).upgrade("heroes", self._rng))

    def upgrade_equipment(self, player: str) -> Changes:
        """Raise one piece of the player's hero equipment by one level."""
        return self._happen(player, self._profile(player).upgrade("heroEquipment", self._rng))

    def wear_equipment(self, player: str) -> Changes:
        """Let one of the player's heroes wear another piece of equipment in the place of one."""
        return self._happen(player, self._profile(player).wear(self._rng))

    def upgrade_town_hall(self, player: str) -> Changes:
        """Raise the player's town hall by one level; its weapon begins again at 1."""
        return self._happen(player, self._people.watched_player(player).upgrade_town_hall())

    def upgrade_town_hall_weapon(self, player: str) -> Changes:
        """Raise the weapon of the player's town hall by one level."""
        return self._happen(player, self._profile(player).upgrade_weapon())

    def upgrade_builder_hall(self, player: str) -> Changes:
        """Raise the player's builder hall by one level."""
        return self._happen(player, self._profile(player).upgrade_builder_hall())

    def boost_super_troop(self, player: str) -> Changes:
        """Boost one of the player's super troops; two can be active at a time."""
        return self._happen(player, self._profile(player).boost(self._rng))

    def end_super_troop(self, player: str) -> Changes:
        """Let the boost of one of the player's super troops end."""
        return self._happen(player, self._profile(player).end_boost(self._rng))

    def complete_achievement(self, player: str) -> Changes:
        """Let the player win all stars of an achievement."""
        return self._happen(player, self._profile(player).complete_achievement(self._rng))

    def rename_player(self, player: str) -> Changes:
        """Give the player another name."""
        return self._happen(player, self._people.watched_player(player).rename(self._rng))

    def change_league(self, player: str) -> Changes:
        """Move the player one league up or down."""
        return self._happen(player, self._people.watched_player(player).change_league(self._rng))

    def change_labels(self, player: str) -> Changes:
        """Give the player other labels."""
        return self._happen(player, self._profile(player).change_labels(self._rng))

    def change_war_preference(self, player: str) -> Changes:
        """Opt the player in to wars, or out of them."""
        return self._happen(player, self._profile(player).change_war_preference())

    def win_trophies(self, player: str) -> Changes:
        """Let the player win trophies."""
        return self._happen(player, self._people.watched_player(player).win_trophies(self._rng.randint(1, 40)))

    def leave_clan(self, player: str) -> Changes:
        """Let the player leave the clan, which is none of ``clan_tags``."""
        one, home = self._people.watched_player(player), self._people.home(player)
        if home is None:
            raise ImpossibleError(f"{one.name} is in no clan: join one first")
        home.leave(player, self._rng)
        one.role = ROLES[0]
        self._people.move_out(player)
        return self._move(player, home, "player_clan_left")

    def join_clan(self, player: str) -> Changes:
        """Let the player, who is in no clan, join one that is none of ``clan_tags``: perhaps the one that was left."""
        one = self._people.watched_player(player)
        if self._people.home(player) is not None:
            raise ImpossibleError(f"{one.name} is in a clan already: leave it first")
        home = self._rng.choice(self._people.open_homes())
        home.join(one)
        self._people.move_in(one, home)
        return self._move(player, home, "player_clan_joined")

    def begin_maintenance(self) -> Changes:
        """Begin a maintenance: the API answers nothing else meanwhile."""
        return self._maintain("maintenance_start", running=True)

    def end_maintenance(self) -> Changes:
        """End the maintenance."""
        return self._maintain("maintenance_end", running=False)

    def _maintain(self, event_type: str, *, running: bool) -> Changes:
        if self.in_maintenance == running:
            raise ImpossibleError("the maintenance has begun already" if running else "there is no maintenance to end")
        self.in_maintenance = running
        return self._chronicle.record_api(event_type)

    def _visible_clan(self, tag: str) -> Clan:
        clan = self._people.watched_clan(tag)
        if not clan.war_log_public:
            raise ImpossibleError(f"the war log of {clan.name} is private, so its war stands still: make it public")
        return clan

    def _war(self, tag: str) -> War:
        clan = self._visible_clan(tag)
        if clan.war is None:
            raise ImpossibleError(f"{clan.name} is not in a war: declare one first")
        return clan.war

    def _declare(self, home: Clan, preparation: timedelta, battle: timedelta) -> list[Sighting]:
        home.war, sightings = wars.declare(
            home, self._rng, self._tags, now=self._now(), preparation=preparation, battle=battle
        )
        self._wars[home.war.opponent.tag] = home.war
        return sightings

    def _at_war(self, clan: str, sightings: Iterable[Sighting]) -> Changes:
        # The opponent shows the same war.
        self._chronicle.touch("war", self._war(clan).opponent.tag)
        return self._record("war", clan, sightings)

    def _count(self, clan: str, war: War) -> Changes:
        """Note a war that has ended in the clan and in its war log."""
        home = self._people.watched_clan(clan)
        forgotten = home.war_log.add(war)
        self._chronicle.touch("war_log", clan)
        if forgotten is not None:
            del self._wars[forgotten.opponent.tag]
            self._chronicle.touch("war", forgotten.opponent.tag)
        return self._record("clan", clan, home.count_war(war.result()))

    def _profile(self, player: str) -> Profile:
        return self._people.watched_player(player).profile

    def _happen(self, player: str, *sightings: Sighting) -> Changes:
        # What a player's page shows may stand in the member list of the player's clan as well.
        if (home := self._people.home(player)) is not None:
            self._chronicle.touch("clan", home.tag)
        return self._record("player", player, sightings)

    def _move(self, player: str, clan: Clan, event_type: str) -> Changes:
        self._chronicle.touch("clan", clan.tag)
        details = {"clan_tag": clan.tag, "clan_name": clan.name}
        return self._record("player", player, [(event_type, details), ("player_updated", {"fields": ["role"]})])

    def _record(self, kind: Kind, tag: str, sightings: Iterable[Sighting]) -> Changes:
        return self._chronicle.record(kind, tag, sightings)
