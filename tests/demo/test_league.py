"""A clan war league from its sign-up to the promotion."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.demo import ImpossibleError, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.demo import ScriptedChange

Json = dict[str, Any]
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOT_DRAWN = "#0"


def group_of(world: World, clan: str | None = None) -> Json:
    body = world.league_group(clan or world.clan_tags[0])
    assert body is not None
    return body


def drawn_tags(world: World, clan: str | None = None) -> list[list[str]]:
    rounds = [one["warTags"] for one in group_of(world, clan)["rounds"]]
    return [tags for tags in rounds if tags[0] != NOT_DRAWN]


def wars_of(world: World, clan: str | None = None) -> list[Json]:
    """Return the clan's own war of each drawn round."""
    clan = clan or world.clan_tags[0]
    wars = [world.league_war(tag) or {} for tags in drawn_tags(world, clan) for tag in tags]
    return [war for war in wars if clan in (war["clan"]["tag"], war["opponent"]["tag"])]


def sides(war: Json, clan: str) -> tuple[Json, Json]:
    own, other = war["clan"], war["opponent"]
    return (own, other) if own["tag"] == clan else (other, own)


def of_type(changes: list[ScriptedChange], event_type: str) -> list[Json]:
    return [change.details for change in changes if change.event_type == event_type]


def play_round(world: World, clan: str, attacks: int = 6) -> None:
    world.start_league_battle(clan)
    for _ in range(attacks):
        world.league_attack(clan)
    world.end_league_battle(clan)


def play_league(world: World, clan: str) -> None:
    world.start_league(clan)
    for number in range(7):
        if number:
            world.draw_round(clan)
        play_round(world, clan)


def test_group_has_every_state_of_a_league(world: World) -> None:
    clan = world.clan_tags[0]
    bodies = [world.league_group(clan)]
    for change in (world.sign_up, world.start_league, world.start_league_battle):
        change(clan)
        bodies.append(world.league_group(clan))
    world.end_league_battle(clan)
    bodies.append(world.league_group(clan))
    for _ in range(6):
        world.draw_round(clan)
        play_round(world, clan)
    for change in (world.end_league, world.hide_league_tags, world.leave_league):
        change(clan)
        bodies.append(world.league_group(clan))
    none, searching, preparation, fighting, gap, ended, hidden, gone = bodies
    assert none is gone is None
    assert searching == {"state": "notInWar"}
    states = [(body or {})["state"] for body in (preparation, fighting, gap, ended, hidden)]
    assert states == ["preparation", "inWar", "preparation", "ended", "ended"]
    assert {tag for one in (hidden or {})["rounds"] for tag in one["warTags"]} == {NOT_DRAWN}


def test_group_of_eight_clans_has_seven_rounds_of_four_wars(world: World) -> None:
    clan = world.clan_tags[0]
    world.start_league(clan)
    group = group_of(world)
    assert len(group["clans"]) == 8
    assert [len(one["warTags"]) for one in group["rounds"]] == [4] * 7
    assert len(drawn_tags(world)) == 1
    for _ in range(6):
        world.draw_round(clan)
    with pytest.raises(ImpossibleError, match="all 7 rounds"):
        world.draw_round(clan)
    wars = [world.league_war(tag) or {} for tags in drawn_tags(world) for tag in tags]
    pairs = Counter(frozenset((war["clan"]["tag"], war["opponent"]["tag"])) for war in wars)
    assert pairs == Counter(map(frozenset, combinations([one["tag"] for one in group["clans"]], 2)))
    assert {war["clan"]["tag"] == clan for war in wars_of(world)} == {True, False}, "the clan is on either side"


