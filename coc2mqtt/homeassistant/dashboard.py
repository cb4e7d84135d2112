"""A dashboard for all clans and players of a bridge, with Home Assistant's built-in cards only.

The entity ids come from ``identity.py``, like those of the discovery payloads. A card that Home Assistant has no entity
for, such as the badge of a clan without one, is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coc2mqtt.homeassistant import dashboard_parts
from coc2mqtt.homeassistant.dashboard_cards import NO_STATE, Cards, heading, section, state, state_not, view
from coc2mqtt.homeassistant.identity import Identity
from coc2mqtt.translations import ENGLISH, message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.translations import Language

Json = dict[str, Any]

_WAR_STATES = ["preparation", "in_war", "war_ended"]

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
    """A watched clan; ``name`` is None if it is unknown. The other fields tell which parts of it are watched."""

    tag: str
    name: str | None
    war: bool = True
    cwl: bool = True
    raids: bool = True
    activity: bool = False
    games: bool = False
    reminders: bool = False


@dataclass(frozen=True, slots=True)
class DashboardPlayer:
    """A watched player; ``name`` is None if it is unknown. ``ranked`` tells whether ranked battles are watched."""

    tag: str
    name: str | None
    ranked: bool = False


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
            sections.append(cards.player(player.name or player.tag, ranked=player.ranked))
        views.append(view(language.text("Players"), "players", sections, badges))
    views.append(
        view("coc2mqtt", "bridge", [bridge.status(), dashboard_parts.calendar(bridge), bridge.controls()], badges)
    )
    return {"title": "Clash of Clans", "views": views}


def _clan_view(cards: _Cards, clan: DashboardClan, badges: list[Json]) -> Json:
    name, own_badges = clan.name or clan.tag, []
    sections = [cards.clan(name, war=clan.war)]
    if clan.war:
        sections.append(cards.war())
        own_badges += cards.war_badges()
    if clan.cwl:
        sections.append(dashboard_parts.league(cards))
        own_badges += dashboard_parts.league_badges(cards)
    if clan.raids:
        sections.append(dashboard_parts.raid(cards))
        own_badges += dashboard_parts.raid_badges(cards)
    if clan.games:
        sections.append(dashboard_parts.games(cards))
        own_badges += dashboard_parts.games_badges(cards)
    if clan.activity:
        sections.append(dashboard_parts.activity(cards))
    sections.append(cards.news(clan))
    path = f"clan-{clan.tag.removeprefix('#').lower()}"
    return view(name, path, sections, [*own_badges, *badges])


class _Cards(Cards):
    """Builds the sections and badges of one device."""

    def war_badges(self) -> list[Json]:
        """Return the badges with the start of the battle, during the preparation, and its end, during the battle."""
        war_state = self.id("sensor", "war_state")
        starts = self.badge("sensor", "war_start", self.language.text("War starts"))
        ends = self.badge("sensor", "war_end", self.language.text("War ends"))
        return [
            {**starts, "visibility": [state(war_state, "preparation")]},
            {**ends, "visibility": [state(war_state, "in_war")]},
        ]

    def api_badges(self) -> list[Json]:
        """Return the badges that are visible only while something is wrong."""
        connectivity, maintenance = (self.id("binary_sensor", key) for key in ("connectivity", "maintenance"))
        denied = self.id("sensor", "denied_address")
        language = self.language
        return [
            {
                **self.badge("binary_sensor", "connectivity", "coc2mqtt"),
                "visibility": [state_not(connectivity, "on")],
            },
            {
                **self.badge("binary_sensor", "maintenance", language.text("Maintenance")),
                "visibility": [state(maintenance, "on")],
            },
            {
                **self.badge("sensor", "denied_address", language.text("Token refused for")),
                "visibility": [state_not(denied, *NO_STATE)],
            },
        ]

    def clan(self, name: str, *, war: bool) -> Json:
        """Return the section with the profile of a clan, and the result of its last war if ``war`` is set."""
        language = self.language
        badge, refresh = self.id("image", "badge"), self.id("button", "refresh")
        return section(
            heading(name, "mdi:shield", [self.unavailable_badge()]),
            {
                "type": "picture-entity",
                "entity": badge,
                "show_name": False,
                "show_state": False,
                "fit_mode": "contain",
                "aspect_ratio": "3:1",
                "grid_options": {"columns": 12, "rows": "auto"},
                "visibility": [state_not(badge, *NO_STATE)],
            },
            self.tile("members", language.text("Members")),
            self.tile("level", language.text("Level")),
            self.tile("points", language.text("Points")),
            self.tile("capital_points", language.text("Capital points")),
            self.tile("donations", language.text("Donations")),
            self.tile("war_league", language.text("War league")),
            self.tile("war_win_streak", language.text("War win streak")),
            self.tile("war_wins", language.text("War wins")),
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
        war_state = self.id("sensor", "war_state")
        whole = section(
            heading(language.text("War"), "mdi:sword-cross"),
            {"type": "markdown", "content": self._war_sentence()},
            self.tile("stars", language.text("Our stars"), color="amber"),
            self.tile("opponent_stars", language.text("Their stars")),
            self.tile("destruction", language.text("Our destruction"), color="amber"),
            self.tile("opponent_destruction", language.text("Their destruction")),
            self.tile("attacks_used", language.text("Attacks used")),
            self.tile("attacks_left", language.text("Attacks left")),
            {
                **self.members("attacks_left", language.text("All attacks have been used.")),
                "visibility": [state(war_state, "in_war")],
            },
            {
                "type": "history-graph",
                "title": language.text("Destruction"),
                "hours_to_show": 24,
                "entities": [
                    {"entity": self.id("sensor", "destruction"), "name": language.text("Our destruction")},
                    {"entity": self.id("sensor", "opponent_destruction"), "name": language.text("Their destruction")},
                ],
                "visibility": [state(war_state, ["in_war", "war_ended"])],
            },
        )
        return {**whole, "visibility": [state(war_state, _WAR_STATES)]}

    def news(self, clan: DashboardClan) -> Json:
        """Return the section with the last events of a clan and a table of its members."""
        watched = {
            "war": clan.war,
            "cwl": clan.cwl,
            "raid": clan.raids,
            "activity": True,
            "clan_games": clan.games,
            "reminders": clan.reminders,
            "activity_members": clan.activity,
        }
        keys = [key for key, is_watched in watched.items() if is_watched]
        language = self.language
        return section(
            heading(language.text("Latest news"), "mdi:bell-ring"),
            {"type": "markdown", "content": self.news_template(keys)},
            heading(language.text("Members"), "mdi:account-group"),
            {"type": "markdown", "content": self._members_table()},
        )

    def player(self, name: str, *, ranked: bool) -> Json:
        """Return the section of a player, with the ranked week if ``ranked`` is set."""
        language = self.language
        clan, pending = self.id("sensor", "clan"), self.id("binary_sensor", "attack_pending")
        clan_badge = {"type": "entity", "entity": clan, "visibility": [state_not(clan, *NO_STATE)]}
        return section(
            heading(name, "mdi:account", [clan_badge, self.unavailable_badge()]),
            {
                **self.tile("attacks_left", language.text("Attacks left"), color="red"),
                "grid_options": {"columns": "full"},
                "visibility": [state(pending, "on")],
            },
            self.tile("town_hall_level", language.text("Town hall level")),
            self.tile("trophies", language.text("Trophies")),
            self.tile("donations", language.text("Donated")),
            self.tile("donations_received", language.text("Received")),
            self.tile("league_tier", language.text("League tier")),
            self.tile("war_stars", language.text("War stars")),
            self.label("role", language.text("Role")),
            self.label("war_preference", language.text("War preference")),
            self.tile("donations_today", language.text("Donations today"), hidden_without_value=True),
            self.tile("last_seen", language.text("Last seen"), hidden_without_value=True),
            *(dashboard_parts.ranked(self) if ranked else []),
            {"type": "markdown", "content": self.news_template(("activity", "ranked") if ranked else ("activity",))},
            {
                "type": "history-graph",
                "hours_to_show": 168,
                "entities": [{"entity": self.id("sensor", "trophies"), "name": language.text("Trophies")}],
            },
        )

    def status(self) -> Json:
        """Return the section with the status of the API and of the bridge."""
        language = self.language
        return section(
            heading(language.text("Status"), "mdi:bridge"),
            {"type": "markdown", "content": self.news_template(("api_events",))},
            self.label("api_status", language.text("API status")),
            self.tile("denied_address", language.text("Denied address"), hidden_without_value=True),
            self.tile("watched_clans", language.text("Watched clans")),
            self.tile("watched_players", language.text("Watched players")),
            self.tile("queue", language.text("Queue depth")),
            self.tile("polls_per_minute", language.text("Polls per minute")),
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
        entities = [{"entity": self.id(platform, key), "name": name} for platform, key, name in rows]
        last_command = self.id("sensor", "last_command")
        return section(
            heading(language.text("Controls"), "mdi:tune"),
            {"type": "entities", "entities": entities},
            {
                "type": "markdown",
                "title": language.text("Last command"),
                "content": f"{{{{ states('{last_command}') }}}}",
                "visibility": [state_not(last_command, *NO_STATE)],
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
            f"{{% for member in state_attr('{self.id('sensor', 'roster')}', 'members') or [] -%}}\n"
            f"| {' | '.join(f'{{{{ {cell} }}}}' for cell in cells)} |\n"
            "{% endfor %}\n"
        )

    def _war_sentence(self) -> str:
        """Return a template for the state of the war in words."""
        language = self.language
        war_state, status = self.id("sensor", "war_state"), self.id("sensor", "war_status")
        opponent = f"**{{{{ states('{self.id('sensor', 'opponent')}') }}}}**"
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

    def _last_war(self) -> Json:
        """Return a tile with the result, the score and the opponent of the last war."""
        language = self.language
        tile = self.label("last_war_result", language.text("Last war result"))
        return {**tile, "state_content": ["label", "score", "opponent"], "grid_options": {"columns": "full"}}
