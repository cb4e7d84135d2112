"""A war from its declaration to its end, with a public or private war log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coc2mqtt.demo import ImpossibleError, World

Json = dict[str, Any]
NOON = datetime(2026, 11, 24, 12, 0, 0, 700_000, tzinfo=UTC)


def clan_of(world: World) -> Json:
    body = world.clan(world.clan_tags[0])
    assert body is not None
    return body


def war_of(world: World) -> Json:
    body = world.current_war(world.clan_tags[0])
    assert body is not None
    return body


def test_war_has_all_states_and_times() -> None:
    world = World(now=lambda: NOON)
    clan = world.clan_tags[0]
    assert war_of(world)["state"] == "notInWar"
    world.declare_war(clan, timedelta(minutes=5), timedelta(minutes=10))
    states = [war_of(world)["state"]]
    for verb in (world.start_battle, world.attack, world.end_war):
        verb(clan)
        states.append(war_of(world)["state"])
    assert states == ["preparation", "inWar", "inWar", "warEnded"]
    body = war_of(world)
    assert [body[key] for key in ("preparationStartTime", "startTime", "endTime")] == [
        "20261124T120000.000Z",
        "20261124T120500.000Z",
        "20261124T121500.000Z",
    ]
    world.clear_war(clan)
    assert war_of(world)["state"] == "notInWar"
    assert [change.event_type for change in world.changes] == [
        "war_new",
        "war_state_changed",
        "war_state_changed",
        "war_attack_new",
        "war_state_changed",
        "war_ended",
        "clan_updated",
        "war_state_changed",
    ]
    assert [
        (change.details["war_state_from"], change.details["war_state_to"])
        for change in world.changes
        if change.event_type == "war_state_changed"
    ] == [
        ("notInWar", "preparation"),
        ("preparation", "inWar"),
        ("inWar", "warEnded"),
        ("warEnded", "notInWar"),
    ]


def test_new_war_can_follow_an_ended_one_at_once(world: World) -> None:
    clan = world.clan_tags[0]
    world.declare_war(clan)
    world.start_battle(clan)
    world.end_war(clan)
    new, changed = world.declare_war(clan)
    assert new.event_type == "war_new"
    assert changed.details == {"war_state_from": "warEnded", "war_state_to": "preparation"}


def test_war_end_counts_in_the_clan_by_score() -> None:
    results = set()
    for seed in range(30):
        world = World(seed=seed)
        clan = world.clan_tags[0]
        world.declare_war(clan)
        world.start_battle(clan)
        # A war without attacks is a tie.
        for _ in range(seed % 3):
            world.attack(clan)
        before = clan_of(world)
        _, ended, counted = world.end_war(clan)
        after, war = clan_of(world), war_of(world)
        ours, theirs = ((war[side]["stars"], war[side]["destructionPercentage"]) for side in ("clan", "opponent"))
        field = "warWins" if ours > theirs else "warLosses" if ours < theirs else "warTies"
        assert after[field] == before[field] + 1
        assert after["warWinStreak"] == (before["warWinStreak"] + 1 if ours > theirs else 0)
        assert counted.details["fields"] == sorted(key for key in after if after[key] != before[key])
        result = {"warWins": "win", "warLosses": "lose", "warTies": "tie"}[field]
        assert ended.details == {"opponent_tag": war["opponent"]["tag"], "result": result, "observed": True}
        results.add(field)
    assert results == {"warWins", "warLosses", "warTies"}


def test_war_allows_exactly_all_attacks() -> None:
    world = World(members=10)
    clan = world.clan_tags[0]
    world.declare_war(clan)
    world.start_battle(clan)
    for _ in range(20):
        world.attack(clan, "clan")
    with pytest.raises(ImpossibleError, match="used up"):
        world.attack(clan, "clan")
    for _ in range(20):
        world.attack(clan)
    with pytest.raises(ImpossibleError, match="used up"):
        world.attack(clan)


def test_war_members_do_not_change_with_the_clan(world: World) -> None:
    clan = world.clan_tags[0]
    world.declare_war(clan)
    before = war_of(world)
    leaver = next(one["tag"] for one in clan_of(world)["memberList"] if one["role"] == "member")
    world.leave(clan, leaver)
    world.rename_member(clan)
    assert war_of(world) == before


def test_private_war_log_hides_war_and_record_until_public_again(world: World) -> None:
    clan = world.clan_tags[0]
    world.declare_war(clan)
    body, war = clan_of(world), war_of(world)
    updated, private = world.set_war_log_public(clan, public=False)
    hidden = clan_of(world)
    assert updated.details["fields"] == sorted(key for key in body if body[key] != hidden.get(key))
    assert private.event_type == "war_log_private"
    assert world.is_war_log_private(clan)
    assert world.current_war(clan) is None
    with pytest.raises(ImpossibleError, match="private"):
        world.start_battle(clan)
    _, public = world.set_war_log_public(clan, public=True)
    assert public.event_type == "war_log_public"
    assert (clan_of(world), war_of(world)) == (body, war)


@pytest.mark.parametrize("by", [timedelta(minutes=55, seconds=16), timedelta(hours=-1)])
def test_maintenance_shifts_war_times_without_an_event(world: World, by: timedelta) -> None:
    clan = world.clan_tags[0]
    world.declare_war(clan)
    before, said = war_of(world), len(world.changes)
    assert world.shift_war(clan, by) == []
    after = war_of(world)
    for key in ("startTime", "endTime"):
        old, new = (datetime.strptime(body[key], "%Y%m%dT%H%M%S.000Z").replace(tzinfo=UTC) for body in (before, after))
        assert new - old == by
    assert {**before, "startTime": 0, "endTime": 0} == {**after, "startTime": 0, "endTime": 0}
    assert len(world.changes) == said


def test_ended_war_cannot_be_shifted(world: World) -> None:
    clan = world.clan_tags[0]
    for verb in (world.declare_war, world.start_battle, world.end_war):
        verb(clan)
    with pytest.raises(ImpossibleError, match="warEnded, not in preparation or inWar"):
        world.shift_war(clan, timedelta(hours=1))


@pytest.mark.parametrize("attacks", [0, 3])
def test_war_can_be_replaced_before_its_end_is_visible(world: World, attacks: int) -> None:
    clan = world.clan_tags[0]
    world.declare_war(clan)
    if attacks:
        world.start_battle(clan)
    for _ in range(attacks):
        world.attack(clan, "clan")
    before, old = clan_of(world), war_of(world)
    ended, new, changed, counted = world.replace_war(clan, timedelta(minutes=5), timedelta(minutes=10))
    war, after = war_of(world), clan_of(world)
    assert (ended.event_type, ended.details) == (
        "war_ended",
        {"opponent_tag": old["opponent"]["tag"], "result": "win" if attacks else "tie", "observed": False},
    )
    assert (new.event_type, new.details) == ("war_new", {"opponent_tag": war["opponent"]["tag"]})
    assert (changed.event_type, changed.details) == (
        "war_state_changed",
        {"war_state_from": "warEnded", "war_state_to": "preparation"},
    )
    assert counted.details["fields"] == sorted(key for key in after if after[key] != before[key])
    assert (war["state"], war["clan"]["attacks"], war["endTime"]) == ("preparation", 0, "20261124T121500.000Z")
    assert war["opponent"]["tag"] != old["opponent"]["tag"]


def test_ended_war_cannot_be_replaced(world: World) -> None:
    clan = world.clan_tags[0]
    for verb in (world.declare_war, world.start_battle, world.end_war):
        verb(clan)
    before, said = war_of(world), len(world.changes)
    with pytest.raises(ImpossibleError, match="warEnded"):
        world.replace_war(clan)
    assert (war_of(world), len(world.changes)) == (before, said)


def test_clan_too_small_for_a_new_war_keeps_its_war() -> None:
    world = World(members=5)
    clan = world.clan_tags[0]
    world.declare_war(clan)
    world.leave(clan)
    before, said = war_of(world), len(world.changes)
    with pytest.raises(ImpossibleError, match="fewer than 5"):
        world.replace_war(clan)
    assert (war_of(world), len(world.changes)) == (before, said)
