"""The bodies have the same keys as recorded responses of the real API, at every level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.demo import World
from tests.support.paths import SHARED

if TYPE_CHECKING:
    from collections.abc import Iterable

FIXTURES = SHARED / "fixtures"

pytestmark = pytest.mark.skipif(not FIXTURES.is_dir(), reason="the recorded answers are not at ../shared/fixtures")

Json = dict[str, Any]
Keys = dict[str, set[str]]

CLANS = ("cocpy/clans/clans/CLAN.json", "seq-coreym7/*_clan_*.json")
WAR_LOGS = ("mockapi/clans/warlog/WARLOG.json",)
WARS = ("mockapi/clans/currentwar/[!A]*.json", "seq-coreym7/*_currentwar_*.json")
LEAGUE_GROUPS = ("mockapi/clans/leaguegroup/[!N]*.json",)
LEAGUE_WARS = ("mockapi/clans/clanwarleagues/*.json",)
RAIDS = ("mockapi/clans/capitalraidseasons/*.json",)
PLAYERS = ("cocpy/players/player/FOUND.json", "mockapi/players/player/FOUND.json")

# Keys of the recordings that the demo does not have: the country of a clan's location, and links to a player's ranked
# weeks, whose endpoints the demo does not have.
NOT_SERVED = {
    "location": {"countryCode"},
    "": {
        *("currentLeagueGroupTag", "currentLeagueSeasonId"),
        *("previousLeagueGroupTag", "previousLeagueSeasonId"),
    },
    # Everything is on one page.
    "paging.cursors": {"after"},
    # The obsolete league of a member has a third image size unless it is Unranked.
    "memberList[].league.iconUrls": {"medium"},
}
# Keys that no recorded player has: none has such a town hall or an active super troop.
NOT_RECORDED = {"": {"townHallWeaponLevel"}}


def recordings(patterns: Iterable[str]) -> list[Json]:
    bodies = [orjson.loads(file.read_bytes()) for pattern in patterns for file in sorted(FIXTURES.glob(pattern))]
    assert bodies
    return [body.get("body", body) for body in bodies]


def keys(bodies: Iterable[Json]) -> Keys:
    """Return the union of the keys at each path."""
    found: Keys = {}

    def visit(value: Any, path: str) -> None:
        if isinstance(value, dict):
            found.setdefault(path, set()).update(value)
            for key, inner in value.items():
                visit(inner, f"{path}.{key}".lstrip("."))
        elif isinstance(value, list):
            for inner in value:
                visit(inner, f"{path}[]")

    for body in bodies:
        visit(body, "")
    return found


def types(bodies: Iterable[Json]) -> dict[str, set[str]]:
    """Return the JSON types at each path; integers and fractions are both numbers."""
    names = {"bool": "bool", "int": "number", "float": "number", "str": "string", "NoneType": "null"}
    found: dict[str, set[str]] = {}

    def visit(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                visit(inner, f"{path}.{key}".lstrip("."))
        elif isinstance(value, list):
            for inner in value:
                visit(inner, f"{path}[]")
        else:
            found.setdefault(path, set()).add(names[type(value).__name__])

    for body in bodies:
        visit(body, "")
    return found


def every_state_of_a_war() -> list[Json]:
    world = World(members=10)
    clan = world.clan_tags[0]
    bodies = [world.current_war(clan)]
    world.declare_war(clan)
    bodies.append(world.current_war(clan))
    world.start_battle(clan)
    for _ in range(12):
        world.attack(clan, "clan")
        world.attack(clan, "opponent")
        bodies.append(world.current_war(clan))
    world.end_war(clan)
    bodies.append(world.current_war(clan))
    return [body for body in bodies if body is not None]


def war_logs() -> list[Json]:
    world = World(members=10)
    clan = world.clan_tags[0]
    for verb in (world.declare_war, world.start_battle, world.attack, world.end_war):
        verb(clan)
    log = world.war_log(clan)
    return [] if log is None else [log]


def every_state_of_a_league(kind: str) -> list[Json]:
    world = World(members=12)
    clan = world.clan_tags[0]
    bodies: list[Json | None] = []

    def look() -> None:
        group = world.league_group(clan) or {}
        tags = [tag for one in group["rounds"] for tag in one["warTags"] if tag != "#0"]
        bodies.extend([group] if kind == "cwl" else map(world.league_war, tags))

    world.start_league(clan, clans=2)
    look()
    world.start_league_battle(clan)
    for _ in range(8):
        world.league_attack(clan)
        look()
    world.end_league_battle(clan)
    world.end_league(clan)
    look()
    return [body for body in bodies if body is not None]


def raids() -> list[Json]:
    world = World(members=12)
    clan = world.clan_tags[0]
    bodies = [world.raid_seasons(clan)]
    for _ in range(2):
        world.start_raids(clan)
        bodies.append(world.raid_seasons(clan))
        for change in (world.raid_attack, world.raid_attack, world.raid_defense):
            change(clan)
        bodies.append(world.raid_seasons(clan))
        world.end_raids(clan)
    return [body for body in [*bodies, world.raid_seasons(clan)] if body is not None]


def served(kind: str) -> list[Json]:
    if kind == "war":
        return every_state_of_a_war()
    if kind == "war_log":
        return war_logs()
    if kind in ("cwl", "league_war"):
        return every_state_of_a_league(kind)
    if kind == "raid":
        return raids()
    world = World()
    bodies = (
        [world.clan(tag) for tag in world.clan_tags]
        if kind == "clan"
        else [world.player(tag) for tag in world.player_tags]
    )
    return [body for body in bodies if body is not None]


KINDS = pytest.mark.parametrize(
    ("kind", "patterns"),
    [
        *(("clan", CLANS), ("war", WARS), ("war_log", WAR_LOGS), ("player", PLAYERS)),
        *(("cwl", LEAGUE_GROUPS), ("league_war", LEAGUE_WARS), ("raid", RAIDS)),
    ],
)


@KINDS
def test_every_served_key_was_recorded(kind: str, patterns: tuple[str, ...]) -> None:
    recorded = keys(recordings(patterns))
    for path, names in keys(served(kind)).items():
        assert names - NOT_RECORDED.get(path, set()) <= recorded[path], path


@KINDS
def test_every_recorded_key_is_served(kind: str, patterns: tuple[str, ...]) -> None:
    ours = keys(served(kind))
    for path, names in keys(recordings(patterns)).items():
        assert names - NOT_SERVED.get(path, set()) <= ours[path], path


@KINDS
def test_every_value_has_a_recorded_type(kind: str, patterns: tuple[str, ...]) -> None:
    recorded = types(recordings(patterns))
    for path, names in types(served(kind)).items():
        if path in NOT_RECORDED.get("", ()):
            continue
        assert names <= recorded[path], path


def test_older_weekend_has_the_recorded_keys() -> None:
    ours, recorded = raids()[-1]["items"][1], recordings(RAIDS)[0]["items"][1]
    assert keys([ours]) == keys([recorded])


def test_no_war_response_has_exactly_the_recorded_keys() -> None:
    world = World()
    recorded = recordings(["mockapi/clans/currentwar/NOTINWAR.json"])
    body = world.current_war(world.clan_tags[0])
    assert body is not None
    assert keys([body]) == keys(recorded)


def test_private_war_log_hides_the_recorded_keys() -> None:
    world = World()
    body = world.clan(world.clan_tags[1])
    recorded = recordings(["cocpy/clans/clans/CLAN.json"])[0]
    assert body is not None
    assert body["isWarLogPublic"] is recorded["isWarLogPublic"] is False
    assert set(body) == set(recorded)


def test_war_member_without_attacks_has_the_recorded_keys() -> None:
    world = World()
    clan = world.clan_tags[0]
    world.declare_war(clan)
    body = world.current_war(clan)
    assert body is not None
    recorded = recordings(["seq-coreym7/03_currentwar_*.json"])[0]
    assert recorded["state"] == body["state"] == "preparation"
    assert keys([body]) == keys([recorded])
