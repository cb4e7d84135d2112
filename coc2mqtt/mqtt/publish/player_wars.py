"""The part of each watched player in the war of their clan, which belongs to the player's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.mqtt.payloads.state import clan_of, player_war_payload
from coc2mqtt.mqtt.publish.retained_publisher import PlayersByClan

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.events.resource import Snapshot
    from coc2mqtt.journal.protocol import Journal
    from coc2mqtt.mqtt.payloads.models import PlayerWarPayload


class PlayerWar(NamedTuple):
    """A player's part in a war, from a response at the Unix time ``taken_at``; None if the war is not watched."""

    war: PlayerWarPayload | None = None
    taken_at: float = 0.0


class PlayerWars:
    """Reads the war of a player's clan from the journal, and remembers the clan of each player.

    ``is_watched`` returns whether a war is watched.
    """

    def __init__(self, journal: Journal, is_watched: Callable[[Resource], bool]) -> None:
        self._journal = journal
        self._is_watched = is_watched
        self._players = PlayersByClan()

    async def read(self, player_tag: str, player: Snapshot) -> PlayerWar:
        """Return a player's part in the war of the clan that their snapshot names."""
        clan = clan_of(player)
        self._players.set_clan(player_tag, clan)
        if clan is None:
            return PlayerWar()
        war = Resource(Kind.WAR, clan)
        snapshot = await self._journal.snapshot(war) if self._is_watched(war) else None
        if snapshot is None:
            return PlayerWar()
        return PlayerWar(player_war_payload(player_tag, clan, snapshot), snapshot.taken_at)

    def forget(self, player_tag: str) -> None:
        """Forget the clan of a player whose watch was removed."""
        self._players.set_clan(player_tag, None)

    def players_of(self, clan_tag: str) -> list[Resource]:
        """Return the watched players of a clan, in the order of their tags."""
        return [Resource(Kind.PLAYER, tag) for tag in self._players.in_clan(clan_tag)]
