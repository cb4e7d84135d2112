"""The content of the game (units, leagues, labels, achievements, URLs of images), and made-up names and tags."""

from __future__ import annotations

import base64
import hashlib
import random
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

PROBE_TAG = "#JY9J2Y99"

HIGHEST_TOWN_HALL = 18
HIGHEST_BUILDER_HALL = 10
LARGEST_CLAN = 50
# The first town hall with a weapon, which has its own levels.
FIRST_ARMED_TOWN_HALL = 12
HIGHEST_WEAPON = 5

_ASSETS = "https://api-assets.clashofclans.com"

# (name, highest level) each, as of 2026. The API lists siege machines, pets and super troops among the troops.
TROOPS = (
    *(("Barbarian", 12), ("Archer", 14), ("Giant", 14), ("Wall Breaker", 14), ("Balloon", 12), ("Wizard", 14)),
    *(("Healer", 11), ("Dragon", 12), ("P.E.K.K.A", 13), ("Baby Dragon", 12), ("Miner", 12), ("Electro Dragon", 9)),
    *(("Minion", 14), ("Hog Rider", 15), ("Valkyrie", 11), ("Golem", 14), ("Bowler", 10)),
)
SIEGE_MACHINES = (("Wall Wrecker", 6), ("Battle Blimp", 5), ("Log Launcher", 5))
PETS = (("L.A.S.S.I", 15), ("Electro Owl", 15), ("Unicorn", 15), ("Diggy", 10), ("Frosty", 15))
# Never upgraded: their base troop has the levels.
SUPER_TROOPS = ("Super Barbarian", "Super Archer", "Sneaky Goblin", "Super Wall Breaker", "Rocket Balloon")
MOST_BOOSTED = 2
# Names are not unique: both villages have a Baby Dragon.
BUILDER_BASE_TROOPS = (("Raged Barbarian", 20), ("Sneaky Archer", 20), ("Baby Dragon", 20), ("Night Witch", 20))
SPELLS = (
    *(("Lightning Spell", 13), ("Healing Spell", 12), ("Rage Spell", 6), ("Freeze Spell", 7), ("Poison Spell", 12)),
    *(("Earthquake Spell", 8), ("Haste Spell", 7), ("Bat Spell", 8), ("Recall Spell", 6)),
)
HEROES = (("Barbarian King", 105), ("Archer Queen", 105), ("Grand Warden", 80), ("Royal Champion", 55))
BUILDER_BASE_HEROES = (("Battle Machine", 35), ("Battle Copter", 35))
# The equipment of each hero: two items at a time.
EQUIPMENT = {
    "Barbarian King": (("Barbarian Puppet", 18), ("Rage Vial", 18), ("Giant Gauntlet", 27)),
    "Archer Queen": (("Archer Puppet", 18), ("Invisibility Vial", 18), ("Frozen Arrow", 27)),
    "Grand Warden": (("Eternal Tome", 18), ("Life Gem", 18), ("Fireball", 27)),
    "Royal Champion": (("Royal Gem", 18), ("Seeking Shield", 18), ("Rocket Spear", 27)),
}
WORN_AT_A_TIME = 2
# (name, village, stars, value, target, info, label): achievements that no other change in the demo affects. One name
# occurs twice in the same village, as in the game.
ACHIEVEMENTS = (
    ("Nice and Tidy", "home", 3, 2208, 500, "Remove 500 obstacles (trees, rocks, bushes)", "Total obstacles removed: "),
    ("Wall Buster", "home", 3, 37199, 2000, "Destroy 2000 Walls in Multiplayer battles", "Total Walls destroyed: "),
    ("Discover New Troops", "home", 3, 1, 1, "Unlock Dragon in the Barracks", None),
    ("Keep Your Account Safe!", "home", 0, 0, 1, "Connect your account to Supercell ID for safe keeping.", None),
    ("Keep Your Account Safe!", "home", 0, 0, 1, "Protect your village by connecting to a social network", None),
    ("Siege Sharer", "home", 2, 2710, 5000, "Donate 5000 Siege Machines", "Total Siege Machines donated: "),
    ("Dragon Slayer", "home", 0, 0, 1, "Slay the Giant Dragon on the Campaign Map", None),
    ("Ungrateful Child", "home", 0, 0, 1, "Defeat M.O.M.M.A on the Campaign Map", None),
    ("Un-Build It", "builderBase", 2, 1480, 2000, "Destroy 2000 Builder Halls", "Total Builder Halls destroyed: "),
    ("High Gear", "builderBase", 2, 2, 3, "Gear Up 3 buildings", "Total buildings geared up: "),
    ("Aggressive Capitalism", "clanCapital", 2, 640000, 1000000, "Loot 1000000 Capital Gold", "Capital Gold looted: "),
)
_TIERS = (
    *("Skeleton", "Barbarian", "Archer", "Wizard", "Valkyrie", "Witch", "Golem", "P.E.K.K.A", "Titan", "Dragon"),
    "Electro",
)
LEAGUE_TIERS = ("Unranked", *(f"{_TIERS[n // 3]} League {n + 1}" for n in range(33)), "Legend League")
BUILDER_BASE_LEAGUES = (
    *(
        f"{name} League {step}"
        for name in ("Wood", "Clay", "Stone", "Copper")
        for step in ("V", "IV", "III", "II", "I")
    ),
    *(
        f"{name} League {step}"
        for name in ("Brass", "Iron", "Steel", "Titanium", "Platinum", "Emerald", "Ruby")
        for step in ("III", "II", "I")
    ),
    "Diamond League",
)
_TROPHIES_PER_BUILDER_LEAGUE = 130
LOWEST_WAR_LEAGUE_ID = 48000000
WAR_LEAGUES = (
    "Unranked",
    *(
        f"{name} League {step}"
        for name in ("Bronze", "Silver", "Gold", "Crystal", "Master", "Champion")
        for step in ("III", "II", "I")
    ),
)
CAPITAL_LEAGUES = (
    *WAR_LEAGUES,
    *("Titan League III", "Titan League II", "Titan League I", "Legend League"),
)
HIGHEST_CAPITAL_HALL = 10
CLAN_LABELS = ("Clan Wars", "Clan War League", "Trophy Pushing", "Friendly Wars", "Clan Games", "Builder Base")
PLAYER_LABELS = (
    *("Clan Wars", "Clan War League", "Trophy Pushing", "Friendly Wars", "Clan Games", "Builder Base"),
    *("Base Designing", "Farming", "Active Donator", "Active Daily", "Hungry Learner", "Friendly"),
)
DISTRICTS = (
    *("Capital Peak", "Barbarian Camp", "Wizard Valley", "Balloon Lagoon", "Builder's Workshop", "Dragon Cliffs"),
    *("Golem Quarry", "Skeleton Park", "Goblin Mines"),
)

