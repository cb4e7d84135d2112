"""The summary of each event in every language."""

from __future__ import annotations

import itertools
import re

import pytest

from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.summary import summarize
from coc2mqtt.translations import CODES, language_of
from tests.support.summaries import GERMAN, KRISTEN, summaries

SITE = "https://developer.clashofclans.com"
UNIT = {"name": "Archer", "old_level": 3, "new_level": 4}


@pytest.mark.parametrize(
    ("event_type", "metadata", "english", "german"),
    [
        ("member_joined", KRISTEN, "Kristen joined The Order", "Kristen ist The Order beigetreten"),
        ("member_left", KRISTEN, "Kristen left The Order", "Kristen hat The Order verlassen"),
        (
            "member_role_changed",
            {**KRISTEN, "new_role": "admin", "direction": "promoted"},
            "Kristen of The Order was promoted to elder",
            "Kristen wurde bei The Order zum Ältesten befördert",
        ),
        (
            "member_role_changed",
            {**KRISTEN, "new_role": "coLeader", "direction": "promoted"},
            "Kristen of The Order was promoted to co-leader",
            "Kristen wurde bei The Order zum Vizeanführer befördert",
        ),
        (
            "member_role_changed",
            {**KRISTEN, "new_role": "leader", "direction": "promoted"},
            "Kristen is the new leader of The Order",
            "Kristen ist der neue Anführer von The Order",
        ),
        (
            "member_role_changed",
            {**KRISTEN, "new_role": "coLeader", "direction": "demoted"},
            "Kristen of The Order was demoted to co-leader",
            "Kristen wurde bei The Order zum Vizeanführer degradiert",
        ),
        (
            "member_role_changed",
            {**KRISTEN, "new_role": "admin", "direction": "demoted"},
            "Kristen of The Order was demoted to elder",
            "Kristen wurde bei The Order zum Ältesten degradiert",
        ),
        (
            "member_role_changed",
            {**KRISTEN, "new_role": "member", "direction": "demoted"},
            "Kristen of The Order was demoted to member",
            "Kristen wurde bei The Order zum Mitglied degradiert",
        ),
        (
            "member_role_changed",
            {**KRISTEN, "new_role": "warLord", "direction": None},
            "Kristen of The Order now has the role war lord",
            "Kristen hat bei The Order jetzt den Rang war lord",
        ),
        (
            "member_donations",
            {**KRISTEN, "donations": 1, "donationsReceived": 0},
            "Kristen of The Order donated 1 troop",
            "Kristen von The Order hat 1 Truppe gespendet",
        ),
        (
            "member_donations",
            {**KRISTEN, "donations": 30, "donationsReceived": 5},
            "Kristen of The Order donated 30 troops and received 5",
            "Kristen von The Order hat 30 Truppen gespendet und 5 erhalten",
        ),
        (
            "member_donations",
            {**KRISTEN, "donations": 0, "donationsReceived": 1200},
            "Kristen of The Order received 1,200 troops",
            "Kristen von The Order hat 1.200 Truppen erhalten",
        ),
        (
            "season_reset",
            {"season_donations": 1},
            "A new season started: The Order donated 1 troop in the last one",
            "Eine neue Saison hat begonnen: In der letzten hat The Order 1 Truppe gespendet",
        ),
        (
            "season_reset",
            {"season_donations": 9000, "top_donor_name": "Ann", "top_donations": 15},
            "A new season started: The Order donated 9,000 troops in the last one, Ann the most (15)",
            "Eine neue Saison hat begonnen: In der letzten hat The Order 9.000 Truppen gespendet, Ann die meisten (15)",
        ),
        ("troop_upgraded", UNIT, "The Order upgraded Archer to level 4", "The Order hat Archer auf Level 4 verbessert"),
        (
            "hero_upgraded",
            {**UNIT, "old_level": None},
            "The Order unlocked Archer at level 4",
            "The Order hat Archer auf Level 4 freigeschaltet",
        ),
        (
            "spell_upgraded",
            {"name": "Recall Spell", "old_level": None, "new_level": 1},
            "The Order unlocked Recall Spell",
            "The Order hat Recall Spell freigeschaltet",
        ),
        (
            "hero_equipment_changed",
            {"name": "Archer Queen", "added": ["Frozen Arrow"], "removed": ["Giant Arrow"]},
            "The Order's Archer Queen equipped Frozen Arrow and unequipped Giant Arrow",
            "Archer Queen von The Order trägt jetzt Frozen Arrow statt Giant Arrow",
        ),
        (
            "hero_equipment_changed",
            {"name": "Archer Queen", "added": ["Frozen Arrow"], "removed": []},
            "The Order's Archer Queen equipped Frozen Arrow",
            "Archer Queen von The Order trägt jetzt Frozen Arrow",
        ),
        (
            "hero_equipment_changed",
            {"name": "Archer Queen", "added": [], "removed": ["Giant Arrow", "Frozen Arrow"]},
            "The Order's Archer Queen unequipped Giant Arrow and Frozen Arrow",
            "Archer Queen von The Order trägt Giant Arrow und Frozen Arrow nicht mehr",
        ),
        (
            "townhall_upgraded",
            {"old_value": 14, "new_value": 15},
            "The Order upgraded the town hall from level 14 to 15",
            "The Order hat das Rathaus von Level 14 auf 15 verbessert",
        ),
        (
            "townhall_upgraded",
            {"old_value": None, "new_value": 15},
            "The Order upgraded the town hall to level 15",
            "The Order hat das Rathaus auf Level 15 verbessert",
        ),
        (
            "townhall_weapon_upgraded",
            {"old_value": 1, "new_value": 2},
            "The Order upgraded the town hall weapon from level 1 to 2",
            "The Order hat die Rathauswaffe von Level 1 auf 2 verbessert",
        ),
        (
            "builderhall_upgraded",
            {"old_value": 8, "new_value": 9},
            "The Order upgraded the builder hall from level 8 to 9",
            "The Order hat die Meisterhütte von Level 8 auf 9 verbessert",
        ),
        (
            "builderhall_upgraded",
            {"old_value": None, "new_value": 1},
            "The Order upgraded the builder hall to level 1",
            "The Order hat die Meisterhütte auf Level 1 verbessert",
        ),
        ("super_troop_started", UNIT, "The Order boosted Archer", "The Order hat die Supertruppe Archer aktiviert"),
        (
            "super_troop_ended",
            UNIT,
            "The Order's Archer boost ended",
            "Die Supertruppe Archer von The Order ist nicht mehr aktiv",
        ),
        ("player_name_changed", {"old_value": "A", "new_value": "B"}, "A is now called B", "A heißt jetzt B"),
        (
            "player_league_changed",
            {"old_value": "Gold", "new_value": "Crystal", "direction": "promoted"},
            "The Order was promoted from Gold to Crystal",
            "The Order ist von Gold in Crystal aufgestiegen",
        ),
        (
            "player_league_changed",
            {"old_value": "Crystal", "new_value": "Gold", "direction": "demoted"},
            "The Order was demoted from Crystal to Gold",
            "The Order ist von Crystal in Gold abgestiegen",
        ),
        (
            "player_league_changed",
            {"old_value": "Crystal", "new_value": "Gold", "direction": None},
            "The Order moved from Crystal to Gold",
            "The Order ist von Crystal in Gold gewechselt",
        ),
        (
            "player_league_changed",
            {"old_value": None, "new_value": "Gold"},
            "The Order is now in Gold",
            "The Order spielt jetzt in Gold",
        ),
        (
            "player_league_changed",
            {"old_value": "Gold", "new_value": None},
            "The Order is now unranked",
            "The Order ist jetzt ohne Liga",
        ),
        (
            "player_label_changed",
            {"new_value": ["X"]},
            "The Order now has the label X",
            "The Order hat jetzt das Label X",
        ),
        (
            "player_label_changed",
            {"new_value": ["X", "Y", "Z"]},
            "The Order now has the labels X, Y and Z",
            "The Order hat jetzt die Labels X, Y und Z",
        ),
        (
            "player_label_changed",
            {"new_value": []},
            "The Order removed all labels",
            "The Order hat keine Labels mehr",
        ),
        (
            "player_war_preference_changed",
            {"new_value": "in"},
            "The Order opted in to clan wars",
            "The Order nimmt jetzt an Clankriegen teil",
        ),
        (
            "player_war_preference_changed",
            {"new_value": "out"},
            "The Order opted out of clan wars",
            "The Order nimmt nicht mehr an Clankriegen teil",
        ),
        (
            "player_war_preference_changed",
            {"new_value": "maybe"},
            "The Order now has the war preference maybe",
            "The Order hat jetzt die Kriegsteilnahme maybe",
        ),
        (
            "player_clan_joined",
            {"clan_tag": "#8QQ", "clan_name": "The Others"},
            "The Order joined The Others",
            "The Order ist The Others beigetreten",
        ),
        (
            "player_clan_left",
            {"clan_tag": "#8QQ", "clan_name": None},
            "The Order left #8QQ",
            "The Order hat #8QQ verlassen",
        ),
        (
            "achievement_completed",
            {"name": "Gold Grab"},
            "The Order completed the achievement Gold Grab",
            "The Order hat die Errungenschaft Gold Grab abgeschlossen",
        ),
        (
            "maintenance_start",
            {},
            "Clash of Clans maintenance started",
            "Die Wartungspause von Clash of Clans hat begonnen",
        ),
        (
            "maintenance_end",
            {"duration_seconds": 7.1},
            "Clash of Clans maintenance ended after 7 seconds",
            "Die Wartungspause von Clash of Clans ist nach 7 Sekunden vorbei",
        ),
        (
            "maintenance_end",
            {"duration_seconds": 1810.2},
            "Clash of Clans maintenance ended after 30 minutes",
            "Die Wartungspause von Clash of Clans ist nach 30 Minuten vorbei",
        ),
        (
            "maintenance_end",
            {"duration_seconds": 3600 * 2},
            "Clash of Clans maintenance ended after 2 hours",
            "Die Wartungspause von Clash of Clans ist nach 2 Stunden vorbei",
        ),
        (
            "maintenance_end",
            {"duration_seconds": 3600 * 3 + 60},
            "Clash of Clans maintenance ended after 3 hours and 1 minute",
            "Die Wartungspause von Clash of Clans ist nach 3 Stunden und 1 Minute vorbei",
        ),
        (
            "api_denied",
            {"error": "wrong_address", "address": "203.0.113.7"},
            f"The Clash of Clans API rejects the token: create a key for 203.0.113.7 at {SITE}",
            f"Die API von Clash of Clans lehnt den Token ab: Erstelle auf {SITE} einen Schlüssel für 203.0.113.7",
        ),
        (
            "api_denied",
            {"error": "wrong_token", "address": None},
            f"The Clash of Clans API rejects the token: create a new key at {SITE}",
            f"Die API von Clash of Clans lehnt den Token ab: Erstelle auf {SITE} einen neuen Schlüssel",
        ),
        (
            "api_restored",
            {"duration_seconds": 600},
            "The Clash of Clans API is available again after 10 minutes",
            "Die API von Clash of Clans ist nach 10 Minuten wieder verfügbar",
        ),
        (
            "api_restored",
            {},
            "The Clash of Clans API is available again",
            "Die API von Clash of Clans ist wieder verfügbar",
        ),
        ("watch_unavailable", {}, "The Order cannot be found", "The Order wurde nicht gefunden"),
        ("watch_available", {}, "The Order was found again", "The Order wurde wieder gefunden"),
        (
            "poll_error",
            {"error": "server_error", "message": "status 502"},
            "The Order cannot be updated: the Clash of Clans API reports an error",
            "The Order kann nicht aktualisiert werden: Die API von Clash of Clans meldet einen Fehler",
        ),
        (
            "poll_error",
            {"error": "new_kind", "message": "no route"},
            "The Order cannot be updated: no route",
            "The Order kann nicht aktualisiert werden: no route",
        ),
    ],
)
def test_summary_describes_event(event_type: str, metadata: dict[str, object], english: str, german: str) -> None:
    assert summaries(event_type, metadata) == (english, german)


