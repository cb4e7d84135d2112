"""Readable names for the fields of API objects."""

from __future__ import annotations

import re

# Only names that splitting the key does not make readable.
_NAMES = {
    "badgeUrls": "badge",
    "clanBuilderBasePoints": "builder base points",
    "clanCapitalContributions": "capital contributions",
    "clanCapitalPoints": "capital points",
    "donationsReceived": "received donations",
    "expLevel": "experience level",
    "isFamilyFriendly": "family friendly",
    "isWarLogPublic": "public war log",
    "leagueTier": "league",
    "memberList": "members",
    "members": "member count",
    "playerHouse": "clan house",
    "requiredTownhallLevel": "required town hall level",
}
# Keys inside an object that identify, name or depict it: the path then has the name of the object.
_PARTS_OF_OBJECTS = frozenset(
    {
        *("countryCode", "elements", "iconUrls", "id", "isCountry", "languageCode", "name"),
        *("tiny", "small", "medium", "large"),
    }
)
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def split_words(key: str) -> str:
    """Return the words of a key in camel case: ``clan points`` for ``clanPoints``."""
    return _WORD_START.sub(" ", key).lower()


def field_name(path: str) -> str:
    """Return a readable name: ``clan points`` for ``clanPoints``, ``war league`` for ``warLeague.name``."""
    key = path
    for part in path.split("."):
        if part not in _PARTS_OF_OBJECTS:
            key = part
    return _NAMES.get(key) or split_words(key)


def is_displayable(path: str) -> bool:
    """Return whether the value of a field means something to people, unlike an ID or a URL."""
    last = path.rpartition(".")[2]
    return last == "name" or last not in _PARTS_OF_OBJECTS
