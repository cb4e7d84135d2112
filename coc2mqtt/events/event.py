"""What the engine reports: events and the changes in them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class EventType(Enum):
    """Every type of event; the value is the last level of its topic."""

    CLAN_UPDATED = "clan_updated"
    MEMBER_JOINED = "member_joined"
    MEMBER_LEFT = "member_left"
    MEMBER_UPDATED = "member_updated"
    MEMBER_ROLE_CHANGED = "member_role_changed"
    MEMBER_DONATIONS = "member_donations"
    WAR_STATE_CHANGED = "war_state_changed"
    WAR_ATTACK_NEW = "war_attack_new"
    PLAYER_UPDATED = "player_updated"
    TROOP_UPGRADED = "troop_upgraded"
    SPELL_UPGRADED = "spell_upgraded"
    HERO_UPGRADED = "hero_upgraded"
    HERO_EQUIPMENT_UPGRADED = "hero_equipment_upgraded"
    TOWNHALL_UPGRADED = "townhall_upgraded"
    BUILDERHALL_UPGRADED = "builderhall_upgraded"
    PLAYER_NAME_CHANGED = "player_name_changed"
    PLAYER_LEAGUE_CHANGED = "player_league_changed"
    PLAYER_LABEL_CHANGED = "player_label_changed"
    MAINTENANCE_START = "maintenance_start"
    MAINTENANCE_END = "maintenance_end"
    POLL_ERROR = "poll_error"
    WAR_NEW = "war_new"
    WAR_ENDED = "war_ended"
    WAR_LOG_PRIVATE = "war_log_private"
    WAR_LOG_PUBLIC = "war_log_public"
    WATCH_UNAVAILABLE = "watch_unavailable"
    WATCH_AVAILABLE = "watch_available"
    API_DENIED = "api_denied"
    API_RESTORED = "api_restored"
    SEASON_RESET = "season_reset"
    TOWNHALL_WEAPON_UPGRADED = "townhall_weapon_upgraded"
    SUPER_TROOP_STARTED = "super_troop_started"
    SUPER_TROOP_ENDED = "super_troop_ended"
    HERO_EQUIPMENT_CHANGED = "hero_equipment_changed"
    PLAYER_WAR_PREFERENCE_CHANGED = "player_war_preference_changed"
    PLAYER_CLAN_JOINED = "player_clan_joined"
    PLAYER_CLAN_LEFT = "player_clan_left"
    ACHIEVEMENT_COMPLETED = "achievement_completed"


# What can be told of a watch of each kind and of the API; a clan's war adds its own to the clan's.
_WATCH_EVENTS = (EventType.WATCH_UNAVAILABLE, EventType.WATCH_AVAILABLE, EventType.POLL_ERROR)
CLAN_EVENTS = (
    EventType.CLAN_UPDATED,
    EventType.MEMBER_JOINED,
    EventType.MEMBER_LEFT,
    EventType.MEMBER_UPDATED,
    EventType.MEMBER_ROLE_CHANGED,
    EventType.MEMBER_DONATIONS,
    EventType.SEASON_RESET,
    *_WATCH_EVENTS,
)
WAR_EVENTS = (
    EventType.WAR_NEW,
    EventType.WAR_STATE_CHANGED,
    EventType.WAR_ATTACK_NEW,
    EventType.WAR_ENDED,
    EventType.WAR_LOG_PRIVATE,
    EventType.WAR_LOG_PUBLIC,
)
PLAYER_EVENTS = (
    EventType.PLAYER_UPDATED,
    EventType.TROOP_UPGRADED,
    EventType.SPELL_UPGRADED,
    EventType.HERO_UPGRADED,
    EventType.HERO_EQUIPMENT_UPGRADED,
    EventType.HERO_EQUIPMENT_CHANGED,
    EventType.TOWNHALL_UPGRADED,
    EventType.TOWNHALL_WEAPON_UPGRADED,
    EventType.BUILDERHALL_UPGRADED,
    EventType.SUPER_TROOP_STARTED,
    EventType.SUPER_TROOP_ENDED,
    EventType.PLAYER_NAME_CHANGED,
    EventType.PLAYER_LEAGUE_CHANGED,
    EventType.PLAYER_LABEL_CHANGED,
    EventType.PLAYER_WAR_PREFERENCE_CHANGED,
    EventType.PLAYER_CLAN_JOINED,
    EventType.PLAYER_CLAN_LEFT,
    EventType.ACHIEVEMENT_COMPLETED,
    *_WATCH_EVENTS,
)
# `poll_error` says here that the API itself cannot be reached.
API_EVENTS = (
    EventType.MAINTENANCE_START,
    EventType.MAINTENANCE_END,
    EventType.API_DENIED,
    EventType.API_RESTORED,
    EventType.POLL_ERROR,
)


@dataclass(frozen=True)
class Change:
    """One field that differs between two snapshots."""

    field: str
    old_value: Any
    new_value: Any


@dataclass(frozen=True)
class Event:
    """Something that changed.

    ``tag`` is the clan's or player's, ``api`` for the API itself. ``timestamp`` is Unix time in seconds, when the
    change was seen. ``old_data`` and ``new_data`` are the whole snapshots (a member's own entry for what concerns a
    member), None where there is none. ``changes`` and ``metadata`` say what is different and about whom. ``name`` is
    what the clan or player is called, None where that is not known.
    """

    event_type: EventType
    tag: str
    timestamp: float = field(default_factory=time.time)
    old_data: dict[str, Any] | None = None
    new_data: dict[str, Any] | None = None
    changes: tuple[Change, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
