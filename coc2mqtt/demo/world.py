"""The world of the simulated API: clans, wars, players and their changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from coc2mqtt.demo import war as wars
from coc2mqtt.demo.catalogue import new_tags, seeded
from coc2mqtt.demo.changes import ChangeLog, Changes, ImpossibleError, Kind
from coc2mqtt.demo.player import ROLES, draw_player
from coc2mqtt.demo.population import Population

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coc2mqtt.demo.changes import ExpectedEvent
    from coc2mqtt.demo.clan import Clan
    from coc2mqtt.demo.profile import Profile
    from coc2mqtt.demo.war import War

Json = dict[str, Any]

PREPARATION = timedelta(hours=23)
BATTLE = timedelta(hours=24)


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


class World:
    """A small Clash of Clans in memory, the same for the same seed and the same method calls.

    It has ``clans`` clans to watch (the first with a public war log, every second with a private one) with ``members``
    each (10 to 50; None: random), and ``players`` players to watch. These are members of other clans, so that their
    changes do not change a watched clan. Every member of any clan is also available as a player. ``now`` returns the
    time in UTC for wars.

    Each method that changes the world appends the events that must be published for ``clan_tags`` and ``player_tags``
    to ``changes``, and returns them. An impossible change raises ImpossibleError and changes nothing; KeyError for a
    tag that is not to be watched. While a war log is private, its war does not change. The opponents of wars are known
    only through these wars, not as clans.
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
        self._log = ChangeLog()
        self._population = Population(self._rng, self._tags, clans=clans, members=members, players=players)
        # The wars by their opponent's tag; the opponent shows them too.
        self._wars: dict[str, War] = {}

    @property
    def clan_tags(self) -> tuple[str, ...]:
        """The clans to watch."""
        return self._population.clan_tags

    @property
    def player_tags(self) -> tuple[str, ...]:
        """The players to watch."""
        return self._population.player_tags

    @property
    def changes(self) -> Changes:
        """The events that must have been published so far."""
        return self._log.changes

    def clan(self, tag: str) -> Json | None:
        """Return the body of a clan, None if it does not exist."""
        clan = self._population.clan(tag)
        return None if clan is None else clan.body()

    def current_war(self, tag: str) -> Json | None:
        """Return the body of a clan's or an opponent's war, None if unknown or its war log is private."""
        if tag in self._wars:
            return self._wars[tag].seen_by_opponent().body()
        clan = self._population.clan(tag)
        if clan is None or not clan.war_log_public:
            return None
        return wars.no_war_body() if clan.war is None else clan.war.body()

    def war_log(self, tag: str) -> Json | None:
        """Return the body of a clan's war log, None if the clan is unknown or the log is private."""
        clan = self._population.clan(tag)
        return clan.war_log.body() if clan is not None and clan.war_log_public else None

    def league_group(self, tag: str) -> Json | None:  # noqa: ARG002 - the world has no leagues yet
        """Return the body of a clan's league group, None without one."""
        return None

    def league_war(self, war_tag: str) -> Json | None:  # noqa: ARG002 - the world has no leagues yet
        """Return the body of a war of a clan war league, None if it is unknown."""
        return None

    def raid_seasons(self, tag: str, limit: int) -> Json | None:  # noqa: ARG002 - the world has no raids yet
        """Return the body of a clan's last raid weekends, None if the clan is unknown."""
        return None

    def player(self, tag: str) -> Json | None:
        """Return the body of a player, None if they do not exist."""
        player, home = self._population.player(tag), self._population.home(tag)
        return None if player is None else player.body(None if home is None else home.card())

    def is_war_log_private(self, tag: str) -> bool:
        """Whether the clan exists and has a private war log."""
        clan = self._population.clan(tag)
        return clan is not None and not clan.war_log_public

    def version(self, kind: Kind, tag: str) -> int:
        """Return a number that changes whenever the body of this resource changes."""
        return self._log.version(kind, tag)

    def join(self, clan: str) -> Changes:
        """Add a new player to a clan."""
        home, player = self._population.watched_clan(clan), draw_player(self._rng, next(self._tags))
        events = home.join(player)
        self._population.enter(player, home)
        return self._record("clan", clan, events)

    def leave(self, clan: str, member: str | None = None) -> Changes:
        """Remove a member, except the leader, from the clan and the world."""
        changes = self._record("clan", clan, self._population.watched_clan(clan).leave(member, self._rng))
        self._population.forget(changes[-1].details["member_tag"])
        return changes

    def promote(self, clan: str, member: str | None = None) -> Changes:
        """Promote a member by one role, up to co-leader."""
        return self._record("clan", clan, self._population.watched_clan(clan).promote(member, self._rng))

    def demote(self, clan: str, member: str | None = None) -> Changes:
        """Demote an elder or co-leader by one role."""
        return self._record("clan", clan, self._population.watched_clan(clan).demote(member, self._rng))

    def donate(self, clan: str, member: str | None = None, amount: int | None = None) -> Changes:
        """Donate ``amount`` troops (default: 1 to 40) from one member to another; both have an event."""
        amount = self._rng.randint(1, 40) if amount is None else amount
        return self._record("clan", clan, self._population.watched_clan(clan).donate(member, amount, self._rng))

    def reset_season(self, clan: str) -> Changes:
        """Start a new season: reset all donations to 0."""
        home = self._population.watched_clan(clan)
        changes = self._record("clan", clan, home.reset_season())
        self._log.touch("player", *(member.tag for member in home.members))
        return changes

    def rename_member(self, clan: str, member: str | None = None) -> Changes:
        """Give a member another name."""
        return self._record("clan", clan, self._population.watched_clan(clan).rename_member(member, self._rng))

    def upgrade_member_town_hall(self, clan: str, member: str | None = None) -> Changes:
        """Upgrade a member's town hall by one level."""
        return self._record(
            "clan", clan, self._population.watched_clan(clan).upgrade_member_town_hall(member, self._rng)
        )

    def gain_points(self, clan: str) -> Changes:
        """Increase the clan's points."""
        return self._record("clan", clan, self._population.watched_clan(clan).gain_points(self._rng.randint(5, 300)))

    def set_war_log_public(self, clan: str, public: bool) -> Changes:
        """Make the war log public or private; the clan and its war have events."""
        changes = self._record("clan", clan, self._population.watched_clan(clan).set_war_log_public(public))
        self._log.touch("war_log", clan)
        return changes + self._record("war", clan, [("war_log_public" if public else "war_log_private", {})])

    def declare_war(self, clan: str, preparation: timedelta = PREPARATION, battle: timedelta = BATTLE) -> Changes:
        """Declare a war against a new opponent; it replaces an ended war."""
        home = self._visible_clan(clan)
        if home.war is not None and home.war.state != "warEnded":
            raise ImpossibleError(f"{home.name} is in a war already: end it first, or replace it")
        return self._at_war(clan, self._declare(home, preparation, battle))

    def start_battle(self, clan: str) -> Changes:
        """Change from preparation to battle."""
        return self._at_war(clan, self._war(clan).start_battle())

    def attack(self, clan: str, side: wars.SideName | None = None) -> Changes:
        """Make an attack by the clan or the opponent; None: either."""
        return self._at_war(clan, self._war(clan).attack(side, self._rng))

    def shift_war(self, clan: str, by: timedelta) -> Changes:
        """Shift start and end of the battle, as a maintenance does; this has no event."""
        self._war(clan).shift(by)
        return self._at_war(clan, [])

    def end_war(self, clan: str) -> Changes:
        """End the battle; the war, the clan and its war log change."""
        war = self._war(clan)
        return self._at_war(clan, war.finish()) + self._count(clan, war)

    def replace_war(self, clan: str, preparation: timedelta = PREPARATION, battle: timedelta = BATTLE) -> Changes:
        """End the war, in preparation or battle, and declare the next one before a poll can see the end.

        The old war counts with its current score, also in the war log, and its opponent still shows it.
        """
        old = self._war(clan)
        old.require("preparation", "inWar")
        declared = self._declare(self._visible_clan(clan), preparation, battle)
        self._log.touch("war", old.opponent.tag)
        return self._at_war(clan, [*old.finish_unseen(), *declared]) + self._count(clan, old)

    def clear_war(self, clan: str) -> Changes:
        """Leave the ended war; the opponent stays in it."""
        events = self._war(clan).leave()
        self._visible_clan(clan).war = None
        return self._record("war", clan, events)

    def upgrade_troop(self, player: str) -> Changes:
        """Upgrade one of the player's troops, siege machines, pets or builder base units by one level."""
        return self._happen(player, self._profile(player).upgrade("troops", self._rng))

    def upgrade_spell(self, player: str) -> Changes:
        """Upgrade one of the player's spells by one level."""
        return self._happen(player, self._profile(player).upgrade("spells", self._rng))

    def upgrade_hero(self, player: str) -> Changes:
        """Upgrade one of the player's heroes by one level."""
        return self._happen(player, self._profile(player).upgrade("heroes", self._rng))

    def upgrade_equipment(self, player: str) -> Changes:
        """Upgrade one piece of the player's hero equipment by one level."""
        return self._happen(player, self._profile(player).upgrade("heroEquipment", self._rng))

    def wear_equipment(self, player: str) -> Changes:
        """Replace an item of equipment of one of the player's heroes."""
        return self._happen(player, self._profile(player).wear(self._rng))

    def upgrade_town_hall(self, player: str) -> Changes:
        """Upgrade the player's town hall by one level; its weapon is reset to level 1."""
        return self._happen(player, self._population.watched_player(player).upgrade_town_hall())

    def upgrade_town_hall_weapon(self, player: str) -> Changes:
        """Upgrade the weapon of the player's town hall by one level."""
        return self._happen(player, self._profile(player).upgrade_weapon())

    def upgrade_builder_hall(self, player: str) -> Changes:
        """Upgrade the player's builder hall by one level."""
        return self._happen(player, self._profile(player).upgrade_builder_hall())

    def boost_super_troop(self, player: str) -> Changes:
        """Boost one of the player's super troops; two can be active at a time."""
        return self._happen(player, self._profile(player).boost(self._rng))

    def end_super_troop(self, player: str) -> Changes:
        """End the boost of one of the player's super troops."""
        return self._happen(player, self._profile(player).end_boost(self._rng))

    def complete_achievement(self, player: str) -> Changes:
        """Complete an achievement."""
        return self._happen(player, self._profile(player).complete_achievement(self._rng))

    def rename_player(self, player: str) -> Changes:
        """Give the player another name."""
        return self._happen(player, self._population.watched_player(player).rename(self._rng))

    def change_league(self, player: str) -> Changes:
        """Move the player one league up or down."""
        return self._happen(player, self._population.watched_player(player).change_league(self._rng))

    def change_labels(self, player: str) -> Changes:
        """Give the player other labels."""
        return self._happen(player, self._profile(player).change_labels(self._rng))

    def change_war_preference(self, player: str) -> Changes:
        """Opt the player in to wars, or out of them."""
        return self._happen(player, self._profile(player).change_war_preference())

    def win_trophies(self, player: str) -> Changes:
        """Increase the player's trophies."""
        return self._happen(player, self._population.watched_player(player).win_trophies(self._rng.randint(1, 40)))

    def leave_clan(self, player: str) -> Changes:
        """Remove the player from their clan, which is never one of ``clan_tags``."""
        one, home = self._population.watched_player(player), self._population.home(player)
        if home is None:
            raise ImpossibleError(f"{one.name} is not in a clan: join one first")
        home.leave(player, self._rng)
        one.role = ROLES[0]
        self._population.exit(player)
        return self._move(player, home, "player_clan_left")

    def join_clan(self, player: str) -> Changes:
        """Add a player without a clan to one that is not in ``clan_tags``, possibly the previous one."""
        one = self._population.watched_player(player)
        if self._population.home(player) is not None:
            raise ImpossibleError(f"{one.name} is in a clan already: leave it first")
        home = self._rng.choice(self._population.open_clans())
        home.join(one)
        self._population.enter(one, home)
        return self._move(player, home, "player_clan_joined")

    def start_maintenance(self) -> Changes:
        """Start a maintenance: the API rejects every request."""
        return self._maintain("maintenance_start", running=True)

    def end_maintenance(self) -> Changes:
        """End the maintenance."""
        return self._maintain("maintenance_end", running=False)

    def _maintain(self, event_type: str, *, running: bool) -> Changes:
        if self.in_maintenance == running:
            raise ImpossibleError("the maintenance has already started" if running else "the API is not in maintenance")
        self.in_maintenance = running
        return self._log.record_api(event_type)

    def _visible_clan(self, tag: str) -> Clan:
        clan = self._population.watched_clan(tag)
        if not clan.war_log_public:
            raise ImpossibleError(f"the war log of {clan.name} is private, so its war cannot change: make it public")
        return clan

    def _war(self, tag: str) -> War:
        clan = self._visible_clan(tag)
        if clan.war is None:
            raise ImpossibleError(f"{clan.name} is not in a war: declare one first")
        return clan.war

    def _declare(self, home: Clan, preparation: timedelta, battle: timedelta) -> list[ExpectedEvent]:
        events = home.declare_war(self._rng, self._tags, now=self._now(), preparation=preparation, battle=battle)
        war = self._war(home.tag)
        self._wars[war.opponent.tag] = war
        return events

    def _at_war(self, clan: str, events: Iterable[ExpectedEvent]) -> Changes:
        # The opponent shows the same war.
        self._log.touch("war", self._war(clan).opponent.tag)
        return self._record("war", clan, events)

    def _count(self, clan: str, war: War) -> Changes:
        """Record an ended war in the clan and its war log."""
        home = self._population.watched_clan(clan)
        forgotten = home.war_log.add(war)
        self._log.touch("war_log", clan)
        if forgotten is not None:
            del self._wars[forgotten.opponent.tag]
            self._log.touch("war", forgotten.opponent.tag)
        return self._record("clan", clan, home.count_war(war.result()))

    def _profile(self, player: str) -> Profile:
        return self._population.watched_player(player).profile

    def _happen(self, player: str, *events: ExpectedEvent) -> Changes:
        # The member list of the player's clan may contain the changed field too.
        if (home := self._population.home(player)) is not None:
            self._log.touch("clan", home.tag)
        return self._record("player", player, events)

    def _move(self, player: str, clan: Clan, event_type: str) -> Changes:
        self._log.touch("clan", clan.tag)
        details = {"clan_tag": clan.tag, "clan_name": clan.name}
        return self._record("player", player, [(event_type, details), ("player_updated", {"fields": ["role"]})])

    def _record(self, kind: Kind, tag: str, events: Iterable[ExpectedEvent]) -> Changes:
        return self._log.record(kind, tag, events)
