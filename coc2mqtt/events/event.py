"""Event types, events and the changes in them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Self

from coc2mqtt.events import (
    changed_fields,
    cwl_summary,
    raid_summary,
    ranked_summary,
    reminder_summary,
    summary,
    war_summary,
)
from coc2mqtt.events.resource import Kind
from coc2mqtt.translations import message

if TYPE_CHECKING:
    from coc2mqtt.events.summary import Sentence

_CLAN = (Kind.CLAN,)
_WAR = (Kind.WAR,)
_CWL = (Kind.CWL,)
_RAID = (Kind.RAID,)
_GAMES = (Kind.GAMES,)
_REMINDER = (Kind.REMINDER,)
_PLAYER = (Kind.PLAYER,)
_RANKED = (Kind.RANKED,)
_API = (Kind.API,)
_CALENDAR = (Kind.CALENDAR,)
_WATCH = (Kind.CLAN, Kind.PLAYER)
_WATCH_OR_API = (Kind.CLAN, Kind.PLAYER, Kind.API)


class EventType(str, Enum):  # noqa: UP042 - unlike a StrEnum, str() returns EventType.CLAN_UPDATED
    """All event types, each declared once.

    A declaration has three parts. The value is the last level of the topic. The ``kinds`` of resources that an event
    can be about determine the other levels and the Home Assistant devices. The sentence becomes the summary: a template
    of metadata and ``{subject}``, the name of the clan or player, or a function in ``summary.py``. The metadata model
    is the class in ``metadata/`` with the same name in camel case.
    """

    kinds: tuple[Kind, ...]
    sentence: Sentence

    CLAN_UPDATED = "clan_updated", _CLAN, changed_fields.fields_changed
    MEMBER_JOINED = "member_joined", _CLAN, summary.member_joined
    MEMBER_LEFT = "member_left", _CLAN, summary.member_left
    MEMBER_UPDATED = "member_updated", _CLAN, changed_fields.member_fields_changed
    MEMBER_ROLE_CHANGED = "member_role_changed", _CLAN, summary.role_changed
    MEMBER_DONATIONS = "member_donations", _CLAN, summary.donated
    SEASON_RESET = "season_reset", _CLAN, summary.season_reset
    MEMBER_INACTIVE = "member_inactive", _CLAN, summary.member_inactive
    MEMBER_MOVED = "member_moved", _CLAN, summary.member_moved
    CLAN_LEVEL_UP = "clan_level_up", _CLAN, message("{subject} reached level {new_value}")
    CAPITAL_HALL_UPGRADED = (
        "capital_hall_upgraded",
        _CLAN,
        message("{subject} upgraded the capital hall to level {new_value}"),
    )
    CLAN_WAR_LEAGUE_CHANGED = "clan_war_league_changed", _CLAN, cwl_summary.league_changed
    CLAN_CAPITAL_LEAGUE_CHANGED = "clan_capital_league_changed", _CLAN, cwl_summary.capital_league_changed

    WAR_NEW = "war_new", _WAR, war_summary.war_declared
    WAR_STATE_CHANGED = "war_state_changed", _WAR, war_summary.war_state_changed
    WAR_ATTACK_NEW = "war_attack_new", _WAR, war_summary.attacked
    WAR_ENDED = "war_ended", _WAR, war_summary.war_ended
    WAR_LOG_PRIVATE = "war_log_private", _WAR, message("The war log of {subject} is now private")
    WAR_LOG_PUBLIC = "war_log_public", _WAR, message("The war log of {subject} is now public")

    CWL_STARTED = "cwl_started", _CWL, cwl_summary.started
    CWL_ROUND_NEW = "cwl_round_new", _CWL, cwl_summary.round_new
    CWL_ROUND_STATE_CHANGED = "cwl_round_state_changed", _CWL, cwl_summary.round_state_changed
    CWL_LINEUP_CHANGED = "cwl_lineup_changed", _CWL, cwl_summary.lineup_changed
    CWL_ATTACK_NEW = "cwl_attack_new", _CWL, cwl_summary.attacked
    CWL_ROUND_ENDED = "cwl_round_ended", _CWL, cwl_summary.round_ended
    CWL_ENDED = "cwl_ended", _CWL, cwl_summary.ended

    RAID_STARTED = "raid_started", _RAID, message("The raid weekend of {subject} has started")
    RAID_OPPONENT_NEW = "raid_opponent_new", _RAID, raid_summary.opponent_new
    RAID_ATTACK_NEW = "raid_attack_new", _RAID, raid_summary.attacked
    RAID_DISTRICT_DESTROYED = "raid_district_destroyed", _RAID, raid_summary.district_destroyed
    RAID_CLAN_DESTROYED = "raid_clan_destroyed", _RAID, raid_summary.clan_destroyed
    RAID_DEFENSE_ENDED = "raid_defense_ended", _RAID, raid_summary.defense_ended
    RAID_ENDED = "raid_ended", _RAID, raid_summary.ended

    CLAN_GAMES_STARTED = "clan_games_started", _GAMES, message("The clan games of {subject} have started")
    CLAN_GAMES_POINTS = "clan_games_points", _GAMES, reminder_summary.games_points
    CLAN_GAMES_ENDED = "clan_games_ended", _GAMES, reminder_summary.games_ended

    WAR_REMINDER = "war_reminder", _REMINDER, reminder_summary.war
    RAID_REMINDER = "raid_reminder", _REMINDER, reminder_summary.raid
    CLAN_GAMES_REMINDER = "clan_games_reminder", _REMINDER, reminder_summary.games

    PLAYER_UPDATED = "player_updated", _PLAYER, changed_fields.fields_changed
    TROOP_UPGRADED = "troop_upgraded", _PLAYER, summary.unit_upgraded
    SPELL_UPGRADED = "spell_upgraded", _PLAYER, summary.unit_upgraded
    HERO_UPGRADED = "hero_upgraded", _PLAYER, summary.unit_upgraded
    HERO_EQUIPMENT_UPGRADED = "hero_equipment_upgraded", _PLAYER, summary.unit_upgraded
    HERO_EQUIPMENT_CHANGED = "hero_equipment_changed", _PLAYER, summary.equipment_changed
    TOWNHALL_UPGRADED = "townhall_upgraded", _PLAYER, summary.town_hall_upgraded
    TOWNHALL_WEAPON_UPGRADED = "townhall_weapon_upgraded", _PLAYER, summary.weapon_upgraded
    BUILDERHALL_UPGRADED = "builderhall_upgraded", _PLAYER, summary.builder_hall_upgraded
    SUPER_TROOP_STARTED = "super_troop_started", _PLAYER, message("{subject} boosted {name}")
    SUPER_TROOP_ENDED = "super_troop_ended", _PLAYER, message("{subject}'s {name} boost ended")
    PLAYER_NAME_CHANGED = "player_name_changed", _PLAYER, message("{old_value} is now called {new_value}")
    PLAYER_LEAGUE_CHANGED = "player_league_changed", _PLAYER, summary.league_changed
    PLAYER_LABEL_CHANGED = "player_label_changed", _PLAYER, summary.labels_changed
    PLAYER_WAR_PREFERENCE_CHANGED = "player_war_preference_changed", _PLAYER, summary.war_preference_changed
    PLAYER_CLAN_JOINED = "player_clan_joined", _PLAYER, summary.joined_clan
    PLAYER_CLAN_LEFT = "player_clan_left", _PLAYER, summary.left_clan
    ACHIEVEMENT_COMPLETED = "achievement_completed", _PLAYER, message("{subject} completed the achievement {name}")
    CAPITAL_CONTRIBUTION = "capital_contribution", _PLAYER, raid_summary.contributed

    RANKED_WEEK_STARTED = "ranked_week_started", _RANKED, ranked_summary.week_started
    RANKED_WEEK_ENDED = "ranked_week_ended", _RANKED, ranked_summary.week_ended
    RANKED_ATTACK_NEW = "ranked_attack_new", _RANKED, ranked_summary.attacked
    RANKED_DEFENSE_NEW = "ranked_defense_new", _RANKED, ranked_summary.defended
    LEGEND_DAY_ENDED = "legend_day_ended", _RANKED, ranked_summary.legend_day_ended

    MAINTENANCE_START = "maintenance_start", _API, message("Clash of Clans maintenance started")
    MAINTENANCE_END = "maintenance_end", _API, summary.maintenance_ended
    API_DENIED = "api_denied", _API, summary.api_denied
    API_RESTORED = "api_restored", _API, summary.api_restored

    GOLD_PASS_SEASON_STARTED = "gold_pass_season_started", _CALENDAR, message("A new gold pass season has started")
    SEASON_ENDED = "season_ended", _CALENDAR, message("A season has ended: donations are counted from zero again")
    RANKED_WEEK_CHANGED = "ranked_week_changed", _CALENDAR, message("A new ranked week has started")

    WATCH_UNAVAILABLE = "watch_unavailable", _WATCH, message("{subject} cannot be found")
    WATCH_AVAILABLE = "watch_available", _WATCH, message("{subject} was found again")
    POLL_ERROR = "poll_error", _WATCH_OR_API, summary.poll_failed

    # The defaults let type checkers accept EventType("clan_updated").
    def __new__(cls, value: str, kinds: tuple[Kind, ...] = (), sentence: str | Sentence = "") -> Self:
        """Create a member from its declaration."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.kinds = kinds
        member.sentence = summary.template(sentence) if isinstance(sentence, str) else sentence
        return member


