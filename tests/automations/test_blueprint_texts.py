"""The texts that blueprints compose themselves, in each language that they offer."""

from __future__ import annotations

from ast import literal_eval
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.record import EventRecord
from tests.automations.test_blueprints import FILES, load

Json = dict[str, Any]

NOW = datetime(2026, 11, 30, 20, tzinfo=UTC)
MEMBERS = [{"name": "Bram", "attacks_left": 2}, {"name": "Juna Fuse", "attacks_left": 1}]
LEFT = [{"name": "Anna", "left": 2}, {"name": "Bob", "left": 1}]
DONORS = [{"name": "Bram", "donations": 1200}, {"name": "J", "donations": 34}, {"name": "Ash", "donations": 5}]
MISSED = [
    {"time": datetime(2026, 11, 29, 19, 5, tzinfo=UTC), "text": "Bram joined Raven Watch"},
    {"time": datetime(2026, 11, 30, 19, 5, tzinfo=UTC), "text": "Ash left Raven Watch"},
]
WAR = {"clan": "Raven Watch", "opponent": "Frost Watch"}
RAID = {"clan": "Raven Watch", "opponent": "", "kind": "raid"}
REMINDED = {"event": {"id": "…"}, "members": LEFT, "not_started": [], "attacks_left": 3, "max_points": 0, "top": 30}
DENIED = {"happening": "api_denied", "address": "203.0.113.7", "event": {"summary": "…"}}

REFUSED_ENGLISH = (
    "The Clash of Clans API refuses the token, because it does not allow your current address, 203.0.113.7. Create a"
    " key for this address at https://developer.clashofclans.com, enter its token in coc2mqtt's configuration, and"
    " restart coc2mqtt."
)
REFUSED_GERMAN = (
    "Die API von Clash of Clans lehnt den Token ab, weil er deine jetzige Adresse 203.0.113.7 nicht erlaubt. Erstelle"
    " auf https://developer.clashofclans.com einen Schlüssel für diese Adresse, trage seinen Token in die Konfiguration"
    " von coc2mqtt ein und starte coc2mqtt neu."
)

