"""The clans of the scripted API, built on request from a few generated templates."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.demo.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

MEMBERS = 50
_VARIANTS = 16
_ALPHABET = "0289PYLQGRJCUV"
_CODE_LENGTH = 5
# Placeholder for the five letters of a clan in all tags and names of a template.
_MARK = b"~~~~~"
# Larger than all numbers in a body, so these placeholders for donations are unique.
_DONATIONS = 7_000_000_000
_ATTACKS = 20


class Clans:
    """``count`` clans of 50 members, always the same; every tag is unique.

    A body has about 19 kB; with ``full`` about 50 kB, with all icons and houses, as in the real API. The version of a
    clan starts at 0. With each version the next ``width`` members donate 1 more.
    """

    def __init__(self, count: int, *, width: int = 5, full: bool = False) -> None:
        self.count = count
        self.width = width
        self._variants = [_Variant(drawn, war) for drawn, war in _draw(min(count, _VARIANTS), full=full)]

    def number(self, tag: str) -> int | None:
        """Return the number of the clan with a tag (without ``#``), or None."""
        if len(tag) != _CODE_LENGTH + 1 or tag[0] != "2":
            return None
        number = 0
        for letter in tag[1:]:
            digit = _ALPHABET.find(letter)
            if digit < 0:
                return None
            number = number * len(_ALPHABET) + digit
        return number if number < self.count else None

    def code(self, number: int) -> bytes:
        """Return the letters that all tags of a clan contain."""
        return _code(number).encode()

    def body(self, number: int, version: int) -> bytes:
        """Return a clan as JSON."""
        variant = self._variants[number % len(self._variants)]
        return variant.clan(self._steps(version)).replace(_MARK, _code(number).encode())

    def war(self, number: int) -> bytes:
        """Return a clan's war as JSON: every second clan is in a war."""
        variant = self._variants[number % len(self._variants)]
        return (variant.war if number % 2 else variant.no_war).replace(_MARK, _code(number).encode())

    def changed(self, number: int, version: int) -> list[tuple[str, int]]:
        """Return the tags of the members whose donations rose with a version, and the new values."""
        first = (version - 1) * self.width
        members = [(first + step) % MEMBERS for step in range(self.width)]
        return [(_member_tag(number, member), self._donations(number, member, version)) for member in members]

    def donations(self, number: int, version: int) -> dict[str, int]:
        """Return the donations of all members of a clan, by tag."""
        return {_member_tag(number, member): self._donations(number, member, version) for member in range(MEMBERS)}

    def _donations(self, number: int, member: int, version: int) -> int:
        variant = self._variants[number % len(self._variants)]
        return variant.donations[member] + rises(member, self._steps(version))

    def _steps(self, version: int) -> int:
        return version * self.width


def clan_tags(count: int) -> list[str]:
    """Return the first ``count`` tags, in order."""
    return [f"#2{_code(number)}" for number in range(count)]


def rises(member: int, steps: int) -> int:
    """Return how often a member's donations rose in a number of steps, one member per step."""
    return max(0, (steps - member + MEMBERS - 1) // MEMBERS)


class _Variant:
    """One generated clan, split at its members' donations."""

    def __init__(self, clan: Json, war: Json) -> None:
        own = {member["tag"]: _marked(f"8~{number}") for number, member in enumerate(clan["memberList"])}
        tags = {clan["tag"]: _marked("2~"), **own}
        tags |= {war["opponent"]["tag"]: _marked("9~")}
        tags |= {one["tag"]: _marked(f"L~{number}") for number, one in enumerate(war["opponent"]["members"])}
        self.donations: list[int] = [member["donations"] for member in clan["memberList"]]
        for number, member in enumerate(clan["memberList"]):
            member["donations"] = _DONATIONS + number
        text = _retagged(orjson.dumps(clan), tags)
        self._pieces = re.split(rb"7\d{9}", text)
        self._initial_body = self._joined(0)
        self.war = _retagged(orjson.dumps(war), tags)
        self.no_war = orjson.dumps({"state": "notInWar", "clan": _NOBODY, "opponent": _NOBODY})

    def clan(self, steps: int) -> bytes:
        return self._joined(steps) if steps else self._initial_body

    def _joined(self, steps: int) -> bytes:
        parts = [self._pieces[0]]
        for member, piece in enumerate(self._pieces[1:]):
            parts += (b"%d" % (self.donations[member] + rises(member, steps)), piece)
        return b"".join(parts)


_NOBODY = {"badgeUrls": {}, "clanLevel": 0, "attacks": 0, "stars": 0, "destructionPercentage": 0}


def _draw(count: int, *, full: bool) -> Iterator[tuple[Json, Json]]:
    # An hour of battle has passed.
    world = World(seed=7, clans=count, members=MEMBERS, now=lambda: datetime.now(UTC) - timedelta(hours=24))
    for tag in world.clan_tags:
        world.set_war_log_public(tag, public=True) if world.is_war_log_private(tag) else None
        world.declare_war(tag)
        world.start_battle(tag)
        for _ in range(_ATTACKS):
            world.attack(tag)
        clan, war = world.clan(tag), world.current_war(tag)
        if clan is None or war is None:
            raise RuntimeError(f"the demo's world shows no clan {tag}")
        clan["name"] += " ~~~~~"
        for member in () if full else clan["memberList"]:
            del member["league"], member["playerHouse"], member["leagueTier"]["iconUrls"]
        yield clan, war


def _retagged(text: bytes, tags: dict[str, bytes]) -> bytes:
    return re.sub(rb"#[0289PYLQGRJCUV]{3,}", lambda found: b"#" + tags[found[0].decode()], text)


def _marked(pattern: str) -> bytes:
    """Return a tag's letters: a first one, the placeholder of the clan, and two for a member."""
    first, _, number = pattern.partition("~")
    return first.encode() + _MARK + (_letters(int(number), 2).encode() if number else b"")


def _member_tag(number: int, member: int) -> str:
    return f"#8{_code(number)}{_letters(member, 2)}"


def _code(number: int) -> str:
    return _letters(number, _CODE_LENGTH)


def _letters(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    return "".join(reversed(letters))
