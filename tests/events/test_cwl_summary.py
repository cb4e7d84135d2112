from __future__ import annotations

from typing import Any

import pytest

from coc2mqtt.events.event import EventType
from tests.support.summaries import summaries

ROUND = {"season": "2026-10-01", "round": 3, "war_id": "#2P2", "opponent_tag": "#8QQ", "opponent_name": "Night Watch"}
UNKNOWN = {"season": None, "round": 3, "war_id": None, "opponent_tag": None, "opponent_name": None}
EQUAL = "gleichen Sternen mit 91,5 % zu 80 % Zerstörung"
ANN, BEN = ({"tag": tag, "name": name, "town_hall": 15} for tag, name in (("#2PA", "Ann"), ("#2PB", "Ben")))


def score(result: str, stars: int | None, other: int | None) -> dict[str, Any]:
    return {
        **ROUND,
        "result": result,
        "stars": stars,
        "opponent_stars": other,
        "destruction": 91.5,
        "opponent_destruction": 80.0,
    }


def end(**fields: Any) -> dict[str, Any]:
    return {"season": None, "position": None, "clans": 8, "stars": 57, "complete": True, **fields}


def league(direction: str | None, **fields: Any) -> dict[str, Any]:
    return {"old_name": "Gold League I", "new_name": "Crystal League III", "direction": direction, **fields}


@pytest.mark.parametrize(
    ("event_type", "metadata", "english", "german"),
    [
        (
            EventType.CWL_STARTED,
            {"league_name": "Gold League I"},
            "The Order started its clan war league in Gold League I",
            "The Order ist in die Clankriegsliga gestartet: Gold League I",
        ),
        (
            EventType.CWL_STARTED,
            {"league_name": None},
            "The Order started its clan war league",
            "The Order ist in die Clankriegsliga gestartet",
        ),
        (
            EventType.CWL_ROUND_NEW,
            ROUND,
            "The Order faces Night Watch in league round 3",
            "The Order trifft in Runde 3 der Clankriegsliga auf Night Watch",
        ),
        (
            EventType.CWL_ROUND_NEW,
            UNKNOWN,
            "The Order faces an unknown clan in league round 3",
            "The Order trifft in Runde 3 der Clankriegsliga auf einen unbekannten Clan",
        ),
        (
            EventType.CWL_ROUND_STATE_CHANGED,
            {**ROUND, "war_state_to": "inWar"},
            "Battle day against Night Watch in league round 3 has started for The Order",
            "Für The Order hat in Runde 3 der Clankriegsliga der Kampftag gegen Night Watch begonnen",
        ),
        (
            EventType.CWL_ROUND_STATE_CHANGED,
            {**ROUND, "war_state_to": "warEnded"},
            "Battle day against Night Watch in league round 3 is over for The Order",
            "Für The Order ist in Runde 3 der Clankriegsliga der Kampftag gegen Night Watch vorbei",
        ),
        (
            EventType.CWL_LINEUP_CHANGED,
            {**ROUND, "side": "clan", "added": [ANN], "removed": [BEN]},
            "The Order replaced Ben with Ann in the line-up of league round 3",
            "The Order hat in der Aufstellung für Runde 3 der Clankriegsliga Ben durch Ann ersetzt",
        ),
        (
            EventType.CWL_LINEUP_CHANGED,
            {**ROUND, "side": "opponent", "added": [ANN, BEN], "removed": []},
            "Night Watch added Ann and Ben to the line-up of league round 3",
            "Night Watch hat Ann und Ben in die Aufstellung für Runde 3 der Clankriegsliga aufgenommen",
        ),
        (
            EventType.CWL_LINEUP_CHANGED,
            {**ROUND, "side": "clan", "added": [], "removed": [BEN]},
            "The Order removed Ben from the line-up of league round 3",
            "The Order hat Ben aus der Aufstellung für Runde 3 der Clankriegsliga genommen",
        ),
        (
            EventType.CWL_ROUND_ENDED,
            score("win", 40, 38),
            "The Order won league round 3 against Night Watch by 40 stars to 38",
            "The Order hat Runde 3 der Clankriegsliga gegen Night Watch mit 40 zu 38 Sternen gewonnen",
        ),
        (
            EventType.CWL_ROUND_ENDED,
            score("lose", 1, 38),
            "The Order lost league round 3 against Night Watch by 1 star to 38",
            "The Order hat Runde 3 der Clankriegsliga gegen Night Watch mit 1 zu 38 Sternen verloren",
        ),
        (
            EventType.CWL_ROUND_ENDED,
            score("win", 40, 40),
            "The Order won league round 3 against Night Watch on destruction, 91.5% to 80%",
            f"The Order hat Runde 3 der Clankriegsliga gegen Night Watch bei {EQUAL} gewonnen",
        ),
        (
            EventType.CWL_ROUND_ENDED,
            score("lose", 40, 40),
            "The Order lost league round 3 against Night Watch on destruction, 91.5% to 80%",
            f"The Order hat Runde 3 der Clankriegsliga gegen Night Watch bei {EQUAL} verloren",
        ),
        (
            EventType.CWL_ROUND_ENDED,
            score("tie", 40, 40),
            "League round 3 of The Order against Night Watch ended in a tie, 40 stars each",
            "Runde 3 der Clankriegsliga von The Order gegen Night Watch endete unentschieden mit je 40 Sternen",
        ),
        (
            EventType.CWL_ROUND_ENDED,
            score("unknown", None, None),
            "League round 3 of The Order against Night Watch is over, but its result is unknown",
            "Runde 3 der Clankriegsliga von The Order gegen Night Watch ist vorbei, aber das Ergebnis ist unbekannt",
        ),
        (
            EventType.CWL_ENDED,
            end(position=2),
            "The Order finished its clan war league in position 2 of 8 with 57 stars",
            "The Order hat die Clankriegsliga mit 57 Sternen auf Platz 2 von 8 abgeschlossen",
        ),
        (
            EventType.CWL_ENDED,
            end(stars=1),
            "The Order finished its clan war league with 1 star",
            "The Order hat die Clankriegsliga mit 1 Stern abgeschlossen",
        ),
        (
            EventType.CWL_ENDED,
            end(complete=False),
            "The clan war league of The Order is over with at least 57 stars",
            "Die Clankriegsliga ist für The Order mit mindestens 57 Sternen vorbei",
        ),
        (
            EventType.CLAN_WAR_LEAGUE_CHANGED,
            league("promoted"),
            "The Order was promoted from Gold League I to Crystal League III in the clan war leagues",
            "The Order ist in den Clankriegsligen von Gold League I in Crystal League III aufgestiegen",
        ),
        (
            EventType.CLAN_WAR_LEAGUE_CHANGED,
            league("demoted"),
            "The Order was demoted from Gold League I to Crystal League III in the clan war leagues",
            "The Order ist in den Clankriegsligen von Gold League I in Crystal League III abgestiegen",
        ),
        (
            EventType.CLAN_WAR_LEAGUE_CHANGED,
            league("seeded"),
            "The Order was placed in Crystal League III in the clan war leagues",
            "The Order wurde in den Clankriegsligen in Crystal League III eingestuft",
        ),
        (
            EventType.CLAN_WAR_LEAGUE_CHANGED,
            league(None, new_name=None),
            "The Order moved from Gold League I to an unknown league in the clan war leagues",
            "The Order ist in den Clankriegsligen von Gold League I in unbekannt gewechselt",
        ),
    ],
)
def test_event_of_a_league_is_a_sentence(
    event_type: EventType, metadata: dict[str, Any], english: str, german: str
) -> None:
    assert summaries(event_type.value, metadata) == (english, german)
