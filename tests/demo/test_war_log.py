"""Ended wars in the clan's war log and in the opponent's current war."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from coc2mqtt.demo import World
    from coc2mqtt.demo.war import SideName

Json = dict[str, Any]


def war_of(world: World, tag: str | None = None) -> Json:
    body = world.current_war(tag or world.clan_tags[0])
    assert body is not None
    return body


def log_of(world: World) -> list[Json]:
    body = world.war_log(world.clan_tags[0])
    assert body is not None
    assert body["paging"] == {"cursors": {}}
    items: list[Json] = body["items"]
    return items


def fight(world: World, *sides: SideName) -> Json:
    """Play a war with an attack by each of ``sides``; return its body at the end."""
    clan = world.clan_tags[0]
    world.declare_war(clan)
    world.start_battle(clan)
    for side in sides:
        world.attack(clan, side)
    world.end_war(clan)
    return war_of(world)


def test_war_log_contains_only_ended_wars(world: World) -> None:
    clan = world.clan_tags[0]
    world.declare_war(clan)
    world.start_battle(clan)
    assert log_of(world) == []
    world.end_war(clan)
    assert len(log_of(world)) == 1
    world.clear_war(clan)
    assert len(log_of(world)) == 1


def test_war_log_has_the_score_of_the_war(world: World) -> None:
    war = fight(world, "clan", "opponent", "clan")
    [entry] = log_of(world)
    for key in ("endTime", "teamSize", "attacksPerMember", "battleModifier"):
        assert entry[key] == war[key]
    for key in ("tag", "name", "badgeUrls", "clanLevel", "stars", "destructionPercentage"):
        assert (entry["clan"][key], entry["opponent"][key]) == (war["clan"][key], war["opponent"][key])
    assert entry["clan"]["attacks"] == war["clan"]["attacks"] == 2
    assert "attacks" not in entry["opponent"]


@pytest.mark.parametrize(("sides", "result"), [(["clan"] * 3, "win"), (["opponent"] * 3, "lose"), ([], "tie")])
def test_war_log_has_the_reported_result(world: World, sides: list[SideName], result: str) -> None:
    fight(world, *sides)
    [ended] = [change for change in world.changes if change.event_type == "war_ended"]
    assert log_of(world)[0]["result"] == ended.details["result"] == result


def test_war_log_starts_with_the_newest_war(world: World) -> None:
    opponents = [fight(world)["opponent"]["tag"] for _ in range(3)]
    assert [entry["opponent"]["tag"] for entry in log_of(world)] == opponents[::-1]


def test_replaced_war_is_in_the_war_log(world: World) -> None:
    clan = world.clan_tags[0]
    world.declare_war(clan)
    world.start_battle(clan)
    world.attack(clan, "opponent")
    old = war_of(world)
    world.replace_war(clan)
    [entry] = log_of(world)
    assert entry["opponent"]["tag"] == old["opponent"]["tag"]
    assert (entry["result"], entry["endTime"]) == ("lose", old["endTime"])


def test_war_log_is_complete_after_becoming_public(world: World) -> None:
    clan = world.clan_tags[0]
    fight(world)
    before = log_of(world)
    world.set_war_log_public(clan, public=False)
    assert world.war_log(clan) is None
    world.set_war_log_public(clan, public=True)
    assert log_of(world) == before


def test_opponent_shows_the_war_with_sides_exchanged(world: World) -> None:
    war = fight(world, "clan", "opponent")
    opponent = war["opponent"]["tag"]
    assert war_of(world, opponent) == {**war, "clan": war["opponent"], "opponent": war["clan"]}
    assert world.clan(opponent) is None
    assert not world.is_war_log_private(opponent)


def test_opponent_still_shows_war_that_the_clan_left_or_replaced(world: World) -> None:
    clan = world.clan_tags[0]
    left = fight(world)["opponent"]["tag"]
    world.clear_war(clan)
    world.declare_war(clan)
    replaced = war_of(world)["opponent"]["tag"]
    world.replace_war(clan)
    assert [war_of(world, tag)["state"] for tag in (left, replaced)] == ["warEnded", "warEnded"]
    assert war_of(world)["state"] == "preparation"


def test_opponent_shows_war_of_a_clan_with_private_war_log(world: World) -> None:
    clan = world.clan_tags[0]
    world.declare_war(clan)
    opponent = war_of(world)["opponent"]["tag"]
    world.set_war_log_public(clan, public=False)
    assert war_of(world, opponent)["opponent"]["tag"] == clan


def test_oldest_war_is_dropped_from_log_and_opponent(world: World) -> None:
    oldest = fight(world)["opponent"]["tag"]
    version = world.version("war", oldest)
    newer = [fight(world)["opponent"]["tag"] for _ in range(20)]
    assert [entry["opponent"]["tag"] for entry in log_of(world)] == newer[::-1]
    assert world.current_war(oldest) is None
    assert world.version("war", oldest) != version
    assert all(world.current_war(tag) for tag in newer)
