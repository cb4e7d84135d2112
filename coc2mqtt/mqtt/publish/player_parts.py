"""The part of each watched player in the wars and raids of their clan, which belongs to the player's state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.resource import Kind, Resource
from coc2mqtt.mqtt.payloads.player import (
    PlayerParts,
    clan_of,
    player_activity,
    player_cwl_payload,
    player_raid_payload,
    player_war_payload,
    without_excluded,
)
from coc2mqtt.mqtt.publish.retained_publisher import PlayersByClan

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.events.resource import Snapshot, Watch
    from coc2mqtt.journal.protocol import Journal


class PlayerPartsReader:
    """Reads what a player's clan does from the journal, and remembers the clan of each player.

    ``watch_of`` returns the watch that polls a clan, or a part of it, None if it is not watched.
    """

    def __init__(self, journal: Journal, watch_of: Callable[[Resource], Watch | None]) -> None:
        self._journal = journal
        self._watch_of = watch_of
        self._players = PlayersByClan()

    async def read(self, player_tag: str, player: Snapshot) -> PlayerParts:
        """Return a player's parts in the wars and raids of the clan that their snapshot names."""
        clan = clan_of(player)
        self._players.set_clan(player_tag, clan)
        if clan is None:
            return PlayerParts()
        war, cwl, raid = [await self._snapshot(kind, clan) for kind in (Kind.WAR, Kind.CWL, Kind.RAID)]
        whole = await self._snapshot(Kind.CLAN, clan)
        activity = None if whole is None else player_activity(player_tag, whole)
        seen = 0.0 if activity is None else activity.last_seen
        parts = PlayerParts(
            war=None if war is None else player_war_payload(player_tag, clan, war),
            cwl=None if cwl is None or cwl.data is None else player_cwl_payload(player_tag, clan, cwl),
            raid=None if raid is None or raid.data is None else player_raid_payload(player_tag, clan, raid),
            activity=activity,
            # Most changes of the clan are not about this player.
            taken_at=max(seen, *(one.taken_at for one in (player, war, cwl, raid) if one is not None)),
        )
        watch = self._watch_of(Resource(Kind.CLAN, clan))
        return parts if watch is None else without_excluded(parts, player.data or {}, watch.reminders)

    async def _snapshot(self, kind: Kind, clan: str) -> Snapshot | None:
        resource = Resource(kind, clan)
        return await self._journal.snapshot(resource) if self._watch_of(resource) else None

    def forget(self, player_tag: str) -> None:
        """Forget the clan of a player whose watch was removed."""
        self._players.set_clan(player_tag, None)

    def players_of(self, clan_tag: str) -> list[Resource]:
        """Return the watched players of a clan, in the order of their tags."""
        return [Resource(Kind.PLAYER, tag) for tag in self._players.in_clan(clan_tag)]
