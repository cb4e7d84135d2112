"""The texts that blueprints compose themselves, in each language that they offer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

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
        {**WAR, "event": {"id": "…"}, "kind": "war", "minutes_left": 360, "members": LEFT, "not_started": []},
        "6 hours left against Frost Watch: Anna 2, Bob 1",
        "Noch 6 Stunden gegen Frost Watch: Anna 2, Bob 1",
    ),
    (
        "reminder",
        {**RAID, "event": {"id": "…"}, "minutes_left": 60, "members": LEFT[1:], "not_started": ["Ash", "Ember"]},
        "60 minutes left in the raid weekend: Bob 1; not started: Ash, Ember",
        "Noch 60 Minuten im Raid-Wochenende: Bob 1; ohne Angriff: Ash, Ember",
    ),
    (
        "reminder",
        {**RAID, "event": {"id": "…"}, "kind": "games", "minutes_left": 2880, "members": LEFT[:1], "not_started": []},
        "48 hours left in the clan games: Anna 2",
        "Noch 48 Stunden in den Clan-Spielen: Anna 2",
    ),
    (
        "reminder",
        {**RAID, "event": {}, "kind": "war", "minutes_left": 0, "members": [], "not_started": []},
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
