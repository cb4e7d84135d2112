"""Small response bodies in the shape of the API's, for tests to vary."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

CLAN_TAG = "#2PP"
OPPONENT_TAG = "#8QQ"
PREPARATION = "20261101T080000.000Z"


def member(tag: str, **fields: Any) -> Json:
    return {
        "tag": tag,
        "name": f"Name of {tag}",
        "role": "member",
        "townHallLevel": 15,
        "leagueTier": {"id": 105000021, "name": "Golem League 21"},
        "trophies": 4000,
        "clanRank": 1,
        "donations": 100,
        "donationsReceived": 50,
        **fields,
    }


def clan(*members: Json, **fields: Any) -> Json:
    return {
        "tag": CLAN_TAG,
        "name": "The Order",
        "clanLevel": 19,
        "clanPoints": 2100,
        "warLeague": {"id": 48000012, "name": "Crystal League I"},
        "members": len(members),
        "memberList": list(members),
        **fields,
    }


def attack(attacker: str, defender: str, order: int, stars: int = 2) -> Json:
    return {
        "attackerTag": attacker,
        "defenderTag": defender,
        "stars": stars,
        "destructionPercentage": stars * 30,
        "order": order,
        "duration": 120,
    }


def war(state: str, *attacks: Json, start: str = PREPARATION, swapped: bool = False) -> Json:
    """Return a war of two against two: members #2P2 and #2P8 against #8Q2 and #8Q8."""
    sides = {}
    for side, tag, prefix in (("clan", CLAN_TAG, "#2P"), ("opponent", OPPONENT_TAG, "#8Q")):
        tags = [f"{prefix}2", f"{prefix}8"]
        members = []
        for position, own in enumerate(tags, 1):
            mine = [one for one in attacks if one["attackerTag"] == own]
            members.append(
                {
                    "tag": own,
                    "name": f"Name of {own}",
                    "townhallLevel": 15,
                    "mapPosition": position,
                    "opponentAttacks": 0,
                }
                | ({"attacks": mine} if mine else {})
            )
        own_attacks = [one for one in attacks if one["attackerTag"] in tags]
        sides[side] = {
            "tag": tag,
            "name": f"Name of {tag}",
            "clanLevel": 10,
            "attacks": len(own_attacks),
            "stars": sum(one["stars"] for one in own_attacks),
            "destructionPercentage": 10.0 * len(own_attacks),
            "members": members,
        }
    if swapped:
        sides["clan"], sides["opponent"] = sides["opponent"], sides["clan"]
    return {
        "state": state,
        "teamSize": 2,
        "attacksPerMember": 2,
        "preparationStartTime": start,
        "startTime": "20261102T070000.000Z",
        "endTime": "20261103T070000.000Z",
        **sides,
    }


def no_war() -> Json:
    side = {"badgeUrls": {}, "clanLevel": 0, "attacks": 0, "stars": 0, "destructionPercentage": 0}
    return {"state": "notInWar", "clan": side, "opponent": dict(side)}


def unit(name: str, level: int, village: str = "home") -> Json:
    return {"name": name, "level": level, "maxLevel": 20, "village": village}


def player(**fields: Any) -> Json:
    return {
        "tag": "#900PUCPV",
        "name": "Kristen",
        "townHallLevel": 15,
        "builderHallLevel": 9,
        "trophies": 4000,
        "leagueTier": {"id": 105000021, "name": "Golem League 21"},
        "labels": [{"id": 57000006, "name": "Base Designing"}],
        "troops": [unit("Barbarian", 10), unit("Baby Dragon", 5), unit("Baby Dragon", 9, "builderBase")],
        "heroes": [unit("Barbarian King", 80)],
        "heroEquipment": [unit("Giant Gauntlet", 20)],
        "spells": [unit("Lightning Spell", 8)],
        **fields,
    }
