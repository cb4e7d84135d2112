"""Who lives in a world: its clans, its players, and who is in which clan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.demo.catalogue import FIRST_ARMED_TOWN_HALL, LARGEST_CLAN
from coc2mqtt.demo.clan import Clan, draw_clan
from coc2mqtt.demo.names import PROBE_TAG
from coc2mqtt.demo.player import Player, draw_player

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_SMALLEST_HOME = 10


class Population:
    """The clans to be watched and their members, the players to be watched, and the clans that these live in.

    ``rng`` and ``tags`` are drawn from for the first inhabitants. The players to be watched are never the leaders of
    their clans, which would fall apart without one, and there is always another clan for them to join.
    """

    def __init__(
        self, rng: random.Random, tags: Iterator[str], *, clans: int, members: int | None, players: int
    ) -> None:
        self._rng = rng
        self._tags = tags
        self._clans: dict[str, Clan] = {}
        self._homes: dict[str, Clan] = {}
        self._players: dict[str, Player] = {}
        for number in range(clans):
            clan = self._settle([], rng.randint(18, 40) if members is None else members)
            clan.war_log_public = number % 2 == 0
        self.clan_tags = tuple(self._clans)
        # Whose town hall has a weapon has more to change.
        watched = [draw_player(rng, next(tags), least_town_hall=FIRST_ARMED_TOWN_HALL) for _ in range(players)]
        self.player_tags = tuple(player.tag for player in watched)
        pages = [*watched, draw_player(rng, PROBE_TAG)]
        # One place in each clan is for its leader.
        for first in range(0, len(pages), LARGEST_CLAN - 1):
            residents = pages[first : first + LARGEST_CLAN - 1]
            self._settle(residents, max(_SMALLEST_HOME, len(residents) + 1))
        self._settle([], _SMALLEST_HOME)

    def clan(self, tag: str) -> Clan | None:
        """Return any clan, None where there is none."""
        return self._clans.get(tag)

    def player(self, tag: str) -> Player | None:
        """Return any player, None where there is none."""
        return self._players.get(tag)

    def home(self, tag: str) -> Clan | None:
        """Return the clan of a player, None where there is no such player or the player is in no clan."""
        return self._homes.get(tag)

    def watched_clan(self, tag: str) -> Clan:
        """Return a clan to be watched; KeyError for any other."""
        if tag not in self.clan_tags:
            raise KeyError(f"{tag} is none of the world's clan_tags")
        return self._clans[tag]

    def watched_player(self, tag: str) -> Player:
        """Return a player to be watched; KeyError for any other."""
        if tag not in self.player_tags:
            raise KeyError(f"{tag} is none of the world's player_tags")
        return self._players[tag]

    def open_homes(self) -> list[Clan]:
        """Return the clans that a player to be watched can join: not to be watched, and not full."""
        return [
            clan for tag, clan in self._clans.items() if tag not in self.clan_tags and len(clan.members) < LARGEST_CLAN
        ]

    def move_in(self, player: Player, clan: Clan) -> None:
        """Note that a player, perhaps a new one, is a member of a clan now."""
        self._players[player.tag], self._homes[player.tag] = player, clan

    def move_out(self, tag: str) -> None:
        """Note that a player is in no clan any more."""
        del self._homes[tag]

    def forget(self, tag: str) -> None:
        """Remove a player from the world."""
        del self._players[tag], self._homes[tag]

    def _settle(self, residents: list[Player], size: int) -> Clan:
        clan = draw_clan(self._rng, self._tags, residents, size)
        self._clans[clan.tag] = clan
        for member in clan.members:
            self.move_in(member, clan)
        return clan
