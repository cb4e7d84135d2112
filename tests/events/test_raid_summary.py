"""The summaries of raid weekends and of the clan capital in every language."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.summaries import summaries

RAID = {"defender_tag": "#8QQ", "defender_name": "The Others"}
DISTRICT = {**RAID, "district_name": "Wizard Valley"}
ATTACK = {**DISTRICT, "attacker_name": "Ann", "destruction": 67, "finished": False}
UNKNOWN = {"defender_tag": None, "defender_name": None}
CAPITAL = {"old_name": "Bronze League I", "new_name": "Silver League III", "direction": "promoted"}


@pytest.mark.parametrize(
    ("event_type", "metadata", "english", "german"),
    [
        (
            "raid_started",
            {},
            "The raid weekend of The Order has started",
            "Das Raid-Wochenende von The Order hat begonnen",
        ),
        (
            "raid_opponent_new",
            RAID,
            "The Order started to raid The Others",
            "The Order hat einen Raid gegen The Others begonnen",
        ),
        (
            "raid_opponent_new",
            UNKNOWN,
            "The Order started to raid an unknown clan",
            "The Order hat einen Raid gegen einen unbekannten Clan begonnen",
        ),
        (
            "raid_attack_new",
            ATTACK,
            "Ann attacked Wizard Valley of The Others: 67%",
            "Ann hat Wizard Valley im Raid gegen The Others angegriffen: 67 %",
        ),
        (
            "raid_attack_new",
            {**ATTACK, "destruction": 100, "finished": True},
            "Ann destroyed Wizard Valley of The Others",
            "Ann hat Wizard Valley im Raid gegen The Others zerstört",
        ),
        (
            "raid_attack_new",
            {**UNKNOWN, "district_name": None, "destruction": 5, "finished": False},
            "The Order attacked a district of an unknown clan: 5%",
            "The Order hat einen Bezirk im Raid gegen einen unbekannten Clan angegriffen: 5 %",
        ),
        (
            "raid_district_destroyed",
            {**DISTRICT, "attacks": 1},
            "The Order destroyed Wizard Valley of The Others with 1 attack",
            "The Order hat Wizard Valley im Raid gegen The Others mit 1 Angriff zerstört",
        ),
        (
            "raid_district_destroyed",
            {**DISTRICT, "attacks": 3},
            "The Order destroyed Wizard Valley of The Others with 3 attacks",
            "The Order hat Wizard Valley im Raid gegen The Others mit 3 Angriffen zerstört",
        ),
        (
            "raid_district_destroyed",
            {**DISTRICT, "attacks": None},
            "The Order destroyed Wizard Valley of The Others",
            "The Order hat Wizard Valley im Raid gegen The Others zerstört",
        ),
        (
            "raid_clan_destroyed",
            {**RAID, "attacks": 26},
            "The Order completed the raid on The Others with 26 attacks",
            "The Order hat den Raid gegen The Others mit 26 Angriffen abgeschlossen",
        ),
        (
            "raid_clan_destroyed",
            {**RAID, "attacks": None},
            "The Order completed the raid on The Others",
            "The Order hat den Raid gegen The Others abgeschlossen",
        ),
        (
            "raid_defense_ended",
            {"attacker_name": "The Others", "attacks": 31},
            "The Others completed a raid on The Order with 31 attacks",
            "The Others hat einen Raid gegen The Order mit 31 Angriffen abgeschlossen",
        ),
        (
            "raid_defense_ended",
            {"attacker_name": None, "attacker_tag": None, "attacks": None},
            "Another clan completed a raid on The Order",
            "Ein anderer Clan hat einen Raid gegen The Order abgeschlossen",
        ),
        (
            "raid_ended",
            {"loot": 572136, "max_medals": 999},
            "The raid weekend of The Order is over: 572,136 capital gold looted, up to 999 raid medals",
            "Das Raid-Wochenende von The Order ist vorbei: 572.136 Hauptstadtgold erbeutet, bis zu 999 Raid-Medaillen",
        ),
        (
            "raid_ended",
            {"loot": 12000, "max_medals": None},
            "The raid weekend of The Order is over: 12,000 capital gold looted",
            "Das Raid-Wochenende von The Order ist vorbei: 12.000 Hauptstadtgold erbeutet",
        ),
        (
            "raid_ended",
            {"loot": None},
            "The raid weekend of The Order is over",
            "Das Raid-Wochenende von The Order ist vorbei",
        ),
        ("clan_level_up", {"new_value": 20}, "The Order reached level 20", "The Order hat Level 20 erreicht"),
        (
            "capital_hall_upgraded",
            {"new_value": 10},
            "The Order upgraded the capital hall to level 10",
            "The Order hat die Halle der Clanstadt auf Level 10 verbessert",
        ),
        (
            "clan_capital_league_changed",
            CAPITAL,
            "The capital of The Order was promoted from Bronze League I to Silver League III",
            "Die Clanstadt von The Order ist von Bronze League I in Silver League III aufgestiegen",
        ),
        (
            "clan_capital_league_changed",
            {**CAPITAL, "direction": "demoted"},
            "The capital of The Order was demoted from Bronze League I to Silver League III",
            "Die Clanstadt von The Order ist von Bronze League I in Silver League III abgestiegen",
        ),
        (
            "clan_capital_league_changed",
            {**CAPITAL, "direction": None},
            "The capital of The Order moved from Bronze League I to Silver League III",
            "Die Clanstadt von The Order ist von Bronze League I in Silver League III gewechselt",
        ),
        (
            "capital_contribution",
            {"amount": 1200},
            "The Order contributed 1,200 capital gold",
            "The Order hat 1.200 Hauptstadtgold beigesteuert",
        ),
    ],
)
def test_event_has_this_summary(event_type: str, metadata: dict[str, Any], english: str, german: str) -> None:
    assert summaries(event_type, metadata) == (english, german)
