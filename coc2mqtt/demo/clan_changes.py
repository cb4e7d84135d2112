"""The changes of clans and their members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.demo.player import draw_player
from coc2mqtt.demo.world_base import WorldBase

if TYPE_CHECKING:
    from coc2mqtt.demo.changes import Changes


class ClanChanges(WorldBase):
    """A world whose clans and members change."""

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

    def move(self, clan: str, destination: str, member: str | None = None) -> Changes:
        """Move a member, except the leader, to another clan to watch; both clans report the move."""
        home, other = self._population.watched_clan(clan), self._population.watched_clan(destination)
        known = {player.tag: player for player in home.members}
        changes = self._record("clan", clan, home.leave(member, self._rng))
        player = known[changes[-1].details["member_tag"]]
        self._population.exit(player.tag)
        changes += self._record("clan", destination, other.join(player))
        self._population.enter(player, other)
        move = {"member_tag": player.tag, "from_clan": clan, "to_clan": destination}
        return [
            *changes,
            *(change for tag in (clan, destination) for change in self._record("clan", tag, [("member_moved", move)])),
        ]

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

    def level_up(self, clan: str) -> Changes:
        """Raise the clan's level by one."""
        home = self._population.watched_clan(clan)
        # A player of the API shows the level of their clan.
        self._log.touch("player", *(member.tag for member in home.members))
        return self._record("clan", clan, home.level_up())
