from __future__ import annotations

import pytest

from coc2mqtt.events.event import Change
from tests.support.summaries import KRISTEN, summaries

ROSE, LABELS = Change("clanPoints", 11601, 11775), Change("labels", [], [{"name": "x"}])
LEAGUE = Change("warLeague.id", 1, 2), Change("warLeague.name", "Gold League I", "Crystal League III")


@pytest.mark.parametrize(
    ("changes", "english", "german"),
    [
        ([ROSE], ": clan points rose from 11,601 to 11,775", ": Clanpunkte von 11.601 auf 11.775 gestiegen"),
        (
            [Change("attackWins", 4000, 0)],
            ": attack wins fell from 4,000 to 0",
            ": gewonnene Angriffe von 4.000 auf 0 gesunken",
        ),
        ([Change("role", "admin", "coLeader")], ": role changed from elder to co-leader", None),
        ([Change("role", None, "member")], ": role is now member", ": Rang jetzt Mitglied"),
        ([Change("role", "member", None)], ": role removed (was member)", ": Rang entfernt (vorher Mitglied)"),
        ([Change("role", None, True)], ": role is now yes", None),
        ([Change("clanCapital.type", False, True)], ": clan type changed from no to yes", None),
        (
            [Change("warFrequency", "oncePerWeek", "moreThanOncePerWeek")],
            ": war frequency changed from once a week to more than once a week",
            ": Kriegshäufigkeit von einmal pro Woche auf mehr als einmal pro Woche geändert",
        ),
        (
            [*LEAGUE],
            ": war league changed from Gold League I to Crystal League III",
            ": Kriegsliga von Gold League I auf Crystal League III geändert",
        ),
        ([LEAGUE[0]], ": war league changed", ": Kriegsliga geändert"),
        ([Change("leagueTier", {"id": 1, "name": "A"}, {"id": 2, "name": "B"})], ": league changed from A to B", None),
        ([Change("clan", {"name": "A", "clanLevel": 9}, {"name": "A", "clanLevel": 10})], ": clan changed", None),
        ([Change("aNewField", 1, None)], ": a new field removed (was 1)", ": a new field entfernt (vorher 1)"),
        ([Change("aNewText", "short", "long" * 20)], ": a new text changed", ": a new text geändert"),
        (
            [Change("badgeUrls.small", "https://a", "https://b"), Change("badgeUrls.large", "c", "d")],
            " has a new badge",
            " hat ein neues Abzeichen",
        ),
        ([Change("description", "x", "Hello")], " has a new description", " hat eine neue Beschreibung"),
        ([Change("description", "x", "")], " removed its description", " hat keine Beschreibung mehr"),
        ([LABELS], " now has the label x", " hat jetzt das Label x"),
        ([Change("labels", [1], [])], " removed all labels", " hat keine Labels mehr"),
        ([Change("labels", [], ["odd"])], ": labels changed", ": Labels geändert"),
        ([Change("isFamilyFriendly", False, True)], " is now family-friendly", " ist jetzt familienfreundlich"),
        ([Change("isFamilyFriendly", True, False)], " is no longer family-friendly", None),
        ([Change("type", "open", "closed")], " is now closed to new members", None),
        ([Change("type", "open", "inviteOnly")], " can now be joined by invitation only", None),
        ([Change("type", "open", "newKind")], ": clan type changed from open to new kind", None),
        ([Change("townHallLevel", 14, 15)], " upgraded the town hall from level 14 to 15", None),
        ([Change("townHallLevel", 15, 14)], ": town hall fell from 15 to 14", None),
        (
            [Change("achievements", [1], [2])],
            " made progress with achievements",
            " hat Fortschritte bei Errungenschaften gemacht",
        ),
        (
            [ROSE, Change("warWins", 1, 2), Change("isWarLogPublic", False, True)],
            ": clan points 11,601 → 11,775, war wins 1 → 2, war log private → public",
            ": Clanpunkte 11.601 → 11.775, Kriegssiege 1 → 2, Kriegsprotokoll privat → öffentlich",
        ),
        (
            [LABELS, Change("description", "a", "b"), ROSE],
            ": clan points 11,601 → 11,775; labels and description changed",
            ": Clanpunkte 11.601 → 11.775; Labels und Beschreibung geändert",
        ),
        (
            [Change("townHallLevel", 14, 15), Change("role", None, "admin"), Change("expLevel", 9, None)],
            ": town hall 14 → 15, role now elder, experience level removed (was 9)",
            ": Rathaus 14 → 15, Rang jetzt Ältester, Erfahrungslevel entfernt (vorher 9)",
        ),
        (
            [*(Change(field, 1, 2) for field in "abc"), LABELS],
            ": a 1 → 2, b 1 → 2, c 1 → 2; 1 more changed",
            ": a 1 → 2, b 1 → 2, c 1 → 2; 1 weiteres Feld geändert",
        ),
        (
            [Change(field, [1], [2]) for field in "abcde"],
            ": a, b, c and 2 more changed",
            ": a, b, c und 2 weitere Felder geändert",
        ),
        ([], ": something changed", ": etwas geändert"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_summary_of_update_describes_changed_fields(changes: list[Change], english: str, german: str | None) -> None:
    for event_type in ("clan_updated", "player_updated"):
        summary = summaries(event_type, {}, tuple(changes))
        assert summary == (f"The Order{english}", f"The Order{german}" if german else summary[1])
    of_member = summaries("member_updated", KRISTEN, tuple(changes))
    assert of_member[0] == f"Kristen of The Order{english}"
    assert german is None or of_member[1] == f"Kristen von The Order{german}"


def test_summary_of_renamed_clan_or_member_has_both_names() -> None:
    change = Change("name", "Old", "The Order")
    assert summaries("clan_updated", {}, (change,)) == ("Old is now called The Order", "Old heißt jetzt The Order")
    renamed = summaries("member_updated", KRISTEN, (Change("name", "Kris", "Kristen"),))
    assert renamed == ("Kris of The Order is now called Kristen", "Kris von The Order heißt jetzt Kristen")


def test_private_war_log_explains_that_the_record_is_hidden() -> None:
    hidden = Change("isWarLogPublic", True, False), Change("warLosses", 128, None), Change("warTies", 1, None)
    assert summaries("clan_updated", {}, hidden)[0] == "The war log of The Order is now private"


def test_summary_of_opened_war_log_or_clan_is_a_sentence() -> None:
    public = summaries("clan_updated", {}, (Change("isWarLogPublic", False, True),))
    assert public == (
        "The war log of The Order is now public",
        "Das Kriegsprotokoll von The Order ist jetzt öffentlich",
    )
    opened = summaries("clan_updated", {}, (Change("type", "inviteOnly", "open"),))
    assert opened == ("Anyone can join The Order now", "The Order kann jetzt jeder beitreten")
