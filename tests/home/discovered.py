"""What the bridge has announced, read from what is retained on the broker, and what Home Assistant made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.home.mqtt import retained

if TYPE_CHECKING:
    from tests.home.home_assistant import Home

Json = dict[str, Any]

# What has no value when all is well, and why.
_UNKNOWN = {
    "denied_address": "nothing is denied",
    "refresh": "a button that nobody has pressed",
    "activity": "no event yet",
    "war": "no event yet",
    "api_events": "no event yet",
    "last_event": "no event yet",
}
_OF_A_WAR = (
    *("war_state", "war_status", "war_start", "war_end", "opponent", "stars", "opponent_stars", "destruction"),
    *("opponent_destruction", "attacks_used", "attacks_left"),
)


class Entity(NamedTuple):
    """An announced entity; ``state`` is None where Home Assistant does not have it."""

    unique_id: str
    key: str
    device: str
    component: Json
    entity_id: str | None
    state: str | None

    @property
    def has_value(self) -> bool:
        """Whether there is something to see; a field for text is empty by nature."""
        return self.state not in (None, "unknown", "unavailable")


async def discovery_payloads(port: int) -> dict[str, Json]:
    """Return the retained announcements by device identifier."""
    found = await retained(port, "homeassistant/device/+/config")
    return {payload["device"]["identifiers"][0]: payload for payload in found.values()}


async def discovered_entities(port: int, home: Home) -> list[Entity]:
    """Return all entities that are announced now, with what Home Assistant shows of them."""
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


def reason_for_no_value(entity: Entity, *, without_war: str, outside: str) -> str | None:
    """Return why an entity may be unknown before there was any event, None where it must have a value.

    ``without_war`` is the tag of a clan that shows no war, ``outside`` that of a player whose clan is not watched.
    """
    reasons = _UNKNOWN
    if entity.device.endswith(without_war.removeprefix("#")):
        reasons = reasons | dict.fromkeys(_OF_A_WAR, "the war log is private")
    if entity.device.endswith(outside.removeprefix("#")):
        reasons = reasons | dict.fromkeys(("attacks_left", "attack_pending"), "the player's clan is not watched")
    return reasons.get(entity.key)
