"""The retained discovery payloads of the bridge, and the entities that Home Assistant made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.home.mqtt import retained

if TYPE_CHECKING:
    from tests.home.home_assistant import Home

Json = dict[str, Any]

DISCOVERY_TOPICS = "homeassistant/device/+/config"
CALENDAR_KEYS = (
    *("gold_pass_end", "season_end", "ranked_week_end", "clan_games_start", "clan_games_end"),
    *("raid_weekend_start", "raid_weekend_end"),
)
# Entities that normally have no value, with the reason.
_NO_VALUE_REASONS = {
    "denied_address": "no topic is denied",
    "refresh": "the button was not pressed yet",
    "activity": "no event yet",
    "last_war_result": "no war has ended yet",
    "war": "no event yet",
    "api_events": "no event yet",
    "last_command": "no command yet",
    "cwl": "no event yet",
    "raid": "no event yet",
    "clan_games": "no event yet",
    "ranked": "no event yet",
    "reminders": "no event yet",
    "activity_members": "no event yet",
    **dict.fromkeys(CALENDAR_KEYS, "the calendar follows two minutes after the first start"),
}
_WAR_KEYS = (
    *("war_state", "war_status", "war_start", "war_end", "war_team_size", "opponent", "stars", "opponent_stars"),
    *("destruction", "opponent_destruction", "attacks_used", "attacks_left"),
)
# Those of a clan that is in no league and has never raided; *CWL state* and *Raid state* have a value.
_PART_KEYS = (
    *("cwl_league", "cwl_round", "cwl_total_stars", "cwl_position", "cwl_opponent_name", "cwl_stars"),
    *("cwl_opponent_stars", "cwl_destruction", "cwl_attacks_left", "cwl_round_start", "cwl_round_end"),
    *("cwl_next_opponent_name", "raid_start", "raid_end", "raid_loot", "raid_attacks_left", "raid_medals"),
    *("raid_districts_destroyed", "raids_completed", "raid_opponent_name"),
)


class Entity(NamedTuple):
    """A discovered entity; ``state`` is None if Home Assistant does not have it."""

    unique_id: str
    key: str
    device: str
    component: Json
    entity_id: str | None
    state: str | None

    @property
    def has_value(self) -> bool:
        """Whether the entity has a value; a text field is normally empty."""
        return self.state not in (None, "unknown", "unavailable")

    @property
    def is_disabled(self) -> bool:
        """Whether Home Assistant adds the entity as disabled."""
        return self.component.get("enabled_by_default") is False

    @property
    def needs_value(self) -> bool:
        """Whether the entity is unavailable while it has no value."""
        return any("'offline'" in one["value_template"] for one in self.component.get("availability", ()))


async def discovery_payloads(port: int) -> dict[str, Json]:
    """Return the retained discovery payloads by device identifier; a clan's includes its members, league and raids.

    Each entity has its availability, which may be that of its payload.
    """
    found: dict[str, Json] = {}
    for payload in (await retained(port, DISCOVERY_TOPICS)).values():
        device = found.setdefault(payload["device"]["identifiers"][0], {**payload, "components": {}})
        for key, component in payload["components"].items():
            inherited = {"availability": payload["availability"]} if "unique_id" in component else {}
            device["components"][key] = {**inherited, **component}
    return found


async def discovered_entities(port: int, home: Home) -> list[Entity]:
    """Return all discovered entities, with their states in Home Assistant."""
    registry, states = await home.entities(), await home.states()
    found = []
    for device, payload in (await discovery_payloads(port)).items():
        for key, component in payload["components"].items():
            if component["platform"] == "device_automation" or set(component) == {"platform"}:
                continue
            unique_id = component["unique_id"]
            entity_id = registry.get(unique_id, {}).get("entity_id")
            state = states.get(entity_id, {}).get("state") if entity_id else None
            found.append(Entity(unique_id, key, device, component, entity_id, state))
    return found


def reason_for_no_value(entity: Entity, *, without_war: str, unwatched_clan: str) -> str | None:
    """Return why an entity may be unknown before the first event, None if it must have a value.

    ``without_war`` is the tag of a clan without a public war, a league and raids, ``unwatched_clan`` that of a player
    whose clan is not watched.
    """
    reasons = _NO_VALUE_REASONS
    if entity.device.endswith(without_war.removeprefix("#")):
        reasons = reasons | dict.fromkeys(_WAR_KEYS, "the war log is private")
        reasons |= dict.fromkeys(_PART_KEYS, "the clan is in no league and has never raided")
    if entity.device.endswith(unwatched_clan.removeprefix("#")):
        reasons = reasons | dict.fromkeys(
            ("attacks_left", "attack_pending", "war_end", "donations_today", "donations_week", "last_seen"),
            "the player's clan is not watched",
        )
    return reasons.get(entity.key)
