"""The changes of players."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.demo.changes import ImpossibleError
from coc2mqtt.demo.player import ROLES
from coc2mqtt.demo.world_base import WorldBase

if TYPE_CHECKING:
    from coc2mqtt.demo.changes import Changes, ExpectedEvent
    from coc2mqtt.demo.clan import Clan
    from coc2mqtt.demo.profile import Profile


class PlayerChanges(WorldBase):
    """A world whose players change."""

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

    def contribute(self, player: str, amount: int | None = None) -> Changes:
        """Contribute ``amount`` capital gold (default: 100 to 5,000) to the clan capital."""
        amount = self._rng.randint(1, 50) * 100 if amount is None else amount
        return self._happen(player, *self._profile(player).contribute(amount))

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
