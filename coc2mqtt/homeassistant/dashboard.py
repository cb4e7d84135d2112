"""A dashboard for all clans and players of a bridge, with Home Assistant's built-in cards only.

The entity ids come from ``identity.py``, like those of the discovery payloads. A card that Home Assistant has no entity
for, such as the badge of a clan without one, is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coc2mqtt.homeassistant.identity import Identity
from coc2mqtt.translations import ENGLISH, message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from coc2mqtt.translations import Language

Json = dict[str, Any]

_WAR_STATES = ["preparation", "in_war", "war_ended"]
_NO_STATE = ["unknown", "unavailable"]
_MAX_COLUMNS = 3

# By the state of the sensor *War status*, which has none before the battle.
_WAR_SENTENCES = {
    "winning": message("Winning against {opponent}"),
    "losing": message("Losing against {opponent}"),
    "tied": message("Tied with {opponent}"),
    "won": message("Won against {opponent}"),
    "lost": message("Lost against {opponent}"),
}


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


def dashboard(
    instance: str,
    clans: Sequence[DashboardClan],
    players: Sequence[DashboardPlayer],
    *,
    language: Language = ENGLISH,
) -> Json:
    """Return the configuration of a dashboard: a view for each clan, one for the players and one for the bridge."""
    bridge = _Cards(Identity.of_bridge(instance), language)
    badges = bridge.api_badges()
    views = []
    for clan in clans:
        cards = _Cards(Identity.of_watched(instance, "clan", clan.tag), language)
        views.append(_clan_view(cards, clan, badges))
    if players:
        sections = []
        for player in players:
            cards = _Cards(Identity.of_watched(instance, "player", player.tag), language)
            sections.append(cards.player(player.name or player.tag))
        views.append(_view(language.text("Players"), "players", sections, badges))
    views.append(_view("coc2mqtt", "bridge", [bridge.status(), bridge.controls()], badges))
    return {"title": "Clash of Clans", "views": views}


def _clan_view(cards: _Cards, clan: DashboardClan, badges: list[Json]) -> Json:
    name, war = clan.name or clan.tag, clan.war
    sections = [cards.clan(name, war=war), *([cards.war()] if war else []), cards.news(war=war)]
    path = f"clan-{clan.tag.removeprefix('#').lower()}"
    return _view(name, path, sections, [*(cards.war_badges() if war else []), *badges])


class _Cards:
    """Builds the sections and badges of one device."""

    def __init__(self, identity: Identity, language: Language) -> None:
        self.identity = identity
        self.language = language

    def war_badges(self) -> list[Json]:
        """Return the badges with the start of the battle, during the preparation, and its end, during the battle."""
        war_state = self._id("sensor", "war_state")
        starts = self._badge("sensor", "war_start", self.language.text("War starts"))
        ends = self._badge("sensor", "war_end", self.language.text("War ends"))
        return [
            {**starts, "visibility": [_state(war_state, "preparation")]},
            {**ends, "visibility": [_state(war_state, "in_war")]},
        ]

    def api_badges(self) -> list[Json]:
        """Return the badges that are visible only while something is wrong."""
        connectivity, maintenance = (self._id("binary_sensor", key) for key in ("connectivity", "maintenance"))
        denied = self._id("sensor", "denied_address")
        language = self.language
        return [
            {
                **self._badge("binary_sensor", "connectivity", "coc2mqtt"),
                "visibility": [_state_not(connectivity, "on")],
            },
            {
                **self._badge("binary_sensor", "maintenance", language.text("Maintenance")),
                "visibility": [_state(maintenance, "on")],
            },
            {
                **self._badge("sensor", "denied_address", language.text("Token refused for")),
                "visibility": [_state_not(denied, *_NO_STATE)],
            },
        ]

    def clan(self, name: str, *, war: bool) -> Json:
        """Return the section with the profile of a clan, and the result of its last war if ``war`` is set."""
        language = self.language
        badge, refresh = self._id("image", "badge"), self._id("button", "refresh")
        return _section(
            _heading(name, "mdi:shield", [self._unavailable_badge()]),
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
            self._tile("members", language.text("Members")),
            self._tile("level", language.text("Level")),
            self._tile("points", language.text("Points")),
            self._tile("capital_points", language.text("Capital points")),
            self._tile("donations", language.text("Donations")),
            self._tile("war_league", language.text("War league")),
            self._tile("war_win_streak", language.text("War win streak")),
            self._tile("war_wins", language.text("War wins")),
            *([self._last_war()] if war else []),
            {
                "type": "tile",
                "entity": refresh,
                "name": language.text("Refresh"),
                "hide_state": True,
                "grid_options": {"columns": "full"},
                "tap_action": {
                    "action": "perform-action",
                    "perform_action": "button.press",
                    "target": {"entity_id": refresh},
                },
            },
        )

    def war(self) -> Json:
        """Return the section that is visible only during a war."""
        language = self.language
        war_state = self._id("sensor", "war_state")
        section = _section(
            _heading(language.text("War"), "mdi:sword-cross"),
            {"type": "markdown", "content": self._war_sentence()},
            self._tile("stars", language.text("Our stars"), color="amber"),
            self._tile("opponent_stars", language.text("Their stars")),
            self._tile("destruction", language.text("Our destruction"), color="amber"),
            self._tile("opponent_destruction", language.text("Their destruction")),
            self._tile("attacks_used", language.text("Attacks used")),
            self._tile("attacks_left", language.text("Attacks left")),
            {
                "type": "markdown",
                "title": language.text("Members with attacks left"),
                "content": (
                    f"{{% for member in state_attr('{self._id('sensor', 'attacks_left')}', 'members') or [] -%}}\n"
                    "- {{ member.name }} ({{ member.attacks_left }})\n"
                    f"{{% else -%}}\n{language.text('All attacks have been used.')}\n{{% endfor %}}\n"
                ),
                "visibility": [_state(war_state, "in_war")],
            },
            {
                "type": "history-graph",
                "title": language.text("Destruction"),
                "hours_to_show": 24,
                "entities": [
                    {"entity": self._id("sensor", "destruction"), "name": language.text("Our destruction")},
                    {"entity": self._id("sensor", "opponent_destruction"), "name": language.text("Their destruction")},
                ],
                "visibility": [_state(war_state, ["in_war", "war_ended"])],
            },
        )
        return {**section, "visibility": [_state(war_state, _WAR_STATES)]}

    def news(self, *, war: bool) -> Json:
        """Return the section with the last events of a clan and a table of its members."""
        keys = ("war", "activity") if war else ("activity",)
        language = self.language
        return _section(
            _heading(language.text("Latest news"), "mdi:bell-ring"),
            {"type": "markdown", "content": self._news_template(keys)},
            _heading(language.text("Members"), "mdi:account-group"),
            {"type": "markdown", "content": self._members_table()},
        )

    def player(self, name: str) -> Json:
        """Return the section of a player."""
        language = self.language
        clan, pending = self._id("sensor", "clan"), self._id("binary_sensor", "attack_pending")
        clan_badge = {"type": "entity", "entity": clan, "visibility": [_state_not(clan, *_NO_STATE)]}
        return _section(
            _heading(name, "mdi:account", [clan_badge, self._unavailable_badge()]),
            {
                **self._tile("attacks_left", language.text("War attacks left"), color="red"),
                "grid_options": {"columns": "full"},
                "visibility": [_state(pending, "on")],
            },
            self._tile("town_hall_level", language.text("Town hall level")),
            self._tile("trophies", language.text("Trophies")),
            self._tile("donations", language.text("Donated")),
            self._tile("donations_received", language.text("Received")),
            self._tile("league_tier", language.text("League tier")),
            self._tile("war_stars", language.text("War stars")),
            self._label("role", language.text("Role")),
            self._label("war_preference", language.text("War preference")),
            {"type": "markdown", "content": self._news_template(("activity",))},
            {
                "type": "history-graph",
                "hours_to_show": 168,
                "entities": [{"entity": self._id("sensor", "trophies"), "name": language.text("Trophies")}],
            },
        )

    def status(self) -> Json:
        """Return the section with the status of the API and of the bridge."""
        language = self.language
        return _section(
            _heading(language.text("Status"), "mdi:bridge"),
            {"type": "markdown", "content": self._news_template(("api_events",))},
            self._label("api_status", language.text("API status")),
            self._tile("denied_address", language.text("Denied address"), hidden_without_value=True),
            self._tile("watched_clans", language.text("Watched clans")),
            self._tile("watched_players", language.text("Watched players")),
            self._tile("queue", language.text("Queue depth")),
            self._tile("polls_per_minute", language.text("Polls per minute")),
        )

    def controls(self) -> Json:
        """Return the section with the controls of the bridge."""
        language = self.language
        rows = (
            ("text", "watch_clan", language.text("Watch a clan")),
            ("text", "watch_player", language.text("Watch a player")),
            ("text", "unwatch", language.text("Stop watching")),
            ("button", "refresh", language.text("Refresh all")),
            ("select", "log_level", language.text("Log level")),
        )
        entities = [{"entity": self._id(platform, key), "name": name} for platform, key, name in rows]
        last_command = self._id("sensor", "last_command")
        return _section(
            _heading(language.text("Controls"), "mdi:tune"),
            {"type": "entities", "entities": entities},
            {
                "type": "markdown",
                "title": language.text("Last command"),
                "content": f"{{{{ states('{last_command}') }}}}",
                "visibility": [_state_not(last_command, *_NO_STATE)],
            },
        )

    def _members_table(self) -> str:
        """Return a template for a table of a clan's members."""
        language = self.language
        titles = (language.text("Name"), language.text("Role"), language.text("Donated"), language.text("Received"))
        roles = {
            "leader": language.text("Leader"),
            "co_leader": language.text("Co-leader"),
            "elder": language.text("Elder"),
            "member": language.text("Member"),
        }
        # A vertical bar in a name would start a new cell.
        cells = (
            "(member.name or member.tag or '') | replace('|', '/')",
            f"{roles!r}.get(member.role, '')",
            "member.donations",
            "member.received",
        )
        return (
            f"| {' | '.join(titles)} |\n|---|---|--:|--:|\n"
            f"{{% for member in state_attr('{self._id('sensor', 'roster')}', 'members') or [] -%}}\n"
            f"| {' | '.join(f'{{{{ {cell} }}}}' for cell in cells)} |\n"
            "{% endfor %}\n"
        )

    def _war_sentence(self) -> str:
        """Return a template for the state of the war in words."""
        language = self.language
        war_state, status = self._id("sensor", "war_state"), self._id("sensor", "war_status")
        opponent = f"**{{{{ states('{self._id('sensor', 'opponent')}') }}}}**"
        preparing = language.text("Preparing for the battle against {opponent}", opponent=opponent)
        choices = "".join(
            f"{{%- elif is_state('{status}', '{state}') %}}{language.text(sentence, opponent=opponent)}\n"
            for state, sentence in _WAR_SENTENCES.items()
        )
        otherwise = language.text("War against {opponent}", opponent=opponent)
        return (
            f"{{% if is_state('{war_state}', 'preparation') %}}{preparing}\n"
            f"{choices}{{%- else %}}{otherwise}\n{{%- endif %}}\n"
        )

    def _news_template(self, keys: Iterable[str]) -> str:
        """Return a template that shows the last event of each event entity as a sentence, the newest first."""
        entities = [self._id("event", key) for key in keys]
        return (
            f"{{% set events = expand({entities!r}) | rejectattr('state', 'in', {_NO_STATE!r})\n"
            "  | sort(attribute='state', reverse=true) %}\n"
            "{% for event in events if event.attributes.summary is string %}\n"
            "{% set at = event.state | as_datetime | as_local %}\n"
            "**{{ at.strftime('%H:%M' if at.date() == now().date() else '%Y-%m-%d %H:%M') }}**"
            " {{ event.attributes.summary }}\n\n"
            f"{{% else %}}\n{self.language.text('No news yet.')}\n{{% endfor %}}\n"
        )

    def _unavailable_badge(self) -> Json:
        """Return a heading's badge that is visible only while the clan or player cannot be polled."""
        available = self._id("binary_sensor", "available")
        return {"type": "entity", "entity": available, "color": "red", "visibility": [_state(available, "off")]}

    def _badge(self, platform: str, key: str, name: str) -> Json:
        return {"type": "entity", "entity": self._id(platform, key), "name": name, "show_name": True}

    def _tile(self, key: str, name: str, *, color: str | None = None, hidden_without_value: bool = False) -> Json:
        entity = self._id("sensor", key)
        tile: Json = {"type": "tile", "entity": entity, "name": name}
        if color:
            tile["color"] = color
        if hidden_without_value:
            tile["visibility"] = [_state_not(entity, *_NO_STATE)]
        return tile

    def _last_war(self) -> Json:
        """Return a tile with the result, the score and the opponent of the last war."""
        language = self.language
        tile = self._label("last_war_result", language.text("Last war result"))
        return {**tile, "state_content": ["label", "score", "opponent"], "grid_options": {"columns": "full"}}

    def _label(self, key: str, name: str) -> Json:
        """Return a tile that shows the state of an enum sensor in words."""
        return {**self._tile(key, name, hidden_without_value=True), "state_content": ["label"]}

    def _id(self, platform: str, key: str) -> str:
        return self.identity.ids(platform, key)["default_entity_id"]


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


def _state(entity: str, state: str | list[str]) -> Json:
    return {"condition": "state", "entity": entity, "state": state}


def _state_not(entity: str, *states: str) -> Json:
    # An entity that does not exist counts as unavailable.
    return {"condition": "state", "entity": entity, "state_not": [*states] if len(states) > 1 else states[0]}
