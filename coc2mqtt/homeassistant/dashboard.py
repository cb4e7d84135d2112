"""A dashboard for all clans and players of a bridge, with Home Assistant's built-in cards only.

The entity ids come from ``identity.py``, like those of the discovery payloads. A card that Home Assistant has no entity
for, such as the badge of a clan without one, is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coc2mqtt.homeassistant.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Json = dict[str, Any]

_WAR_STATES = ["preparation", "in_war", "war_ended"]
_NO_STATE = ["unknown", "unavailable"]
_MAX_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class DashboardClan:
    """A watched clan; ``name`` is None if it is unknown, ``war`` tells whether its war is watched."""

    tag: str
    name: str | None
    war: bool = True


@dataclass(frozen=True, slots=True)
class DashboardPlayer:
    """A watched player; ``name`` is None if it is unknown."""

    tag: str
    name: str | None


def dashboard(instance: str, clans: Sequence[DashboardClan], players: Sequence[DashboardPlayer]) -> Json:
    """Return the configuration of a dashboard: a view for each clan, one for the players and one for the bridge."""
    bridge = Identity.of_bridge(instance)
    badges = _api_badges(bridge)
    views = [_clan_view(Identity.of_watched(instance, "clan", clan.tag), clan, badges) for clan in clans]
    if players:
        sections = [_player(Identity.of_watched(instance, "player", player.tag), player) for player in players]
        views.append(_view("Players", "players", sections, badges))
    views.append(_view("Bridge", "bridge", [_status(bridge), _controls(bridge)], badges))
    return {"title": "Clash of Clans", "views": views}


def _clan_view(identity: Identity, clan: DashboardClan, badges: list[Json]) -> Json:
    name = clan.name or clan.tag
    sections = [_clan(identity, name), *([_war(identity)] if clan.war else []), _news(identity, war=clan.war)]
    path = f"clan-{clan.tag.removeprefix('#').lower()}"
    war = [_war_badge(identity, key, name, state) for key, name, state in _WAR_BADGES] if clan.war else []
    return _view(name, path, sections, [*war, *badges])


_WAR_BADGES = (("war_start", "War starts", "preparation"), ("war_end", "War ends", "in_war"))


def _war_badge(identity: Identity, key: str, name: str, state: str) -> Json:
    return {
        "type": "entity",
        "entity": _id(identity, "sensor", key),
        "name": name,
        "show_name": True,
        "visibility": [_state(_id(identity, "sensor", "war_state"), state)],
    }


def _api_badges(bridge: Identity) -> list[Json]:
    """Return the badges that are visible only while something is wrong."""
    connectivity = _id(bridge, "binary_sensor", "connectivity")
    maintenance = _id(bridge, "binary_sensor", "maintenance")
    denied = _id(bridge, "sensor", "denied_address")
    return [
        {**_badge(connectivity, "coc2mqtt"), "visibility": [_state_not(connectivity, "on")]},
        {**_badge(maintenance, "Maintenance"), "visibility": [_state(maintenance, "on")]},
        {**_badge(denied, "Token refused for"), "visibility": [_state_not(denied, *_NO_STATE)]},
    ]


def _badge(entity: str, name: str) -> Json:
    return {"type": "entity", "entity": entity, "name": name, "show_name": True}


def _clan(identity: Identity, name: str) -> Json:
    badge, refresh = _id(identity, "image", "badge"), _id(identity, "button", "refresh")
    return _section(
        _heading(name, "mdi:shield", [_unavailable_badge(identity)]),
        {
            "type": "picture-entity",
            "entity": badge,
            "show_name": False,
            "show_state": False,
            "fit_mode": "contain",
            "aspect_ratio": "3:1",
            "grid_options": {"columns": 12, "rows": "auto"},
            "visibility": [_state_not(badge, *_NO_STATE)],
        },
        _tile(identity, "members", "Members"),
        _tile(identity, "level", "Level"),
        _tile(identity, "points", "Points"),
        _tile(identity, "capital_points", "Capital points"),
        _tile(identity, "war_league", "War league"),
        _tile(identity, "war_win_streak", "Win streak"),
        _tile(identity, "war_wins", "War wins"),
        {
            "type": "tile",
            "entity": refresh,
            "name": "Refresh",
            "hide_state": True,
            "tap_action": {
                "action": "perform-action",
                "perform_action": "button.press",
                "target": {"entity_id": refresh},
            },
        },
    )


def _war(identity: Identity) -> Json:
    """Return the section that is visible only during a war."""
    war_state = _id(identity, "sensor", "war_state")
    attacks_left = _id(identity, "sensor", "attacks_left")
    section = _section(
        _heading("War", "mdi:sword-cross"),
        {"type": "markdown", "content": _war_sentence(identity)},
        _tile(identity, "stars", "Our stars", color="amber"),
        _tile(identity, "opponent_stars", "Their stars"),
        _tile(identity, "destruction", "Our destruction", color="amber"),
        _tile(identity, "opponent_destruction", "Their destruction"),
        _tile(identity, "attacks_used", "Attacks used"),
        _tile(identity, "attacks_left", "Attacks left"),
        {
            "type": "markdown",
            "title": "Members with attacks left",
            "content": f"{{% for member in state_attr('{attacks_left}', 'members') or [] -%}}\n"
            "- {{ member.name }} ({{ member.attacks_left }})\n"
            "{% else -%}\nAll attacks have been used.\n{% endfor %}\n",
            "visibility": [_state(war_state, "in_war")],
        },
        {
            "type": "history-graph",
            "title": "Destruction",
            "hours_to_show": 24,
            "entities": [
                {"entity": _id(identity, "sensor", "destruction"), "name": "Ours"},
                {"entity": _id(identity, "sensor", "opponent_destruction"), "name": "Theirs"},
            ],
            "visibility": [_state(war_state, ["in_war", "war_ended"])],
        },
    )
    return {**section, "visibility": [_state(war_state, _WAR_STATES)]}


def _war_sentence(identity: Identity) -> str:
    """Return a template for the state of the war in words."""
    war_state, status, opponent = (_id(identity, "sensor", key) for key in ("war_state", "war_status", "opponent"))
    choices = {
        "winning": "**Winning** against",
        "losing": "**Losing** against",
        "tied": "**Tied** with",
        "won": "**Won** against",
        "lost": "**Lost** against",
    }
    return (
        f"{{% if is_state('{war_state}', 'preparation') %}}**Preparing** for the battle against\n"
        + "".join(f"{{%- elif is_state('{status}', '{key}') %}}{text}\n" for key, text in choices.items())
        + f"{{%- else %}}War against\n{{%- endif %}} {{{{ states('{opponent}') }}}}\n"
    )


def _news(identity: Identity, *, war: bool) -> Json:
    keys = ("war", "activity") if war else ("activity",)
    return _section(
        _heading("Latest news", "mdi:bell-ring"),
        {"type": "markdown", "content": _news_template(_id(identity, "event", key) for key in keys)},
    )


def _news_template(entities: Iterable[str]) -> str:
    """Return a template that shows the last event of each event entity as a sentence, the newest first."""
    return (
        f"{{% set events = expand({[*entities]!r}) | rejectattr('state', 'in', {_NO_STATE!r})\n"
        "  | sort(attribute='state', reverse=true) %}\n"
        "{% for event in events if event.attributes.summary is string %}\n"
        "{% set at = event.state | as_datetime | as_local %}\n"
        "**{{ at.strftime('%H:%M' if at.date() == now().date() else '%d.%m. %H:%M') }}**"
        " {{ event.attributes.summary }}\n\n"
        "{% else %}\nNo news yet.\n{% endfor %}\n"
    )


def _player(identity: Identity, player: DashboardPlayer) -> Json:
    clan, pending = _id(identity, "sensor", "clan"), _id(identity, "binary_sensor", "attack_pending")
    preference = _id(identity, "sensor", "war_preference")
    clan_badge = {"type": "entity", "entity": clan, "visibility": [_state_not(clan, *_NO_STATE)]}
    return _section(
        _heading(player.name or player.tag, "mdi:account", [clan_badge, _unavailable_badge(identity)]),
        {
            **_tile(identity, "attacks_left", "War attacks left", color="red"),
            "grid_options": {"columns": "full"},
            "visibility": [_state(pending, "on")],
        },
        _tile(identity, "town_hall_level", "Town hall"),
        _tile(identity, "trophies", "Trophies"),
        _tile(identity, "donations", "Donated"),
        _tile(identity, "donations_received", "Received"),
        _tile(identity, "league_tier", "League"),
        _tile(identity, "war_stars", "War stars"),
        {
            "type": "markdown",
            "content": f"{{% if is_state('{preference}', 'in') %}}Available for wars.\n"
            f"{{% elif is_state('{preference}', 'out') %}}Not available for wars.\n{{% endif %}}\n"
            + _news_template([_id(identity, "event", "activity")]),
        },
        {
            "type": "history-graph",
            "hours_to_show": 168,
            "entities": [{"entity": _id(identity, "sensor", "trophies"), "name": "Trophies"}],
        },
    )


def _status(bridge: Identity) -> Json:
    status, address = _id(bridge, "sensor", "api_status"), _id(bridge, "sensor", "denied_address")
    choices = {
        "ok": "The Clash of Clans API is available.",
        "maintenance": "Clash of Clans is in maintenance.",
        "unreachable": "The Clash of Clans API is unreachable.",
        "denied": "The Clash of Clans API refuses the token"
        f"{{% if has_value('{address}') %}} for the address {{{{ states('{address}') }}}}{{% endif %}}.",
    }
    sentences = [f"{{% {{}} is_state('{status}', '{key}') %}}{text}\n" for key, text in choices.items()]
    return _section(
        _heading("Bridge", "mdi:bridge"),
        {
            "type": "markdown",
            "content": "".join(
                sentence.replace("{}", "elif" if number else "if", 1) for number, sentence in enumerate(sentences)
            )
            + "{% else %}The bridge is offline.\n{% endif %}\n"
            + _news_template([_id(bridge, "event", "api_events")]),
        },
        _tile(bridge, "watched_clans", "Watched clans"),
        _tile(bridge, "watched_players", "Watched players"),
        _tile(bridge, "queue", "Queued events"),
        _tile(bridge, "polls_per_minute", "Polls per minute"),
    )


def _controls(bridge: Identity) -> Json:
    rows = (
        ("text", "watch_clan", "Watch a clan"),
        ("text", "watch_player", "Watch a player"),
        ("text", "unwatch", "Stop watching"),
        ("button", "refresh", "Refresh all"),
        ("select", "log_level", "Log level"),
    )
    return _section(
        _heading("Controls", "mdi:tune"),
        {
            "type": "entities",
            "entities": [{"entity": _id(bridge, platform, key), "name": name} for platform, key, name in rows],
        },
    )


def _view(title: str, path: str, sections: list[Json], badges: list[Json]) -> Json:
    return {
        # Without an icon, so that the tab shows the title.
        "title": title,
        "path": path,
        "type": "sections",
        "max_columns": _MAX_COLUMNS,
        "badges": badges,
        "sections": sections,
    }


def _section(*cards: Json) -> Json:
    return {"type": "grid", "cards": [*cards]}


def _heading(text: str, icon: str, badges: Sequence[Json] = ()) -> Json:
    return {"type": "heading", "heading": text, "icon": icon, **({"badges": [*badges]} if badges else {})}


def _unavailable_badge(identity: Identity) -> Json:
    """Return a heading's badge that is visible only while the clan or player cannot be polled."""
    available = _id(identity, "binary_sensor", "available")
    return {"type": "entity", "entity": available, "color": "red", "visibility": [_state(available, "off")]}


def _tile(identity: Identity, key: str, name: str, *, color: str | None = None) -> Json:
    tile = {"type": "tile", "entity": _id(identity, "sensor", key), "name": name}
    return {**tile, "color": color} if color else tile


def _state(entity: str, state: str | list[str]) -> Json:
    return {"condition": "state", "entity": entity, "state": state}


def _state_not(entity: str, *states: str) -> Json:
    # An entity that does not exist counts as unavailable.
    return {"condition": "state", "entity": entity, "state_not": [*states] if len(states) > 1 else states[0]}


def _id(identity: Identity, platform: str, key: str) -> str:
    return identity.ids(platform, key)["default_entity_id"]