_PLAYER_FIRST = (
    *("Ash", "Birk", "Cora", "Dag", "Edda", "Finn", "Greta", "Hilda", "Ivo", "Juna", "Kaspar", "Liv", "Mads", "Nell"),
    *("Oda", "Pim", "Quill", "Runa", "Sten", "Tove", "Ulf", "Vera", "Wim", "Yara", "Zeno", "Bram", "Elin", "Jorn"),
)
_PLAYER_SECOND = (
    *("", "", "", " the Bold", " Stonehand", " Ember", " Wallbreaker", " of Ys", "zilla", " Fuse", " Quickstep"),
    *(" Ironpot", " ⚔️", " Lightfoot", " 77", " Rook", " Thistle", " Barrel", " ★", "_x", " Grin", " Longbow"),
)
_CLAN_FIRST = ("Copper", "Frost", "Lantern", "Moss", "Northern", "Quiet", "Raven", "Salt", "Thorn", "Winter", "Amber")
_CLAN_SECOND = ("Anvil", "Banner", "Company", "Forge", "Guild", "Harbour", "League", "Oath", "Pact", "Watch", "Wolves")

_TAG_ALPHABET = "0289PYLQGRJCUV"
_TAG_LENGTH = 8
_TAG_COUNT = len(_TAG_ALPHABET) ** _TAG_LENGTH
# Coprime to 14, so that the sequence contains every tag of the length once.
_TAG_STRIDE = 1_061_106_467


