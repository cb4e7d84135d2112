"""The dashboard of a bridge: its views, and that it uses only entities that the bridge announces."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.homeassistant.dashboard import DashboardClan, DashboardPlayer, dashboard
from coc2mqtt.translations import CODES, language_of
from tests.homeassistant import builders

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

EVERYTHING = {"activity": True, "games": True, "reminders": True}
CLANS = [
    DashboardClan("#2PP", "The Order", **EVERYTHING),
    DashboardClan("#8QQ", None, war=False, cwl=False, raids=False),
]
PLAYERS = [DashboardPlayer("#900PUCPV", "Alice", ranked=True), DashboardPlayer("#LLL", "Bob")]
# The cards of Home Assistant itself that the dashboard uses.
CARDS = {"heading", "tile", "picture-entity", "markdown", "history-graph", "entities"}


def texts(data: Any) -> Iterator[str]:
    """Yield every text, at every depth."""
    if isinstance(data, dict | list):
        for item in data.values() if isinstance(data, dict) else data:
            yield from texts(item)
    elif isinstance(data, str):
        yield data


def cards(config: Json) -> Iterator[Json]:
    for view in config["views"]:
        for section in view["sections"]:
            yield from section["cards"]


def used_entities(config: Any) -> set[str]:
    ids = r"\b(?:sensor|binary_sensor|event|image|button|text|select)\.\w+"
    return (
        {found for text in texts(config) for found in re.findall(ids, text)}
        - {"event.state", "event.attributes"}
        - {"button.press"}
    )


def announced_entities(*messages: Any) -> set[str]:
    """Return the ids of the entities that Home Assistant enables."""
    return {
        component["default_entity_id"]
        for message in messages
        for component in builders.decode(message)["components"].values()
        if "default_entity_id" in component and component.get("enabled_by_default", True)
    }


def test_dashboard_uses_only_enabled_entities_of_the_discovery_payloads() -> None:
    announced = announced_entities(
        builders.bridge(instance="my-home"),
        *(builders.clan(clan.tag, clan.name, war=clan.war) for clan in CLANS),
        *(announce(clan.tag, clan.name) for clan in CLANS if clan.cwl for announce in (builders.cwl, builders.raid)),
        *(announce(CLANS[0].tag) for announce in (builders.activity, builders.games, builders.reminders)),
        *(builders.player(player.tag, player.name) for player in PLAYERS),
        *(builders.ranked(player.tag) for player in PLAYERS if player.ranked),
    )
    used = used_entities(dashboard("my-home", CLANS, PLAYERS))
    assert used <= announced
    assert any(one.startswith("sensor.coc2mqtt_my_home_") for one in used)


def test_each_clan_has_a_view_with_its_name() -> None:
    config = dashboard("home", CLANS, PLAYERS)
    assert [view["title"] for view in config["views"]] == ["The Order", "#8QQ", "Players", "coc2mqtt"]
    assert len({view["path"] for view in config["views"]}) == 4


def test_view_of_a_clan_uses_only_entities_of_this_clan_and_the_bridge() -> None:
    view = dashboard("home", CLANS, PLAYERS)["views"][0]
    owners = {one.split(".")[1].rsplit("_", 1)[0] for one in used_entities(view)}
    assert all(owner.startswith(("clan_2pp", "coc2mqtt_home")) for owner in owners)


def test_each_player_has_a_section_with_their_name() -> None:
    (players,) = (view for view in dashboard("home", CLANS, PLAYERS)["views"] if view["path"] == "players")
    assert [section["cards"][0]["heading"] for section in players["sections"]] == ["Alice", "Bob"]


def test_dashboard_without_players_has_no_view_of_players() -> None:
    assert [view["path"] for view in dashboard("home", CLANS[:1], [])["views"]] == ["clan-2pp", "bridge"]


def test_war_section_is_visible_only_during_a_war() -> None:
    clan = dashboard("home", CLANS, [])["views"][0]
    (war,) = (section for section in clan["sections"] if section["cards"][0]["heading"] == "War")
    (condition,) = war["visibility"]
    assert condition == {
        "condition": "state",
        "entity": "sensor.clan_2pp_war_state",
        "state": ["preparation", "in_war", "war_ended"],
    }
    parts = ("War", "Clan war league", "Raid weekend")
    outside = [section for section in clan["sections"] if section["cards"][0]["heading"] not in parts]
    assert {one for one in used_entities(outside) if "_war_" in one} <= {
        *("sensor.clan_2pp_war_league", "sensor.clan_2pp_war_win_streak", "sensor.clan_2pp_war_wins"),
        "sensor.clan_2pp_last_war_result",
    }


def test_clan_without_war_has_no_war_cards() -> None:
    view = dashboard("home", CLANS, [])["views"][1]
    assert [section["cards"][0]["heading"] for section in view["sections"]] == ["#8QQ", "Latest news"]
    assert not {one for one in used_entities(view) if one.endswith(("_war", "_war_state", "_war_end", "_war_start"))}


@pytest.mark.parametrize(
    ("heading", "key", "states"),
    [
        ("Clan war league", "cwl", ["preparation", "in_war", "ended"]),
        ("Raid weekend", "raid", "ongoing"),
        ("Clan games", "clan_games", ["ongoing", "ended"]),
    ],
)
def test_section_of_a_part_is_visible_only_during_a_league_or_weekend(heading: str, key: str, states: Any) -> None:
    view = dashboard("home", CLANS, [])["views"][0]
    (section,) = (one for one in view["sections"] if one["cards"][0]["heading"] == heading)
    state = f"sensor.clan_2pp_{key}_state"
    assert section["visibility"] == [{"condition": "state", "entity": state, "state": states}]
    others = [one for one in view["sections"] if one is not section]
    assert {one for one in used_entities(others) if f"_{key}" in one} == {f"event.clan_2pp_{key}"}
    badges = [one for one in view["badges"] if f"_{key}_" in one["entity"]]
    assert badges
    assert {one["visibility"][0]["entity"] for one in badges} == {state}


def test_table_is_visible_only_with_standings() -> None:
    view = dashboard("home", CLANS, [])["views"][0]
    (table,) = (card for section in view["sections"] for card in section["cards"] if card.get("title") == "Table")
    assert table["visibility"] == [
        {
            "condition": "state",
            "entity": "sensor.clan_2pp_cwl_position",
            "state_not": ["unknown", "unavailable"],
        }
    ]


def test_dashboard_uses_only_built_in_cards() -> None:
    assert {card["type"] for card in cards(dashboard("home", CLANS, PLAYERS))} == CARDS


def test_no_card_shows_an_event_type_or_an_enum_as_it_is() -> None:
    raw = (
        "activity",
        "war",
        "api_events",
        "war_state",
        "war_status",
        "cwl_state",
        "raid_state",
        "war_preference",
        "role",
        "api_status",
    )
    shown = {
        card["entity"]
        for card in cards(dashboard("home", CLANS, PLAYERS))
        if "entity" in card and "label" not in card.get("state_content", [])
    }
    assert not [one for one in shown if one.endswith(tuple(f"_{key}" for key in raw))]


def test_each_state_with_a_label_is_shown_as_its_label() -> None:
    components = {
        component["default_entity_id"]: component
        for message in (builders.bridge(), builders.clan(), builders.cwl(), builders.raid(), builders.player())
        for component in builders.decode(message)["components"].values()
        if "default_entity_id" in component
    }
    for card in cards(dashboard("home", CLANS[:1], PLAYERS[:1])):
        if "state_content" in card:
            assert "'label'" in components[card["entity"]]["json_attributes_template"]


@pytest.mark.parametrize("code", CODES)
def test_dashboard_is_translated_but_has_the_same_entities(code: str) -> None:
    english, translated = (dashboard("home", CLANS, PLAYERS, language=language_of(one)) for one in ("en", code))
    assert used_entities(translated) == used_entities(english)
    assert [view["path"] for view in translated["views"]] == [view["path"] for view in english["views"]]
    names = [card.get("name", card.get("heading")) for card in cards(translated)]
    assert (names == [card.get("name", card.get("heading")) for card in cards(english)]) is (code == "en")
