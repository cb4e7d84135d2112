"""The device of the bridge: connectivity, status of the Clash of Clans API, health and controls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import BinarySensor, Button, Removed, Select, TextField
from coc2mqtt.homeassistant.discovery import (
    PROJECT_URL,
    Device,
    DeviceDiscovery,
    DiscoveryMessage,
    known,
    online,
    origin,
)
from coc2mqtt.homeassistant.entities import EntityFactory, event_entity, options, translated, triggers
from coc2mqtt.homeassistant.identity import DISCOVERY_PREFIX, Identity, discovery_topic
from coc2mqtt.translations import ENGLISH, message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.homeassistant.components import Component, TimestampSensor
    from coc2mqtt.translations import Language

_API_STATUS_LABELS = {
    "ok": message("Available"),
    "maintenance": message("Maintenance break"),
    "unreachable": message("Unreachable"),
    "denied": message("Token rejected"),
}
_LOG_LEVELS = ("debug", "info", "warning", "error")
# A tag as a user may type it: an optional `#`, at least three characters, an `O` instead of a zero, lower case,
# surrounding spaces. The empty text is the state of the field and must match as well.
_TAG = r"^$|^\s*(#|%23)?[0289PYLQGRJCUVOpylqgrjcuvo]{3,15}\s*$"
_MAX_TAG_LENGTH = 32


@dataclass(frozen=True, slots=True)
class ControlTopics:
    """The request topics of the controls, and the retained states that they show."""

    last_command: str
    info: str
    watch: str
    unwatch: str
    poll: str
    log_level: str


@dataclass(frozen=True, slots=True)
class BridgeTopics:
    """The topics of the bridge's device: retained states, the filter of the API's events, and the controls.

    ``calendar`` is None if the calendar of the game is not published.
    """

    state: str
    health: str
    api_status: str
    api_events: str
    controls: ControlTopics
    calendar: str | None = None


def bridge_device(
    *,
    instance: str,
    version: str,
    topics: BridgeTopics,
    event_types: Sequence[str],
    discovery_prefix: str = DISCOVERY_PREFIX,
    language: Language = ENGLISH,
) -> DiscoveryMessage:
    """Return the discovery message of the bridge; publish it before those of the devices behind it.

    ``event_types`` are all types on the API's topics.
    """
    identity = Identity.of_bridge(instance)
    payload = DeviceDiscovery(
        device=Device(
            identifiers=(identity.device,),
            name=f"coc2mqtt {instance}",
            manufacturer="coc2mqtt",
            model="Bridge",
            sw_version=version,
            configuration_url=PROJECT_URL,
        ),
        origin=origin(version),
        availability=(online(topics.state),),
        components={
            "connectivity": BinarySensor(
                **identity.ids("binary_sensor", "connectivity"),
                name="Connectivity",
                device_class="connectivity",
                entity_category="diagnostic",
                # With the bridge's availability, it could not show "disconnected".
                availability=(),
                state_topic=topics.state,
                value_template=templates.translate({"online": "ON", "offline": "OFF"}, "state"),
            ),
            **_api(identity, topics, event_types, language),
            **_calendar(identity, topics),
            **_health(identity, topics.health),
            **_controls(identity, topics.controls),
        },
    )
    return DiscoveryMessage(discovery_topic(discovery_prefix, instance, "bridge"), payload.translate(language).encode())


def _api(
    identity: Identity, topics: BridgeTopics, event_types: Sequence[str], language: Language
) -> dict[str, Component]:
    entity = EntityFactory(identity, topics.api_status, "diagnostic")
    return {
        "maintenance": BinarySensor(
            **identity.ids("binary_sensor", "maintenance"),
            name="Maintenance",
            icon="mdi:hammer-wrench",
            state_topic=topics.api_status,
            value_template=templates.translate(
                {status: "ON" if status == "maintenance" else "OFF" for status in _API_STATUS_LABELS}, "state"
            ),
        ),
        "api_status": entity.enum(
            "api_status",
            "API status",
            "mdi:cloud-search",
            options(*_API_STATUS_LABELS),
            labels=translated(_API_STATUS_LABELS, language),
            path=("state",),
        ),
        "denied_address": entity.text("denied_address", "Denied address", "mdi:ip-network-outline", path=("address",)),
        "api_events": event_entity(
            identity,
            "api_events",
            name="API",
            icon="mdi:cloud-alert",
            topic=topics.api_events,
            event_types=event_types,
        ),
        **triggers(topics.api_events, event_types),
    }


def _calendar(identity: Identity, topics: BridgeTopics) -> dict[str, Component]:
    """Return the sensors of the game's calendar; each is unavailable while its time is unknown."""
    names = {
        "gold_pass_end": ("Gold pass end", "mdi:ticket", "gold_pass_start_at"),
        "season_end": ("Season end", "mdi:calendar-end", "season_start_at"),
        "ranked_week_end": ("Ranked week end", "mdi:sword-cross", "ranked_week_start_at"),
        "clan_games_start": ("Clan games start", "mdi:flag", None),
        "clan_games_end": ("Clan games end", "mdi:flag-checkered", None),
        "raid_weekend_start": ("Raid weekend start", "mdi:flag", None),
        "raid_weekend_end": ("Raid weekend end", "mdi:flag-checkered", None),
    }
    if topics.calendar is None:
        return {key: Removed(platform="sensor") for key in names}

    def sensor(topic: str, key: str, name: str, icon: str, start: str | None) -> TimestampSensor:
        entity = EntityFactory(identity, topic, availability=(online(topics.state), known(topic, f"{key}_at")))
        attributes = None if start is None else templates.attributes({"start": start})
        return entity.timestamp(key, name, icon, path=(f"{key}_at",), attributes=attributes)

    return {key: sensor(topics.calendar, key, *about) for key, about in names.items()}


