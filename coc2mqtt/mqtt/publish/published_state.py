"""The published state of each clan and player."""

from __future__ import annotations

from dataclasses import dataclass

_FACETS = frozenset({"availability", "badge", "clan", "player", "poll", "war"})


@dataclass(slots=True)
class PublishedState:
    """Checksums of the published states of a clan (with its war) or a player, None for an unpublished state.

    ``polled_at`` is the last published poll time (Unix time in seconds). ``found`` is whether the API knew the clan or
    player in its last response, None before anything was published. Checksums instead of payloads, and facets instead
    of topics, keep this small for 10,000 watches.
    """

    polled_at: float | None = None
    found: bool | None = None
    availability: int | None = None
    badge: int | None = None
    clan: int | None = None
    player: int | None = None
    poll: int | None = None
    war: int | None = None

    def checksum(self, facet: str) -> int | None:
        """Return the checksum of a facet, None for an unpublished or unknown one."""
        return getattr(self, facet) if facet in _FACETS else None

    def matches(self, facet: str, payload: bytes) -> bool:
        """Return whether a facet was last published with this payload."""
        return self.checksum(facet) == hash(payload)

    def store(self, facet: str, payload: bytes) -> None:
        """Store the checksum of a facet."""
        setattr(self, facet, hash(payload))

    def forget(self, facet: str) -> None:
        """Forget the checksum of a facet."""
        if facet in _FACETS:
            setattr(self, facet, None)

    def forget_all(self) -> None:
        """Forget the checksums of all facets."""
        for facet in _FACETS:
            setattr(self, facet, None)


class PlayersByClan:
    """The clan of each watched player, and the watched players of each clan."""

    def __init__(self) -> None:
        self._clans: dict[str, str] = {}
        self._players: dict[str, set[str]] = {}

    def set_clan(self, player_tag: str, clan_tag: str | None) -> None:
        """Store the clan of a player; None if they are in none or are not watched any more."""
        before = self._clans.pop(player_tag, None)
        if before is not None:
            self._players[before].discard(player_tag)
            if not self._players[before]:
                del self._players[before]
        if clan_tag is not None:
            self._clans[player_tag] = clan_tag
            self._players.setdefault(clan_tag, set()).add(player_tag)

    def in_clan(self, clan_tag: str) -> list[str]:
        """Return the tags of a clan's watched players, sorted."""
        return sorted(self._players.get(clan_tag, ()))
