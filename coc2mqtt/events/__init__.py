"""Compare snapshots of clans, wars, players and the API, and return the changes as events."""

from coc2mqtt.events.compare.diff import diff_dicts, diff_member_tags, diff_named_list
from coc2mqtt.events.compare.war import WarState, WarStateMachine
from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.events.stream.polling_state import PollingState
from coc2mqtt.events.stream.stream import EventStream
from coc2mqtt.events.stream.watchers import BaseWatcher, ClanWatcher, MaintenanceWatcher, PlayerWatcher, WarWatcher

__all__ = [
    "BaseWatcher",
    "Change",
    "ClanWatcher",
    "Event",
    "EventStream",
    "EventType",
    "MaintenanceWatcher",
    "PlayerWatcher",
    "PollingState",
    "WarState",
    "WarStateMachine",
    "WarWatcher",
    "diff_dicts",
    "diff_member_tags",
    "diff_named_list",
]
