"""The facts in the API's responses about the league and the raid weekend of a clan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coc2mqtt.demo import World
    from tests.chaos.ground_truth import Key

Json = dict[str, Any]

_NOT_DRAWN = "#0"
_DESTROYED = 100


def league_facts(world: World, clan: str) -> Iterator[tuple[Key, Any]]:
    """Yield the facts about the league of a clan and the clan's wars in it."""
    group = world.league_group(clan)
    if group is None:
        return
    yield (clan, "league"), sorted(one["tag"] for one in group["clans"])
    rounds = [[tag for tag in one["warTags"] if tag != _NOT_DRAWN] for one in group["rounds"]]
    wars = {tag: world.league_war(tag) or {} for tags in rounds for tag in tags}
    own = {tag: war for tag, war in wars.items() if clan in (war["clan"]["tag"], war["opponent"]["tag"])}
    for tag, war in own.items():
        yield from _of_war(clan, tag, war)
    if len(own) == len(rounds) and all(war["state"] == "warEnded" for war in own.values()):
        [standing] = [one for one in world.league_standings(clan) if one.tag == clan]
        yield (clan, "league totals"), [standing.wins, standing.losses, standing.ties, standing.stars]


def raid_facts(world: World, clan: str) -> Iterator[tuple[Key, Any]]:
    """Yield the facts about the raid weekend of a clan."""
    items = (world.raid_seasons(clan, 1) or {})["items"]
    if not items:
        return
    weekend: Json = items[0]
    yield (clan, "raids"), True
    for index, raid in enumerate(weekend["attackLog"], 1):
        yield (clan, "raid", index), raid["defender"]["tag"]
        total = sum(district["totalLooted"] for district in raid["districts"])
        if raid["districtsDestroyed"] == raid["districtCount"]:
            yield (clan, "raided clan", index), [raid["attackCount"], total]
        for district in raid["districts"]:
            yield from _of_district(clan, index, district)
    for raid in weekend["defenseLog"]:
        if raid["districtsDestroyed"] == raid["districtCount"]:
            yield (clan, "raid on us", raid["attacker"]["tag"]), raid["attackCount"]
    if weekend["state"] == "ended":
        yield (clan, "raid totals"), [weekend["totalAttacks"], weekend["capitalTotalLoot"]]


def _of_war(clan: str, tag: str, war: Json) -> Iterator[tuple[Key, Any]]:
    yield (clan, "league war", tag), war["state"]
    sides = ("clan", "opponent") if war["clan"]["tag"] == clan else ("opponent", "clan")
    for side in sides:
        for fighter in war[side]["members"]:
            for one in fighter.get("attacks", []):
                key = (clan, "league attack", tag, one["order"])
                yield key, [one["attackerTag"], one["defenderTag"], one["stars"]]
    if war["state"] == "warEnded":
        yield (clan, "league result", tag), [war[side]["stars"] for side in sides]


def _of_district(clan: str, index: int, district: Json) -> Iterator[tuple[Key, Any]]:
    attacks = district.get("attacks", [])[::-1]
    for order, one in enumerate(attacks, 1):
        key = (clan, "raid attack", index, district["id"], order)
        yield key, [one["attacker"]["tag"], one["destructionPercent"]]
    if district["destructionPercent"] == _DESTROYED:
        yield (clan, "raided district", index, district["id"]), [district["attackCount"], district["totalLooted"]]
