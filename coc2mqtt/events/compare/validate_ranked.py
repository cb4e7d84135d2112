"""Validate the responses about ranked battles and the gold pass, and remove malformed fields, like ``validate``."""

from __future__ import annotations

from typing import Any

from coc2mqtt.clash.errors import InvalidResponseError
from coc2mqtt.events.compare.validate import MalformedField, Shape, remove_huge_numbers

Json = dict[str, Any]

_INT, _TEXT, _LIST, _BOOL, _NUMBER = (int,), (str,), (list,), (bool,), (int, float)

_BATTLE = Shape(
    {},
    {
        **dict.fromkeys(("opponentPlayerTag", "opponentName", "battleType"), _TEXT),
        **dict.fromkeys(("stars", "trophies"), _INT),
        **dict.fromkeys(("creationTime", "battleTimestamp"), (str, int)),
        "destructionPercentage": _NUMBER,
        "attack": _BOOL,
    },
)
_PLAYER = Shape(
    {"playerTag": _TEXT},
    dict.fromkeys(("leagueTrophies", "attackWinCount", "attackLoseCount", "defenseWinCount", "defenseLoseCount"), _INT),
)
_GROUP = Shape(
    {},
    dict.fromkeys(("members", "attackLogs", "defenseLogs"), _LIST),
    nested={"members": _PLAYER, "attackLogs": _BATTLE, "defenseLogs": _BATTLE},
)
_SEASON = Shape(
    {"leagueSeasonId": _INT},
    dict.fromkeys(
        (
            *("leagueTrophies", "leagueTierId", "placement"),
            *("attackWins", "attackLosses", "defenseWins", "defenseLosses"),
        ),
        _INT,
    ),
)
_HISTORY = Shape({}, {"items": _LIST}, nested={"items": _SEASON})
_BATTLE_LOG = Shape({}, {"items": _LIST}, nested={"items": _BATTLE})
_GOLD_PASS = Shape(dict.fromkeys(("startTime", "endTime"), _TEXT))


def validate_ranked_group(data: Json) -> list[MalformedField]:
    """Remove and return the malformed fields of a league group of ranked battles."""
    return _validate(_GROUP, data)


def validate_league_history(data: Json) -> list[MalformedField]:
    """Remove and return the malformed fields of a player's league history.

    Raises InvalidResponseError without a list.
    """
    return _validate(_HISTORY, data, required="items")


def validate_battle_log(data: Json) -> list[MalformedField]:
    """Remove and return the malformed fields of a player's last battles.

    The number of battles shows whether all are listed, so a malformed one is replaced with an empty object. Raises
    InvalidResponseError without a list.
    """
    items = data.get("items")
    found: list[MalformedField] = []
    if type(items) is list:
        found = [MalformedField("items", entry) for entry in items if type(entry) is not dict]
        data["items"] = [entry if type(entry) is dict else {} for entry in items]
    return found + _validate(_BATTLE_LOG, data, required="items")


def validate_gold_pass(data: Json) -> list[MalformedField]:
    """Remove and return the malformed fields of the season of the gold pass."""
    return _validate(_GOLD_PASS, data)


def _validate(shape: Shape, data: Json, *, required: str | None = None) -> list[MalformedField]:
    found: list[MalformedField] = []
    remove_huge_numbers(data, "", found)
    shape.remove_malformed(data, "", found)
    if required is not None and required not in data:
        raise InvalidResponseError(f"the response has no list of {required}: it is ignored")
    return found
