"""Made-up names and tags, generated from a seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBE_TAG = "#JY9J2Y99"

_ALPHABET = "0289PYLQGRJCUV"
_LENGTH = 8
_COUNT = len(_ALPHABET) ** _LENGTH
# Coprime to 14, so that the sequence contains every tag of the length once.
_STRIDE = 1_061_106_467

_FIRST = (
    *("Ash", "Birk", "Cora", "Dag", "Edda", "Finn", "Greta", "Hilda", "Ivo", "Juna", "Kaspar", "Liv", "Mads", "Nell"),
    *("Oda", "Pim", "Quill", "Runa", "Sten", "Tove", "Ulf", "Vera", "Wim", "Yara", "Zeno", "Bram", "Elin", "Jorn"),
)
_SECOND = (
    *("", "", "", " the Bold", " Stonehand", " Ember", " Wallbreaker", " of Ys", "zilla", " Fuse", " Quickstep"),
    *(" Ironpot", " ⚔️", " Lightfoot", " 77", " Rook", " Thistle", " Barrel", " ★", "_x", " Grin", " Longbow"),
)
_CLAN_FIRST = ("Copper", "Frost", "Lantern", "Moss", "Northern", "Quiet", "Raven", "Salt", "Thorn", "Winter", "Amber")
_CLAN_SECOND = ("Anvil", "Banner", "Company", "Forge", "Guild", "Harbour", "League", "Oath", "Pact", "Watch", "Wolves")


def seeded(seed: int | str) -> random.Random:
    """Return a random generator with the same output for the same seed on every machine."""
    return random.Random(seed)  # noqa: S311 - the story must be repeatable


def player_name(rng: random.Random) -> str:
    """Return a player's name of at most 15 characters, as in the game; names are not unique."""
    return (rng.choice(_FIRST) + rng.choice(_SECOND))[:15].rstrip()


def clan_name(rng: random.Random) -> str:
    """Return a clan's name of at most 15 characters, as in the game."""
    return f"{rng.choice(_CLAN_FIRST)} {rng.choice(_CLAN_SECOND)}"[:15].rstrip()


def new_tags(rng: random.Random) -> Iterator[str]:
    """Yield unique tags, never ``PROBE_TAG`` (which is shorter)."""
    number = rng.randrange(_COUNT)
    while True:
        number = (number + _STRIDE) % _COUNT
        rest, letters = number, []
        for _ in range(_LENGTH):
            rest, letter = divmod(rest, len(_ALPHABET))
            letters.append(_ALPHABET[letter])
        yield "#Q" + "".join(letters)