@pytest.mark.parametrize(
    ("error", "english", "german"),
    [
        ("unreachable", "The Clash of Clans API cannot be reached", "Die API von Clash of Clans ist nicht erreichbar"),
        ("server_error", "The Clash of Clans API is not working", "Die API von Clash of Clans funktioniert nicht"),
    ],
)
def test_summary_of_failed_api_describes_the_api(error: str, english: str, german: str) -> None:
    event = Event(EventType.POLL_ERROR, "api", metadata={"error": error, "message": "x"}, name="The API")
    assert (summarize(event), summarize(event, GERMAN)) == (english, german)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("event_type", EventType)
def test_every_event_type_has_a_sentence(event_type: EventType, code: str) -> None:
    change = Change("clanPoints", 1, 2)
    metadata: dict[str, object] = {
        "message": "no route",
        "name": "Archer",
        "new_value": "a",
        "old_value": "b",
        "added": [{"tag": "#2P2", "name": "Ann", "town_hall": 15}]
        if event_type is EventType.CWL_LINEUP_CHANGED
        else ["x"],
        "donations": 1,
        **KRISTEN,
    }
    event = Event(event_type, "#2PP", changes=(change,), metadata=metadata)
    assert summarize(event, language_of(code))


def test_name_with_braces_is_kept_in_summary() -> None:
    event = Event(EventType.MEMBER_LEFT, "#2PP", metadata={**KRISTEN, "member_name": "{subject}"}, name="{0}")
    assert EventRecord.of(event).summary == "{subject} left {0}"


