"""The poller of each kind of resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from coc2mqtt.events.polling.clan_poller import ClanPoller
from coc2mqtt.events.polling.cwl_poller import CwlPoller
from coc2mqtt.events.polling.games_poller import GamesPoller
from coc2mqtt.events.polling.player_poller import PlayerPoller
from coc2mqtt.events.polling.raid_poller import RaidPoller
from coc2mqtt.events.polling.ranked_poller import RankedPoller
from coc2mqtt.events.polling.war_poller import WarPoller
from coc2mqtt.events.resource import Kind

if TYPE_CHECKING:
    from coc2mqtt.events.polling.poll_context import PollContext
    from coc2mqtt.events.polling.poller import Poller
    from coc2mqtt.events.resource import Watch


WatchPoller: TypeAlias = "Poller | GamesPoller | RankedPoller"


def create_poller(context: PollContext, kind: Kind, watch: Watch, interval: float) -> WatchPoller:
    """Return the poller of a watched clan or player, or of a part of it."""
    if kind is Kind.CLAN:
        return ClanPoller(
            context,
            watch.tag,
            interval=interval,
            track_members=watch.members,
            track_activity=True,
            inactive_after=watch.inactive_after,
        )
    if kind is Kind.PLAYER:
        return PlayerPoller(
            context,
            watch.tag,
            interval=interval,
            include_fields=watch.include_fields,
            exclude_fields=watch.exclude_fields,
            ranked=watch.ranked,
        )
    return _part_poller(context, kind, watch, interval)


def _part_poller(context: PollContext, kind: Kind, watch: Watch, interval: float) -> WatchPoller:
    if kind is Kind.WAR:
        return WarPoller(context, watch.tag, interval=interval, standalone=watch.kind is Kind.WAR)
    if kind is Kind.CWL:
        return CwlPoller(context, watch.tag, interval=interval, standings=watch.cwl_standings)
    if kind is Kind.RAID:
        return RaidPoller(context, watch.tag, interval=interval, report_defenses=watch.raid_defenses)
    if kind is Kind.GAMES:
        return GamesPoller(context, watch.tag, interval=watch.games_interval)
    if kind is Kind.RANKED:
        return RankedPoller(context, watch.tag, interval=interval)
    raise ValueError(f"{kind} is not polled")