TEXTS: list[tuple[str, Json, str, str]] = [
    (
        "war_starting",
        {**WAR, "minutes_left": 15},
        "Raven Watch's war against Frost Watch starts in 15 minutes",
        "Der Krieg von Raven Watch gegen Frost Watch beginnt in 15 Minuten",
    ),
    (
        "war_starting",
        {**WAR, "opponent": "", "minutes_left": 60},
        "Raven Watch's war starts in 1 hour",
        "Der Krieg von Raven Watch beginnt in 1 Stunde",
    ),
    (
        "war_ending",
        {**WAR, "minutes_left": 90, "attacks_left": 3, "members": MEMBERS},
        "Raven Watch's war against Frost Watch ends in 1.5 hours with 3 attacks left: Bram (2), Juna Fuse",
        "Der Krieg von Raven Watch gegen Frost Watch endet in 1,5 Stunden; noch 3 Angriffe offen: Bram (2), Juna Fuse",
    ),
    (
        "war_ending",
        {**WAR, "minutes_left": 1, "attacks_left": 1, "members": []},
        "Raven Watch's war against Frost Watch ends in 1 minute with 1 attack left",
        "Der Krieg von Raven Watch gegen Frost Watch endet in 1 Minute; noch 1 Angriff offen",
    ),
    (
        "war_ending",
        {**WAR, "kind": "cwl", "minutes_left": 120, "attacks_left": 1, "members": MEMBERS[1:]},
        "Raven Watch's league round against Frost Watch ends in 2 hours with 1 attack left: Juna Fuse",
        "Die Ligarunde von Raven Watch gegen Frost Watch endet in 2 Stunden; noch 1 Angriff offen: Juna Fuse",
    ),
    (
        "war_ending",
        {**RAID, "minutes_left": 240, "attacks_left": 2, "members": MEMBERS[:1], "not_started": ["Ash"]},
        "Raven Watch's raid weekend ends in 4 hours with 2 attacks left: Bram (2); not started: Ash",
        "Das Raid-Wochenende von Raven Watch endet in 4 Stunden; noch 2 Angriffe offen: Bram (2); ohne Angriff: Ash",
    ),
    (
        "my_attacks_left",
        {**WAR, "kind": "cwl", "player": "Ash", "minutes_left": 60, "attacks_left": 1},
        "You have 1 attack left with Ash. The league round against Frost Watch ends in 1 hour.",
        "Du hast mit Ash noch 1 Angriff. Die Ligarunde gegen Frost Watch endet in 1 Stunde.",
    ),
    (
        "my_attacks_left",
        {**RAID, "player": "Ash", "minutes_left": 60, "attacks_left": 5},
        "You have 5 attacks left with Ash. The raid weekend ends in 1 hour.",
        "Du hast mit Ash noch 5 Angriffe. Das Raid-Wochenende endet in 1 Stunde.",
    ),
    (
        "raid_ended",
        {"event": {"summary": "…"}, "not_started": ["Ash", "Ember"], "members": MEMBERS},
        "…. Did not attack: Ash, Ember. Attacks left: Bram (2), Juna Fuse (1).",
        "…. Ohne Angriff: Ash, Ember. Offene Angriffe: Bram (2), Juna Fuse (1).",
    ),
    (
        "raid_ended",
        {"event": {}, "not_started": [], "members": []},
        "Test: a raid weekend has ended.",
        "Test: Ein Raid-Wochenende ist zu Ende.",
    ),
    (
        "my_attacks_left",
        {**WAR, "player": "Ash", "minutes_left": 120, "attacks_left": 2},
        "You have 2 attacks left with Ash. The war against Frost Watch ends in 2 hours.",
        "Du hast mit Ash noch 2 Angriffe. Der Krieg gegen Frost Watch endet in 2 Stunden.",
    ),
    (
        "war_no_attacks",
        {**WAR, "minutes_passed": 180},
        "Nobody in Raven Watch has attacked Frost Watch yet. The battle started 3 hours ago.",
        "Noch niemand von Raven Watch hat Frost Watch angegriffen. Der Kampf begann vor 3 Stunden.",
    ),
    (
        "token_refused",
        DENIED,
        REFUSED_ENGLISH,
        REFUSED_GERMAN,
    ),
    ("token_refused", {**DENIED, "address": ""}, "…", "…"),
    (
        "missed_events",
        {"cause": "start", "missed": MISSED, "max_lines": 20},
        "While Home Assistant was off:\n- 2026-11-29 19:05 Bram joined Raven Watch\n- 19:05 Ash left Raven Watch",
        "Während Home Assistant aus war:\n- 2026-11-29 19:05 Bram joined Raven Watch\n- 19:05 Ash left Raven Watch",
    ),
    (
        "missed_events",
        {"cause": "manual", "missed": MISSED, "max_lines": 1},
        "In the last 24 hours:\n- 1 earlier\n- 19:05 Ash left Raven Watch",
        "In den letzten 24 Stunden:\n- 1 frühere\n- 19:05 Ash left Raven Watch",
    ),
    (
        "donations_digest",
        {**WAR, "donors": DONORS, "donations": 1239, "top": 2},
        "Raven Watch donated 1,239 troops in the last 24 hours: Bram (1,200), J (34), 1 other.",
        "Raven Watch hat in den letzten 24 Stunden 1.239 Truppen gespendet: Bram (1.200), J (34), 1 weiteres Mitglied.",
    ),
    (
        "donations_digest",
        {**WAR, "donors": [], "donations": 0, "top": 2},
        "Nobody in Raven Watch has donated troops in the last 24 hours.",
        "Niemand von Raven Watch hat in den letzten 24 Stunden Truppen gespendet.",
    ),
    (
        "member_inactive",
        {**WAR, "days": 5, "inactive": MEMBERS},
        "2 members of Raven Watch were not active for 5 days: Bram, Juna Fuse.",
        "2 Mitglieder von Raven Watch waren seit 5 Tagen nicht aktiv: Bram, Juna Fuse.",
    ),
    (
        "member_inactive",
        {**WAR, "days": 1, "inactive": MEMBERS[:1]},
        "1 member of Raven Watch was not active for 1 day: Bram.",
        "1 Mitglied von Raven Watch war seit 1 Tag nicht aktiv: Bram.",
    ),
    (
        "reminder",
        {**REMINDED, **WAR, "kind": "war", "minutes_left": 360, "count": 2},
        "Raven Watch's war against Frost Watch ends in 6 hours with 3 attacks left: Anna (2), Bob",
        "Der Krieg von Raven Watch gegen Frost Watch endet in 6 Stunden; noch 3 Angriffe offen: Anna (2), Bob",
    ),
    (
        "reminder",
        {**REMINDED, **WAR, "kind": "cwl", "minutes_left": 1, "attacks_left": 1, "members": LEFT[1:], "count": 1},
        "Raven Watch's league round against Frost Watch ends in 1 minute with 1 attack left: Bob",
        "Die Ligarunde von Raven Watch gegen Frost Watch endet in 1 Minute; noch 1 Angriff offen: Bob",
    ),
    # The event had no room for the other members, or more than wanted.
    (
        "reminder",
        {**REMINDED, **WAR, "kind": "war", "minutes_left": 60, "attacks_left": 70, "count": 40},
        "Raven Watch's war against Frost Watch ends in 1 hour with 70 attacks left: Anna (2), Bob, 38 others",
        (
            "Der Krieg von Raven Watch gegen Frost Watch endet in 1 Stunde; noch 70 Angriffe offen: Anna (2), Bob,"
            " 38 weitere Mitglieder"
        ),
    ),
    (
        "reminder",
        {**REMINDED, **WAR, "kind": "war", "minutes_left": 60, "count": 2, "top": 1},
        "Raven Watch's war against Frost Watch ends in 1 hour with 3 attacks left: Anna (2), 1 other",
        (
            "Der Krieg von Raven Watch gegen Frost Watch endet in 1 Stunde; noch 3 Angriffe offen: Anna (2),"
            " 1 weiteres Mitglied"
        ),
    ),
    (
        "reminder",
        {**REMINDED, **WAR, "kind": "war", "minutes_left": 60, "count": 2, "top": 0},
        "Raven Watch's war against Frost Watch ends in 1 hour with 3 attacks left",
        "Der Krieg von Raven Watch gegen Frost Watch endet in 1 Stunde; noch 3 Angriffe offen",
    ),
    (
        "reminder",
        {**REMINDED, **RAID, "minutes_left": 61, "members": LEFT[1:], "not_started": ["Ash", "Ember"], "count": 3},
        "Raven Watch's raid weekend ends in 61 minutes; 3 members have attacks left: Bob; not started: Ash, Ember",
        (
            "Das Raid-Wochenende von Raven Watch endet in 61 Minuten; 3 Mitglieder haben noch Angriffe: Bob;"
            " ohne Angriff: Ash, Ember"
        ),
    ),
    (
        "reminder",
        {**REMINDED, **RAID, "minutes_left": 91, "members": [], "not_started": ["Ash"] * 30, "count": 50, "top": 1},
        "Raven Watch's raid weekend ends in 2 hours; 50 members have attacks left; not started: Ash, 49 others",
        (
            "Das Raid-Wochenende von Raven Watch endet in 2 Stunden; 50 Mitglieder haben noch Angriffe; ohne Angriff:"
            " Ash, 49 weitere Mitglieder"
        ),
    ),
    (
        "reminder",
        {**REMINDED, **RAID, "kind": "games", "minutes_left": 2880, "count": 2, "max_points": 4000},
        "Raven Watch's clan games end in 48 hours; 2 members have fewer than 4,000 points: Anna (2), Bob (1)",
        (
            "Die Clan-Spiele von Raven Watch enden in 48 Stunden; 2 Mitglieder haben weniger als 4.000 Punkte:"
            " Anna (2), Bob (1)"
        ),
    ),
    (
        "reminder",
        {**REMINDED, **RAID, "event": {}, "kind": "war", "minutes_left": 0, "members": [], "count": 0},
        "Test: a reminder",
        "Test: eine Erinnerung",
    ),
    (
        "donations_summary",
        {**WAR, "donors": DONORS, "today": 1239, "week": 9876, "top": 2},
        "Raven Watch donated 1,239 troops today and 9,876 this week: Bram (1,200), J (34), 1 other.",
        "Raven Watch hat heute 1.239 Truppen gespendet, diese Woche 9.876: Bram (1.200), J (34), 1 weiteres Mitglied.",
    ),
    (
        "donations_summary",
        {**WAR, "donors": [], "today": 0, "week": 1, "top": 5},
        "Raven Watch donated 0 troops today and 1 this week.",
        "Raven Watch hat heute 0 Truppen gespendet, diese Woche 1.",
    ),
    (
        "inactive_members",
        {**WAR, "event": {}, "inactive": MEMBERS},
        "2 members of Raven Watch are inactive: Bram, Juna Fuse.",
        "2 Mitglieder von Raven Watch sind inaktiv: Bram, Juna Fuse.",
    ),
    ("inactive_members", {**WAR, "event": {"summary": "…"}, "inactive": MEMBERS[:1]}, "…", "…"),
]