@pytest.mark.parametrize("clans", [2, 6])
def test_group_can_have_another_number_of_clans(world: World, clans: int) -> None:
    world.start_league(world.clan_tags[0], clans=clans)
    group = group_of(world)
    assert (len(group["clans"]), len(group["rounds"])) == (clans, clans - 1)
    assert {len(one["warTags"]) for one in group["rounds"]} == {clans // 2}


@pytest.mark.parametrize(("members", "size"), [(6, 5), (15, 5), (16, 15), (30, 15), (31, 30)])
def test_team_size_leaves_substitutes(members: int, size: int) -> None:
    world = World(members=members)
    [started, new] = world.start_league(world.clan_tags[0])
    [war] = wars_of(world)
    assert started.details["team_size"] == new.details["team_size"] == war["teamSize"] == size
    assert [len(war[side]["members"]) for side in ("clan", "opponent")] == [size, size]
    assert started.details["roster_size"] == members


def test_league_needs_more_members_than_the_smallest_team() -> None:
    world = World(members=5)
    with pytest.raises(ImpossibleError, match="no more than 5 members"):
        world.start_league(world.clan_tags[0])
    assert world.league_group(world.clan_tags[0]) is None


def test_map_positions_have_holes_and_the_event_has_ranks(world: World) -> None:
    clan = world.clan_tags[0]
    world.start_league(clan)
    [war] = wars_of(world)
    size = war["teamSize"]
    positions = [member["mapPosition"] for side in ("clan", "opponent") for member in war[side]["members"]]
    assert max(positions) > size
    world.start_league_battle(clan)
    details = of_type([one for _ in range(size) for one in world.league_attack(clan)], "cwl_attack_new")
    assert {one[f"{who}_position"] for one in details for who in ("attacker", "defender")} <= set(range(1, size + 1))


def test_war_has_the_times_of_its_round_and_a_maintenance_moves_only_its_end() -> None:
    world = World(now=lambda: NOON)
    clan = world.clan_tags[0]
    world.start_league(clan, preparation=timedelta(minutes=5), battle=timedelta(minutes=10))
    world.start_league_battle(clan)
    assert world.shift_league_war(clan, timedelta(minutes=7)) == []
    [war] = wars_of(world)
    assert war["warStartTime"] == war["startTime"] == "20261124T120500.000Z"
    assert (war["preparationStartTime"], war["endTime"]) == ("20261124T120000.000Z", "20261124T122200.000Z")


def test_two_rounds_can_be_in_battle_at_once(world: World) -> None:
    clan = world.clan_tags[0]
    world.start_league(clan)
    world.start_league_battle(clan)
    world.draw_round(clan)
    world.start_league_battle(clan)
    assert [war["state"] for war in wars_of(world)] == ["inWar", "inWar"]
    assert of_type(world.league_attack(clan, "clan", number=2), "cwl_attack_new")[0]["round"] == 2
    world.end_league_battle(clan)
    assert [war["state"] for war in wars_of(world)] == ["warEnded", "inWar"]
    assert of_type(world.league_attack(clan, "clan"), "cwl_attack_new")[0]["round"] == 2


def test_each_member_attacks_once(world: World) -> None:
    clan = world.clan_tags[0]
    world.start_league(clan)
    world.start_league_battle(clan)
    size = wars_of(world)[0]["teamSize"]
    for side in ("clan", "opponent"):
        for _ in range(size):
            [change] = world.league_attack(clan, side)
            assert change.details["side"] == side
        with pytest.raises(ImpossibleError, match="used up"):
            world.league_attack(clan, side)
    [war] = wars_of(world)
    assert all(len(member["attacks"]) == 1 for side in ("clan", "opponent") for member in war[side]["members"])


@pytest.mark.parametrize("side", ["clan", "opponent"])
def test_changed_lineup_is_carried_to_the_next_round(world: World, side: str) -> None:
    def lineup(war: Json) -> set[str]:
        own, other = sides(war, clan)
        return {member["tag"] for member in (own if side == "clan" else other)["members"]}

    clan = world.clan_tags[0]
    world.start_league(clan)
    before = lineup(wars_of(world)[-1])
    [change] = world.change_lineup(clan, "clan" if side == "clan" else "opponent")
    after = lineup(wars_of(world)[-1])
    assert change.details["side"] == side
    assert {one["tag"] for one in change.details["added"]} == after - before
    assert {one["tag"] for one in change.details["removed"]} == before - after
    if side == "clan":
        world.draw_round(clan)
        assert lineup(wars_of(world)[-1]) == after
    world.start_league_battle(clan)
    with pytest.raises(ImpossibleError, match="round 1 of the league is not in preparation"):
        world.change_lineup(clan, number=1)


def test_result_has_a_bonus_only_for_a_win(world: World) -> None:
    clan = world.clan_tags[0]
    play_league(world, clan)
    rounds = of_type(world.changes, "cwl_round_ended")
    assert [one["round"] for one in rounds] == list(range(1, 8))
    assert {one["result"] for one in rounds} >= {"win", "lose"}
    total = 0
    for details, war in zip(rounds, wars_of(world), strict=True):
        own, other = sides(war, clan)
        assert (details["stars"], details["opponent_stars"]) == (own["stars"], other["stars"])
        assert details["bonus_stars"] == (10 if details["result"] == "win" else 0)
        total += details["stars"] + details["bonus_stars"]
        assert details["total_stars"] == total
    [ended] = of_type(world.changes, "cwl_ended")
    assert ended["stars"] == total
    assert ended["won"] + ended["lost"] + ended["tied"] == 7
    assert ended["attacks"] + ended["missed"] == 7 * wars_of(world)[0]["teamSize"]


def test_standings_add_stars_bonus_and_destruction_of_all_wars(world: World) -> None:
    clan = world.clan_tags[0]
    play_league(world, clan)
    standings = world.league_standings(clan)
    assert [one.position for one in standings] == list(range(1, 9))
    assert [(one.stars, one.destruction) for one in standings] == sorted(
        ((one.stars, one.destruction) for one in standings), reverse=True
    )
    for standing in standings:
        wars = [sides(war, standing.tag) for war in wars_of(world, standing.tag)]
        destruction = sum(own["destructionPercentage"] * len(own["members"]) for own, _ in wars)
        assert round(destruction) == standing.destruction
        assert sum(own["stars"] for own, _ in wars) + 10 * standing.wins == standing.stars
        assert standing.wins + standing.losses + standing.ties == 7


def test_two_watched_clans_in_one_group_have_their_own_events(world: World) -> None:
    one, other = world.clan_tags
    world.start_league(one, also=[other])
    for number in range(7):
        if number:
            world.draw_round(one)
        play_round(world, one)
    assert group_of(world, one) == group_of(world, other)
    for event_type, count in (("cwl_started", 1), ("cwl_round_new", 7), ("cwl_round_ended", 7), ("cwl_ended", 1)):
        assert Counter(change.tag for change in world.changes if change.event_type == event_type) == {
            one: count,
            other: count,
        }


def test_war_of_two_watched_clans_has_events_for_both(world: World) -> None:
    one, other = world.clan_tags
    world.start_league(one, clans=2, also=[other])
    world.change_lineup(one)
    play_round(world, one)
    seen = {tag: [change for change in world.changes if change.tag == tag] for tag in (one, other)}
    assert [change.event_type for change in seen[one]] == [change.event_type for change in seen[other]]
    for event_type in ("cwl_attack_new", "cwl_lineup_changed"):
        for mine, theirs in zip(of_type(seen[one], event_type), of_type(seen[other], event_type), strict=True):
            assert {mine["side"], theirs["side"]} == {"clan", "opponent"}
            assert mine == {**theirs, "side": mine["side"], "opponent_tag": other}
    [mine], [theirs] = (of_type(seen[tag], "cwl_round_ended") for tag in (one, other))
    assert (mine["stars"], mine["opponent_stars"]) == (theirs["opponent_stars"], theirs["stars"])
    assert (mine["result"], theirs["result"]) in (("win", "lose"), ("lose", "win"), ("tie", "tie"))


@pytest.mark.parametrize(("start", "steps", "direction"), [(8, 1, "promoted"), (8, -2, "demoted"), (0, 4, "seeded")])
def test_new_war_league_has_a_direction(world: World, start: int, steps: int, direction: str) -> None:
    clan = world.clan_tags[0]

    def league() -> Json:
        return dict((world.clan(clan) or {})["warLeague"])

    world.promote_war_league(clan, start - (league()["id"] - 48000000))
    old = league()
    updated, changed = world.promote_war_league(clan, steps)
    assert updated.details == {"fields": ["warLeague"]}
    assert changed.details == {
        "old_id": old["id"],
        "old_name": old["name"],
        "new_id": league()["id"],
        "new_name": league()["name"],
        "direction": direction,
    }
    assert league()["id"] - old["id"] == steps


def test_wars_outlive_their_group_and_only_old_leagues_are_forgotten(world: World) -> None:
    clan = world.clan_tags[0]
    leagues = []
    for _ in range(3):
        play_league(world, clan)
        leagues.append([tag for tags in drawn_tags(world) for tag in tags])
        world.end_league(clan)
        world.leave_league(clan)
    known = [{world.league_war(tag) is not None for tag in tags} for tags in leagues]
    assert known == [{False}, {True}, {True}]


@pytest.mark.parametrize(
    "deed",
    [
        lambda world, clan: world.draw_round(clan),
        lambda world, clan: world.start_league_battle(clan),
        lambda world, clan: world.league_attack(clan),
        lambda world, clan: world.change_lineup(clan),
        lambda world, clan: world.end_league_battle(clan),
        lambda world, clan: world.shift_league_war(clan, timedelta(hours=1)),
        lambda world, clan: world.end_league(clan),
        lambda world, clan: world.leave_league(clan),
        lambda world, clan: world.promote_war_league(clan, 40),
    ],
)
def test_change_without_its_league_is_impossible(world: World, deed: Callable[[World, str], object]) -> None:
    before = world.clan(world.clan_tags[0])
    with pytest.raises(ImpossibleError):
        deed(world, world.clan_tags[0])
    assert world.changes == []
    assert world.clan(world.clan_tags[0]) == before


def test_running_league_rejects_another_one(world: World) -> None:
    clan, other = world.clan_tags
    world.start_league(clan)
    with pytest.raises(ImpossibleError, match="in a league already"):
        world.sign_up(clan)
    with pytest.raises(ImpossibleError, match="in a league already"):
        world.start_league(other, also=[clan])
    assert world.league_group(other) is None
    with pytest.raises(ImpossibleError, match="rounds are left"):
        world.end_league(clan)
