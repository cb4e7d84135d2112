"""What the metadata of each type of event holds: for schemas and tests, not for the publishing."""

from coc2mqtt.events.event import EventType
from coc2mqtt.mqtt.payloads.metadata import api, clan, player, war
from coc2mqtt.mqtt.payloads.metadata.common import Metadata

__all__ = ["METADATA", "Metadata"]

METADATA: dict[EventType, type[Metadata]] = {
    EventType.CLAN_UPDATED: clan.ClanUpdated,
    EventType.MEMBER_JOINED: clan.MemberJoined,
    EventType.MEMBER_LEFT: clan.MemberLeft,
    EventType.MEMBER_UPDATED: clan.MemberUpdated,
    EventType.MEMBER_ROLE_CHANGED: clan.MemberRoleChanged,
    EventType.MEMBER_DONATIONS: clan.MemberDonations,
    EventType.SEASON_RESET: clan.SeasonReset,
    EventType.WAR_NEW: war.WarNew,
    EventType.WAR_STATE_CHANGED: war.WarStateChanged,
    EventType.WAR_ATTACK_NEW: war.WarAttackNew,
    EventType.WAR_ENDED: war.WarEnded,
    EventType.WAR_LOG_PRIVATE: war.WarLogPrivate,
    EventType.WAR_LOG_PUBLIC: war.WarLogPublic,
    EventType.PLAYER_UPDATED: player.PlayerUpdated,
    EventType.TROOP_UPGRADED: player.TroopUpgraded,
    EventType.SPELL_UPGRADED: player.SpellUpgraded,
    EventType.HERO_UPGRADED: player.HeroUpgraded,
    EventType.HERO_EQUIPMENT_UPGRADED: player.HeroEquipmentUpgraded,
    EventType.HERO_EQUIPMENT_CHANGED: player.HeroEquipmentChanged,
    EventType.SUPER_TROOP_STARTED: player.SuperTroopStarted,
    EventType.SUPER_TROOP_ENDED: player.SuperTroopEnded,
    EventType.TOWNHALL_UPGRADED: player.TownhallUpgraded,
    EventType.TOWNHALL_WEAPON_UPGRADED: player.TownhallWeaponUpgraded,
    EventType.BUILDERHALL_UPGRADED: player.BuilderhallUpgraded,
    EventType.PLAYER_NAME_CHANGED: player.PlayerNameChanged,
    EventType.PLAYER_LEAGUE_CHANGED: player.PlayerLeagueChanged,
    EventType.PLAYER_LABEL_CHANGED: player.PlayerLabelChanged,
    EventType.PLAYER_WAR_PREFERENCE_CHANGED: player.PlayerWarPreferenceChanged,
    EventType.PLAYER_CLAN_JOINED: player.PlayerClanJoined,
    EventType.PLAYER_CLAN_LEFT: player.PlayerClanLeft,
    EventType.ACHIEVEMENT_COMPLETED: player.AchievementCompleted,
    EventType.MAINTENANCE_START: api.MaintenanceStart,
    EventType.MAINTENANCE_END: api.MaintenanceEnd,
    EventType.API_DENIED: api.ApiDenied,
    EventType.API_RESTORED: api.ApiRestored,
    EventType.POLL_ERROR: api.PollError,
    EventType.WATCH_UNAVAILABLE: api.WatchUnavailable,
    EventType.WATCH_AVAILABLE: api.WatchAvailable,
}
