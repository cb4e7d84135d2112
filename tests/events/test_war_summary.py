from __future__ import annotations

import pytest

from tests.support.summaries import summaries

WAR = {"opponent_name": "The Others"}
EVEN = {**WAR, "stars": 9, "opponent_stars": 9}
ATTACK = {**WAR, "attacker_name": "Ann", "defender_name": "Bob", "stars": 1, "destruction": 67, "side": "opponent"}


@pytest.mark.parametrize(
    ("event_type", "metadata", "english", "german"),
    [
        (
            "war_new",
            WAR,
            "The Order was matched against The Others",
            "The Order tritt im nächsten Clankrieg gegen The Others an",
        ),
        (
            "war_new",
            {"opponent_name": None, "opponent_tag": None},
            "The Order was matched against an unknown clan",
            "The Order tritt im nächsten Clankrieg gegen einen unbekannten Clan an",
        ),
        (
            "war_state_changed",
            {**WAR, "war_state_to": "preparation"},
            "The Order is preparing for war against The Others",
            "The Order bereitet sich auf den Clankrieg gegen The Others vor",
        ),
        (
            "war_state_changed",
            {**WAR, "war_state_to": "inWar"},
            "Battle day against The Others has started for The Order",
            "Für The Order hat der Kampftag gegen The Others begonnen",
        ),
        (
            "war_state_changed",
            {**WAR, "war_state_to": "warEnded"},
            "The war of The Order against The Others is over",
            "Der Clankrieg von The Order gegen The Others ist vorbei",
        ),
        (
            "war_state_changed",
            {**WAR, "war_state_to": "notInWar"},
            "The Order is no longer in a war",
            "The Order ist nicht mehr im Clankrieg",
        ),
        (
            "war_attack_new",
            ATTACK,
            "Ann of The Others attacked Bob: 1 star, 67%",
            "Ann von The Others hat Bob angegriffen: 1 Stern, 67 %",
        ),
        (
            "war_attack_new",
            {**ATTACK, "side": "clan", "stars": 2, "destruction": 87.50},
            "Ann of The Order attacked Bob: 2 stars, 87.5%",
            "Ann von The Order hat Bob angegriffen: 2 Sterne, 87,5 %",
        ),
        (
            "war_attack_new",
            {**ATTACK, "stars": None, "destruction": None},
            "Ann attacked Bob",
            "Ann hat Bob angegriffen",
        ),
        (
            "war_attack_new",
            {**ATTACK, "opponent_name": None, "destruction": None},
            "Ann attacked Bob: 1 star",
            "Ann hat Bob angegriffen: 1 Stern",
        ),
        (
            "war_ended",
            {**WAR, "result": "win", "stars": 30, "opponent_stars": 28},
            "The Order won the war against The Others by 30 stars to 28",
            "The Order hat den Clankrieg gegen The Others mit 30 zu 28 Sternen gewonnen",
        ),
        (
            "war_ended",
            {**WAR, "result": "lose", "stars": 1, "opponent_stars": 2},
            "The Order lost the war against The Others by 1 star to 2",
            "The Order hat den Clankrieg gegen The Others mit 1 zu 2 Sternen verloren",
        ),
        (
            "war_ended",
            {**EVEN, "result": "lose", "destruction": 60.123, "opponent_destruction": 70.0},
            "The Order lost the war against The Others on destruction, 60.12% to 70%",
            "The Order hat den Clankrieg gegen The Others bei gleichen Sternen mit 60,12 % zu 70 % Zerstörung verloren",
        ),
        (
            "war_ended",
            {**EVEN, "result": "win", "destruction": 70.5, "opponent_destruction": 70},
            "The Order won the war against The Others on destruction, 70.5% to 70%",
            "The Order hat den Clankrieg gegen The Others bei gleichen Sternen mit 70,5 % zu 70 % Zerstörung gewonnen",
        ),
        (
            "war_ended",
            {**EVEN, "result": "tie", "destruction": 60, "opponent_destruction": 60},
            "The war of The Order against The Others ended in a tie, 9 stars each",
            "Der Clankrieg von The Order gegen The Others endete unentschieden mit je 9 Sternen",
        ),
        (
            "war_ended",
            {**WAR, "result": "win"},
            "The Order won the war against The Others",
            "The Order hat den Clankrieg gegen The Others gewonnen",
        ),
        (
            "war_ended",
            {**WAR, "result": "lose"},
            "The Order lost the war against The Others",
            "The Order hat den Clankrieg gegen The Others verloren",
        ),
        (
            "war_ended",
            {**WAR, "result": "tie"},
            "The war of The Order against The Others ended in a tie",
            "Der Clankrieg von The Order gegen The Others endete unentschieden",
        ),
        (
            "war_ended",
            {**EVEN, "result": "unknown"},
            "The war of The Order against The Others is over, but its result is unknown",
            "Der Clankrieg von The Order gegen The Others ist vorbei, aber das Ergebnis ist unbekannt",
        ),
        (
            "war_ended",
            {**EVEN, "result": "cancelled"},
            "The war of The Order against The Others was cancelled before the battle",
            "Der Clankrieg von The Order gegen The Others wurde vor dem Kampftag abgesagt",
        ),
        (
            "war_log_private",
            {},
            "The war log of The Order is now private",
            "Das Kriegsprotokoll von The Order ist jetzt privat",
        ),
        (
            "war_log_public",
            {},
            "The war log of The Order is now public",
            "Das Kriegsprotokoll von The Order ist jetzt öffentlich",
        ),
    ],
)
def test_summary_describes_event_of_war(
    event_type: str, metadata: dict[str, object], english: str, german: str
) -> None:
    assert summaries(event_type, metadata) == (english, german)
