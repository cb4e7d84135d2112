"""The controls of the bridge's device: add and remove watches, poll now, log level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coc2mqtt.homeassistant import templates
from coc2mqtt.homeassistant.components import Button, Component, Select, TextField

if TYPE_CHECKING:
    from coc2mqtt.homeassistant.identity import Identity

_LOG_LEVELS = ("debug", "info", "warning", "error")
# A tag as a user may type it: an optional `#`, at least three characters, an `O` instead of a zero, lower case,
# surrounding spaces. The empty text is the state of the field and must match as well.
_TAG = r"^$|^\s*(#|%23)?[0289PYLQGRJCUVOpylqgrjcuvo]{3,15}\s*$"
_MAX_TAG_LENGTH = 32


@dataclass(frozen=True, slots=True)
class ControlTopics:
    """The request topics of the controls, and the retained states that they show."""

    bridge_state: str
    info: str
    watch: str
    unwatch: str
    poll: str
    log_level: str


def controls(identity: Identity, topics: ControlTopics) -> dict[str, Component]:
    """Return the entities that send requests to the bridge."""

    def field(key: str, name: str, icon: str, topic: str, request: str) -> TextField:
        return TextField(
            **identity.ids("text", key),
            name=name,
            icon=icon,
            entity_category="config",
            # Always empty: the text is a request, not a state.
            state_topic=topics.bridge_state,
            command_topic=topic,
            command_template=request,
            max=_MAX_TAG_LENGTH,
            pattern=_TAG,
        )

    request = templates.request
    return {
        "watch_clan": field("watch_clan", "Watch a clan", "mdi:shield-plus", topics.watch, request("tag", kind="clan")),
        "watch_player": field(
            "watch_player", "Watch a player", "mdi:account-plus", topics.watch, request("tag", kind="player")
        ),
        "unwatch": field("unwatch", "Stop watching", "mdi:eye-off", topics.unwatch, request("tag")),
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
            command_template=request("level"),
        ),
    }
