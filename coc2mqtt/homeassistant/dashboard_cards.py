"""The cards of a dashboard that several sections use. Cards are dictionaries, as in the dashboard's YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coc2mqtt.homeassistant.identity import Identity
    from coc2mqtt.translations import Language

Json = dict[str, Any]

NO_STATE = ["unknown", "unavailable"]
_MAX_COLUMNS = 3


class Cards:
    """Builds cards for the entities of one device."""

    def __init__(self, identity: Identity, language: Language) -> None:
        self.identity = identity
        self.language = language

    def id(self, platform: str, key: str) -> str:
        """Return the id of an entity."""
        return self.identity.ids(platform, key)["default_entity_id"]

    def tile(self, key: str, name: str, *, color: str | None = None, hidden_without_value: bool = False) -> Json:
        """Return a tile that shows the state of a sensor."""
        entity = self.id("sensor", key)
        tile: Json = {"type": "tile", "entity": entity, "name": name}
        if color:
            tile["color"] = color
        if hidden_without_value:
            tile["visibility"] = [state_not(entity, *NO_STATE)]
        return tile

    def label(self, key: str, name: str) -> Json:
        """Return a tile that shows the state of an enum sensor in words."""
        return {**self.tile(key, name, hidden_without_value=True), "state_content": ["label"]}

    def badge(self, platform: str, key: str, name: str) -> Json:
        """Return a badge that shows the state of an entity."""
        return {"type": "entity", "entity": self.id(platform, key), "name": name, "show_name": True}

    def unavailable_badge(self) -> Json:
        """Return a heading's badge that is visible only while the clan or player cannot be polled."""
        available = self.id("binary_sensor", "available")
        return {"type": "entity", "entity": available, "color": "red", "visibility": [state(available, "off")]}

    def members(self, key: str, nobody: str) -> Json:
        """Return a list of the members with attacks left, an attribute of this sensor, or the text ``nobody``."""
        return {
            "type": "markdown",
            "title": self.language.text("Members with attacks left"),
            "content": (
                f"{{% for member in state_attr('{self.id('sensor', key)}', 'members') or [] -%}}\n"
                "- {{ member.name }} ({{ member.attacks_left }})\n"
                f"{{% else -%}}\n{nobody}\n{{% endfor %}}\n"
            ),
        }

    def news_template(self, keys: Iterable[str]) -> str:
        """Return a template that shows the last event of each event entity as a sentence, the newest first."""
        entities = [self.id("event", key) for key in keys]
        return (
            f"{{% set events = expand({entities!r}) | rejectattr('state', 'in', {NO_STATE!r})\n"
            "  | sort(attribute='state', reverse=true) %}\n"
            "{% for event in events if event.attributes.summary is string %}\n"
            "{% set at = event.state | as_datetime | as_local %}\n"
            "**{{ at.strftime('%H:%M' if at.date() == now().date() else '%Y-%m-%d %H:%M') }}**"
            " {{ event.attributes.summary }}\n\n"
            f"{{% else %}}\n{self.language.text('No news yet.')}\n{{% endfor %}}\n"
        )


def view(title: str, path: str, sections: list[Json], badges: list[Json]) -> Json:
    """Return a view with sections."""
    return {
        # Without an icon, so that the tab shows the title.
        "title": title,
        "path": path,
        "type": "sections",
        "max_columns": _MAX_COLUMNS,
        "badges": badges,
        "sections": sections,
    }


def section(*cards: Json) -> Json:
    """Return a section."""
    return {"type": "grid", "cards": [*cards]}


def heading(text: str, icon: str, badges: Sequence[Json] = ()) -> Json:
    """Return the heading of a section."""
    return {"type": "heading", "heading": text, "icon": icon, **({"badges": [*badges]} if badges else {})}


def state(entity: str, state: str | list[str]) -> Json:
    """Return the condition that an entity has a state, or one of several."""
    return {"condition": "state", "entity": entity, "state": state}


def state_not(entity: str, *states: str) -> Json:
    """Return the condition that an entity has none of these states."""
    # An entity that does not exist counts as unavailable.
    return {"condition": "state", "entity": entity, "state_not": [*states] if len(states) > 1 else states[0]}
