"""Who lives in a world: its clans, its players, and who is in which clan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.demo.catalogue import FIRST_ARMED_TOWN_HALL, LARGEST_CLAN, PROBE_TAG
from coc2mqtt.demo.clan import Clan, draw_clan
from coc2mqtt.demo.player import Player, draw_player

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_MIN_CLAN_SIZE = 10


class Population:
    """The clans to watch with their members, the players to watch, and the clans of these players.

    ``rng`` and ``tags`` generate the initial population. A player to watch is never a leader, so that they can leave
    their clan, and there is always another clan to join.
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
            clan = self._add_clan([], rng.randint(18, 40) if members is None else members)
            clan.war_log_public = number % 2 == 0
        self.clan_tags = tuple(self._clans)
        # A town hall with a weapon allows more changes.
        watched = [draw_player(rng, next(tags), min_town_hall=FIRST_ARMED_TOWN_HALL) for _ in range(players)]
        self.player_tags = tuple(player.tag for player in watched)
        pages = [*watched, draw_player(rng, PROBE_TAG)]
        # Each clan needs a place for its leader.
        for first in range(0, len(pages), LARGEST_CLAN - 1):
            residents = pages[first : first + LARGEST_CLAN - 1]
            self._add_clan(residents, max(_MIN_CLAN_SIZE, len(residents) + 1))
        self._add_clan([], _MIN_CLAN_SIZE)

    def clan(self, tag: str) -> Clan | None:
        """Return any clan, None if it does not exist."""
        return self._clans.get(tag)

    def player(self, tag: str) -> Player | None:
        """Return any player, None if they do not exist."""
        return self._players.get(tag)

    def home(self, tag: str) -> Clan | None:
        """Return the clan of a player, None without one or for an unknown player."""
        return self._homes.get(tag)

    def watched_clan(self, tag: str) -> Clan:
        """Return a clan to watch; KeyError for any other."""
        if tag not in self.clan_tags:
            raise KeyError(f"{tag} is not one of the world's clan_tags")
        return self._clans[tag]

    def watched_player(self, tag: str) -> Player:
        """Return a player to watch; KeyError for any other."""
        if tag not in self.player_tags:
            raise KeyError(f"{tag} is not one of the world's player_tags")
        return self._players[tag]

    def open_clans(self) -> list[Clan]:
        """Return the clans that a player to watch can join: not watched and not full."""
        return [
            clan for tag, clan in self._clans.items() if tag not in self.clan_tags and len(clan.members) < LARGEST_CLAN
        ]

    def enter(self, player: Player, clan: Clan) -> None:
        """Add a player, new or not, to a clan."""
        self._players[player.tag], self._homes[player.tag] = player, clan

    def exit(self, tag: str) -> None:
        """Remove a player from their clan."""
        del self._homes[tag]

    def forget(self, tag: str) -> None:
        """Remove a player from the world."""
        del self._players[tag], self._homes[tag]

    def _add_clan(self, residents: list[Player], size: int) -> Clan:
        clan = draw_clan(self._rng, self._tags, residents, size)
        self._clans[clan.tag] = clan
        for member in clan.members:
            self.enter(member, clan)
        return clan