def _events_of(kind: Kind) -> tuple[EventType, ...]:
    return tuple(event_type for event_type in EventType if kind in event_type.kinds)


# The events of each Home Assistant device; those of a clan's wars and raids belong to the clan's device.
# Those of the members' activity have a discovery payload of their own, because a clan's has no room for them.
ACTIVITY_EVENTS = (EventType.MEMBER_INACTIVE, EventType.MEMBER_MOVED)
CLAN_EVENTS = tuple(event_type for event_type in _events_of(Kind.CLAN) if event_type not in ACTIVITY_EVENTS)
WAR_EVENTS = _events_of(Kind.WAR)
CWL_EVENTS = _events_of(Kind.CWL)
RAID_EVENTS = _events_of(Kind.RAID)
GAMES_EVENTS = _events_of(Kind.GAMES)
REMINDER_EVENTS = _events_of(Kind.REMINDER)
PLAYER_EVENTS = _events_of(Kind.PLAYER)
RANKED_EVENTS = _events_of(Kind.RANKED)
API_EVENTS = (*_events_of(Kind.API), *_events_of(Kind.CALENDAR))


@dataclass(frozen=True)
class Change:
    """A field that differs between two snapshots."""

    field: str
    old_value: Any
    new_value: Any


@dataclass(frozen=True)
class Event:
    """A change of a clan, a war, a player or the API.

    ``tag`` is the clan's or player's, ``api`` for the API itself. ``timestamp`` is the Unix time in seconds when the
    change was observed. ``old_data`` and ``new_data`` are the complete snapshots (the member's entry for events about a
    member), None if there is none. ``changes`` are the fields that differ, ``metadata`` depends on the event type.
    ``name`` is the name of the clan or player, None if unknown.
    """

    event_type: EventType
    tag: str
    timestamp: float = field(default_factory=time.time)
    old_data: dict[str, Any] | None = None
    new_data: dict[str, Any] | None = None
    changes: tuple[Change, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