ROLES = ("member", "admin", "coLeader", "leader")


@pytest.mark.parametrize("code", CODES)
def test_summary_contains_no_key_of_the_api(code: str) -> None:
    language = language_of(code)
    events = [
        Event(
            EventType.MEMBER_ROLE_CHANGED,
            "#2PP",
            metadata={**KRISTEN, "new_role": role, "direction": direction},
        )
        for role in ROLES
        for direction in ("promoted", "demoted", None)
    ]
    fields = ("warWinStreak", "bestBuilderBaseTrophies", "clanCapitalContributions", "someNewField")
    events += [Event(EventType.PLAYER_UPDATED, "#2PP", changes=(Change(field, 1, 2),)) for field in fields]
    events += [
        Event(EventType.PLAYER_UPDATED, "#2PP", changes=(Change("role", *pair),)) for pair in itertools.pairwise(ROLES)
    ]
    for event in events:
        summary = summarize(event, language)
        assert not re.search(r"[a-z][A-Z]|\badmin\b|None|_", summary), summary


def test_record_has_summary_of_given_language() -> None:
    event = Event(EventType.MEMBER_LEFT, "#2PP", metadata=KRISTEN, name="The Order")
    record = EventRecord.of(event, lambda event: summarize(event, GERMAN))
    assert record.summary == "Kristen hat The Order verlassen"