def _health(identity: Identity, topic: str) -> dict[str, Component]:
    entity = EntityFactory(identity, topic, "diagnostic")
    return {
        "watched_clans": entity.number("watched_clans", "Watched clans", "mdi:shield-search", path=("clans",)),
        "watched_players": entity.number("watched_players", "Watched players", "mdi:account-search", path=("players",)),
        "queue": entity.number("queue", "Queue depth", "mdi:tray-full"),
        "polls_per_minute": entity.number(
            "polls_per_minute",
            "Polls per minute",
            "mdi:speedometer",
            path=("polls_per_second",),
            times=60,
            precision=1,
        ),
        # Home Assistant's activity log would report each event twice.
        "last_event": replace(entity, enabled_by_default=False).timestamp(
            "last_event",
            "Last event",
            "mdi:history",
            path=("last_event", "timestamp"),
            attributes=templates.attributes(
                {"summary": "summary", "tag": "tag", "name": "name", "type": "event_type"}, "last_event"
            ),
        ),
    }


def _controls(identity: Identity, topics: ControlTopics) -> dict[str, Component]:
    """Return the entities that send requests to the bridge."""

    def field(key: str, name: str, icon: str, topic: str, command: str, **fixed: str) -> TextField:
        return TextField(
            **identity.ids("text", key),
            name=name,
            icon=icon,
            entity_category="config",
            # Shows the tag while the command is executed: the frontend clears a field only when its state changes.
            state_topic=topics.last_command,
            value_template=templates.running_tag(command, **fixed),
            command_topic=topic,
            command_template=templates.request("tag", **fixed),
            max=_MAX_TAG_LENGTH,
            pattern=_TAG,
        )

    return {
        "watch_clan": field("watch_clan", "Watch a clan", "mdi:shield-plus", topics.watch, "watch", kind="clan"),
        "watch_player": field(
            "watch_player", "Watch a player", "mdi:account-plus", topics.watch, "watch", kind="player"
        ),
        "unwatch": field("unwatch", "Stop watching", "mdi:eye-off", topics.unwatch, "unwatch"),
        "last_command": EntityFactory(identity, topics.last_command).text(
            "last_command",
            "Last command",
            "mdi:console-line",
            path=("summary",),
            attributes=templates.attributes({"command": "command", "status": "status", "time": "time"}),
        ),
        "refresh": Button(
            **identity.ids("button", "refresh"),
            name="Refresh all",
            icon="mdi:refresh",
            entity_category="diagnostic",
            command_topic=topics.poll,
            payload_press="{}",
        ),
        "log_level": Select(
            **identity.ids("select", "log_level"),
            name="Log level",
            icon="mdi:text-box-search",
            entity_category="config",
            options=_LOG_LEVELS,
            state_topic=topics.info,
            value_template=templates.translate({level: level for level in _LOG_LEVELS}, "log_level"),
            command_topic=topics.log_level,
            command_template=templates.request("level"),
        ),
    }