def summary_template(blueprint: Json) -> tuple[str, str]:
    """Return the templates of ``time`` and of ``summary``: the last ones, which replace the first."""
    variables = blueprint["variables"]
    actions = blueprint["actions"]
    steps = [step["variables"] for step in actions if "variables" in step] if isinstance(actions, list) else []
    summaries = [one["summary"] for one in (variables, *steps) if "summary" in one]
    return variables.get("time", ""), summaries[-1]


def render(template: str, variables: Json) -> str:
    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    environment.globals["now"] = lambda: NOW
    environment.filters["as_datetime"] = lambda value: value
    environment.filters["as_local"] = lambda value: value
    return environment.from_string(template).render(variables).strip()


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(("name", "variables", "english", "german"), TEXTS)
def test_text_of_a_blueprint(name: str, variables: Json, english: str, german: str, language: str) -> None:
    blueprint = load(next(path for path in FILES if path.stem == name))
    time, summary = summary_template(blueprint)
    given = {"language": language, **variables}
    text = render(summary, {**given, "time": render(time, given)} if time else given)
    assert text == (english if language == "en" else german)


def test_each_blueprint_that_composes_a_text_offers_the_languages() -> None:
    offering = {path.stem for path in FILES if "language" in load(path)["blueprint"]["input"]}
    assert offering == {name for name, *_ in TEXTS}