def seeded(seed: int | str) -> random.Random:
    """Return a random generator with the same output for the same seed on every machine."""
    return random.Random(seed)  # noqa: S311 - the story must be repeatable


def player_name(rng: random.Random) -> str:
    """Return a player's name of at most 15 characters, as in the game; names are not unique."""
    return (rng.choice(_PLAYER_FIRST) + rng.choice(_PLAYER_SECOND))[:15].rstrip()


def clan_name(rng: random.Random) -> str:
    """Return a clan's name of at most 15 characters, as in the game."""
    return f"{rng.choice(_CLAN_FIRST)} {rng.choice(_CLAN_SECOND)}"[:15].rstrip()


def new_tags(rng: random.Random) -> Iterator[str]:
    """Yield unique tags, never ``PROBE_TAG`` (which is shorter)."""
    number = rng.randrange(_TAG_COUNT)
    while True:
        number = (number + _TAG_STRIDE) % _TAG_COUNT
        rest, letters = number, []
        for _ in range(_TAG_LENGTH):
            rest, letter = divmod(rest, len(_TAG_ALPHABET))
            letters.append(_TAG_ALPHABET[letter])
        yield "#Q" + "".join(letters)


@lru_cache(maxsize=1024)
def picture(folder: str, size: int, subject: str) -> str:
    """Return an image URL in the API's format with a made-up name, the same for the same subject."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(f"{folder} {subject}".encode()).digest())
    return f"{_ASSETS}/{folder}/{size}/{digest.decode().rstrip('=')}.png"


def badge_urls(subject: str) -> Json:
    """Return a clan's ``badgeUrls``."""
    return {name: picture("badges", size, subject) for name, size in (("small", 70), ("large", 512), ("medium", 200))}


def league_tier(number: int) -> Json:
    """Return the ``leagueTier`` with index ``number`` in ``LEAGUE_TIERS``."""
    name = LEAGUE_TIERS[number]
    icons = {size: picture("leaguetiers", pixels, name) for size, pixels in (("small", 125), ("large", 326))}
    return {"id": 105000000 + number, "name": name, "iconUrls": icons}


def frozen_league() -> Json:
    """Return a member's ``league``, constant since ``leagueTier`` replaced it."""
    icons = {size: picture("leagues", pixels, "Unranked") for size, pixels in (("small", 72), ("tiny", 36))}
    return {"id": 29000000, "name": "Unranked", "iconUrls": icons}


def builder_base_league(trophies: int) -> Json:
    """Return the ``builderBaseLeague`` for these trophies."""
    number = min(trophies // _TROPHIES_PER_BUILDER_LEAGUE, len(BUILDER_BASE_LEAGUES) - 1)
    return {"id": 44000000 + number, "name": BUILDER_BASE_LEAGUES[number]}


def war_league(number: int) -> Json:
    """Return the ``warLeague`` with index ``number`` in ``WAR_LEAGUES``."""
    return {"id": LOWEST_WAR_LEAGUE_ID + number, "name": WAR_LEAGUES[number]}


def capital_league(number: int) -> Json:
    """Return the ``capitalLeague`` with index ``number`` in ``CAPITAL_LEAGUES``."""
    return {"id": 85000000 + number, "name": CAPITAL_LEAGUES[number]}


def clan_label(name: str) -> Json:
    """Return one entry of a clan's ``labels``."""
    return _label(56000000 + CLAN_LABELS.index(name), name)


def player_label(name: str) -> Json:
    """Return one entry of a player's ``labels``."""
    return _label(57000000 + PLAYER_LABELS.index(name), name)


def capital(level: int) -> Json:
    """Return a ``clanCapital`` with a capital hall of this level."""
    districts = [
        {"id": 70000000 + number, "name": name, "districtHallLevel": level if number == 0 else min(level, 5)}
        for number, name in enumerate(DISTRICTS)
    ]
    return {"capitalHallLevel": level, "districts": districts}


def _label(number: int, name: str) -> Json:
    icons = {size: picture("labels", pixels, name) for size, pixels in (("small", 64), ("medium", 128))}
    return {"id": number, "name": name, "iconUrls": icons}
