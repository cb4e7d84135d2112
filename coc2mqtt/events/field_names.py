"""The names of the API's fields and of their values, for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coc2mqtt.translations import message

if TYPE_CHECKING:
    from coc2mqtt.translations import Language

# Other fields have the name that splitting the key results in: ``war plan`` for ``warPlan``.
_NAMES = {
    "achievements": message("achievement progress"),
    "attackWins": message("attack wins"),
    "badgeUrls": message("badge"),
    "bestBuilderBaseTrophies": message("builder base trophy record"),
    "bestTrophies": message("trophy record"),
    "builderBaseLeague": message("builder base league"),
    "builderBaseTrophies": message("builder base trophies"),
    "builderHallLevel": message("builder hall"),
    "capitalHallLevel": message("capital hall"),
    "capitalLeague": message("capital league"),
    "chatLanguage": message("chat language"),
    "clan": message("clan"),
    "clanBuilderBasePoints": message("builder base points"),
    "clanCapital": message("clan capital"),
    "clanCapitalContributions": message("capital contributions"),
    "clanCapitalPoints": message("capital points"),
    "clanLevel": message("clan level"),
    "clanPoints": message("clan points"),
    "currentLeagueGroupTag": message("league group"),
    "currentLeagueSeasonId": message("league season"),
    "defenseWins": message("defense wins"),
    "description": message("description"),
    "districts": message("capital districts"),
    "donations": message("donated troops"),
    "donationsReceived": message("received troops"),
    "expLevel": message("experience level"),
    "isFamilyFriendly": message("family-friendly"),
    "isWarLogPublic": message("war log"),
    "labels": message("labels"),
    "league": message("league"),
    "leagueTier": message("league"),
    "legendStatistics": message("legend league statistics"),
    "location": message("location"),
    "memberList": message("members"),
    "members": message("number of members"),
    "name": message("name"),
    "playerHouse": message("player house"),
    "previousLeagueGroupTag": message("previous league group"),
    "previousLeagueSeasonId": message("previous league season"),
    "requiredBuilderBaseTrophies": message("required builder base trophies"),
    "requiredTownhallLevel": message("required town hall level"),
    "requiredTrophies": message("required trophies"),
    "role": message("role"),
    "townHallLevel": message("town hall"),
    "townHallWeaponLevel": message("town hall weapon"),
    "trophies": message("trophies"),
    "type": message("clan type"),
    "warFrequency": message("war frequency"),
    "warLeague": message("war league"),
    "warLosses": message("war losses"),
    "warPreference": message("war preference"),
    "warStars": message("war stars"),
    "warTies": message("war ties"),
    "warWinStreak": message("war win streak"),
    "warWins": message("war wins"),
}
# The names of values that are keys of the API.
_VALUES: dict[str, dict[object, str]] = {
    # The game calls the role `admin` Elder.
    "role": {
        "member": message("member"),
        "admin": message("elder"),
        "coLeader": message("co-leader"),
        "leader": message("leader"),
    },
    "type": {
        "open": message("open"),
        "inviteOnly": message("invite only"),
        "closed": message("closed"),
    },
    "warFrequency": {
        "unknown": message("not set"),
        "any": message("any"),
        "always": message("always"),
        "moreThanOncePerWeek": message("more than once a week"),
        "oncePerWeek": message("once a week"),
        "lessThanOncePerWeek": message("less than once a week"),
        "never": message("never"),
    },
    "warPreference": {"in": message("in"), "out": message("out")},
    "isWarLogPublic": {True: message("public"), False: message("private")},
}
_YES_OR_NO = {True: message("yes"), False: message("no")}
# Keys inside an object that identify, name or depict it: the path then has the name of the object.
_PARTS_OF_OBJECTS = frozenset(
    {
        *("countryCode", "elements", "iconUrls", "id", "isCountry", "languageCode", "name"),
        *("tiny", "small", "medium", "large"),
    }
)
# Texts that mean nothing to people, or are too long to be shown.
_WITHOUT_VALUES = frozenset(
    {
        *("currentLeagueGroupTag", "previousLeagueGroupTag", "currentLeagueSeasonId", "previousLeagueSeasonId"),
        "description",
    }
)
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def object_field(path: str) -> str:
    """Return the key that gives a path its name: ``clanPoints`` for itself, ``warLeague`` for ``warLeague.name``."""
    field = path
    for part in path.split("."):
        if part not in _PARTS_OF_OBJECTS:
            field = part
    return field


def field_name(field: str, language: Language) -> str:
    """Return the name of a field: ``clan points`` for ``clanPoints``."""
    known = _NAMES.get(field)
    return _split_words(field) if known is None else language.text(known)


def role_name(role: object, language: Language) -> str:
    """Return the name of a member's role."""
    return value_text("role", role, language) or str(role)


def value_text(path: str, value: object, language: Language) -> str | None:  # noqa: PLR0911 - one return for each type
    """Return a value as text, empty if there is none; None if it means nothing to people, such as an ID or a list."""
    field, last = object_field(path), path.rpartition(".")[2]
    if field in _WITHOUT_VALUES or (last in _PARTS_OF_OBJECTS and last != "name"):
        return None
    if value is None:
        return ""
    if isinstance(value, bool):
        words = _VALUES.get(field, {})
        return language.text(words[value] if value in words else _YES_OR_NO[value])
    if isinstance(value, int | float):
        return language.number(value)
    if isinstance(value, dict):
        value = value.get("name")
    if not isinstance(value, str):
        return None
    known = _VALUES.get(field)
    if known is None:
        return value
    return language.text(known[value]) if value in known else _split_words(value)


def _split_words(key: str) -> str:
    """Return the words of a key in camel case: ``clan points`` for ``clanPoints``."""
    return _WORD_START.sub(" ", key).lower()