@pytest.mark.parametrize(
    ("event_type", "metadata", "who"),
    [
        (EventType.WAR_REMINDER, {"attacks_left": 100, "opponent_name": "Frost Watch"}, "members_attacks_left"),
        (EventType.RAID_REMINDER, {"attacks_left": 0, "members_attacks_left": []}, "members_not_started"),
        (EventType.CLAN_GAMES_REMINDER, {"total": 0, "max_points": 4000}, "members_below"),
    ],
)
def test_reminder_of_a_large_clan_counts_the_members_for_whom_the_event_has_no_room(
    event_type: EventType, metadata: Json, who: str
) -> None:
    """Home Assistant evaluates each variable with those before it."""
    entry = {"town_hall": 16, "attacks_left": 2} if "war" in event_type else {}
    members = [{"tag": f"#2PPPPP{number:02}", "name": f"Member {number}", **entry} for number in range(50)]
    if "games" in event_type:
        members = [{**one, "points": 0, "partial": False} for one in members]
    event = Event(
        event_type, "#2PP", name="Raven Watch", metadata={**metadata, "members": 50, "minutes_left": 60, who: members}
    )
    record = EventRecord.of(event)
    assert 10 < len(record.metadata[who]) < 50
    published = {"event_type": event_type.value, "tag": "#2PP", "name": record.name, "metadata": record.metadata}
    trigger = {"payload_json": orjson.loads(orjson.dumps(published))}
    values: Json = {"trigger": trigger}
    blueprint = load(next(path for path in FILES if path.stem == "reminder"))
    inputs = {name: one.get("default") for name, one in blueprint["blueprint"]["input"].items()}
    for name, template in blueprint["variables"].items():
        values[name] = inputs[template] if template in inputs else render(template, values)
        with suppress(SyntaxError, ValueError):
            values[name] = literal_eval(values[name])
    named = values["summary"].count("Member ")
    assert named == min(30, len(record.metadata[who]))
    assert values["summary"].endswith(f", {50 - named} others")
