"""Ground truth: the facts in the API's responses, one by one, and every value that each of them has had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.chaos.league_facts import league_facts, raid_facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coc2mqtt.demo import World

Json = dict[str, Any]
# The tag comes first, followed by the parts that identify the fact.
Key = tuple[Any, ...]

PRESENT = "here"
CLAN_FIELDS = ("clanPoints", "members")
MEMBER_FIELDS = ("role", "name", "townHallLevel", "donations", "donationsReceived")
PLAYER_FIELDS = ("name", "townHallLevel", "builderHallLevel", "trophies", "bestTrophies")
UNIT_LISTS = ("troops", "spells", "heroes", "heroEquipment")


class FactChange(NamedTuple):
    """A change of one fact at a time in seconds since the start of the run; None means that the fact does not exist."""

    at: float
    key: Key
    old: Any
    new: Any


class GroundTruth:
    """Every value that each fact of a world has had since the first poll, the current one last.

    The values of a fact that appeared later start with None, and those of a removed fact end with None.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.values: dict[Key, list[Any]] = {
            key: [value] for tag in (*world.clan_tags, *world.player_tags) for key, value in facts(world, tag)
        }
        self.changes: list[FactChange] = []

    def record(self, tag: str, at: float) -> None:
        """Record the changes of a clan, its war, its league and its raids, or of a player."""
        now = dict(facts(self._world, tag))
        gone = [key for key in self.values if key[0] == tag and key not in now]
        for key, value in (*now.items(), *((key, None) for key in gone)):
            values = self.values.setdefault(key, [None])
            if values[-1] != value:
                self.changes.append(FactChange(at, key, values[-1], value))
                values.append(value)


def member(clan: str, tag: str, field: str) -> Key:
    """Return the key of a fact about a clan member; the field ``PRESENT`` means that the member exists."""
    return clan, "member", tag, field


def attack(clan: str, opponent: str, order: int) -> Key:
    """Return the key of an attack; the order is unique within one war."""
    return clan, "attack", opponent, order


def facts(world: World, tag: str) -> Iterator[tuple[Key, Any]]:
    """Yield the facts that the API returns for a clan, its war, its league and its raids, or for a player."""
    page = world.player(tag)
    if page is not None:
        yield from _of_player(page)
        return
    yield from _of_clan(world.clan(tag) or {})
    yield from _of_war(tag, world.current_war(tag) or {})
    yield from league_facts(world, tag)
    yield from raid_facts(world, tag)


def _of_clan(clan: Json) -> Iterator[tuple[Key, Any]]:
    yield from _fields(clan["tag"], clan, CLAN_FIELDS)
    for one in clan["memberList"]:
        yield member(clan["tag"], one["tag"], PRESENT), True
        for field in MEMBER_FIELDS:
            yield member(clan["tag"], one["tag"], field), one[field]


def _of_war(clan: str, war: Json) -> Iterator[tuple[Key, Any]]:
    yield (clan, "war state"), war["state"]
    opponent = war["opponent"].get("tag")
    yield (clan, "war"), opponent
    for side in ("clan", "opponent"):
        for fighter in war[side].get("members", []):
            for one in fighter.get("attacks", []):
                yield attack(clan, opponent, one["order"]), [one["attackerTag"], one["defenderTag"], one["stars"]]


def _of_player(page: Json) -> Iterator[tuple[Key, Any]]:
    yield from _fields(page["tag"], page, PLAYER_FIELDS)
    for name in UNIT_LISTS:
        for unit in page[name]:
            yield (page["tag"], name, unit["name"], unit["village"]), unit["level"]
    for one in page["achievements"]:
        yield (page["tag"], "achievement", one["name"], one["village"], one["info"]), one["stars"]


def _fields(tag: str, body: Mapping[str, Any], fields: tuple[str, ...]) -> Iterator[tuple[Key, Any]]:
    for field in fields:
        yield (tag, field), body[field]
