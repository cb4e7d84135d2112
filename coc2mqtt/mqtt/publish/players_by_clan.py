"""Which of the watched players may be in the war of which clan."""

from __future__ import annotations


class PlayersByClan:
    """Knows of each watched player the clan that they are in, and of each clan those players."""

    def __init__(self) -> None:
        self._clans: dict[str, str] = {}
        self._players: dict[str, set[str]] = {}

    def note(self, player_tag: str, clan_tag: str | None) -> None:
        """Take note of the clan that a player is in, None without one or where the player is not watched any more."""
        before = self._clans.pop(player_tag, None)
        if before is not None:
            self._players[before].discard(player_tag)
            if not self._players[before]:
                del self._players[before]
        if clan_tag is not None:
            self._clans[player_tag] = clan_tag
            self._players.setdefault(clan_tag, set()).add(player_tag)

    def of(self, clan_tag: str) -> list[str]:
        """Return the tags of a clan's watched players, sorted."""
        return sorted(self._players.get(clan_tag, ()))
