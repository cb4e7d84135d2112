"""Bodies stay consistent after any sequence of changes, and every visible change has an event."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from coc2mqtt.clash.tags import normalize_tag
from coc2mqtt.demo import ImpossibleError, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.demo.changes import Kind

Json = dict[str, Any]
CLAN_VERBS: list[Callable[[World, str], list[Any]]] = [
    World.join,
    World.leave,
    World.promote,
    World.demote,
    World.donate,
    World.reset_season,
    World.rename_member,
    World.upgrade_member_town_hall,
    World.gain_points,
    World.declare_war,
    World.start_battle,
    World.attack,
    World.attack,
    World.attack,
    World.end_war,
    World.clear_war,
    World.replace_war,
    lambda world, clan: world.set_war_log_public(clan, world.is_war_log_private(clan)),
]
PLAYER_VERBS: list[Callable[[World, str], list[Any]]] = [
    World.upgrade_troop,
    World.upgrade_spell,
    World.upgrade_hero,
    World.upgrade_equipment,
    World.wear_equipment,
    World.upgrade_town_hall,
    World.upgrade_town_hall_weapon,
    World.upgrade_builder_hall,
    World.rename_player,
    World.change_league,
    World.change_labels,
    World.win_trophies,
    World.boost_super_troop,
    World.boost_super_troop,
    World.end_super_troop,
    World.change_war_preference,
    World.leave_clan,
    World.join_clan,
    World.complete_achievement,
]


def deeds_of(*silent: Callable[[World, str], list[Any]]) -> st.SearchStrategy[list[Any]]:
    return st.lists(
        st.tuples(st.sampled_from([*CLAN_VERBS, *silent]), st.just("clan_tags"), st.integers(0, 1))
        | st.tuples(st.sampled_from(PLAYER_VERBS), st.just("player_tags"), st.integers(0, 1)),
        max_size=60,
    )


DEEDS = deeds_of(lambda world, clan: world.shift_war(clan, timedelta(minutes=7)))
TELLING_DEEDS = deeds_of()


def new_world(seed: int) -> World:
    return World(seed=seed, members=10, now=lambda: datetime(2026, 11, 24, tzinfo=UTC))


def do(world: World, deeds: list[Any]) -> None:
    for verb, tags, number in deeds:
        with suppress(ImpossibleError):
            verb(world, getattr(world, tags)[number])


def homes(world: World) -> list[Json]:
    """Return the clans of the watched players."""
    pages = [world.player(tag) or {} for tag in world.player_tags]
    tags = {page["clan"]["tag"] for page in pages if "clan" in page}
    return [clan for tag in tags if (clan := world.clan(tag)) is not None]


def opponents(world: World) -> set[str]:
    return {change.details["opponent_tag"] for change in world.changes if change.event_type == "war_new"}


def look(world: World) -> dict[tuple[Kind, str], Json | None]:
    bodies: dict[tuple[Kind, str], Json | None] = {
        **{("clan", tag): world.clan(tag) for tag in world.clan_tags},
        **{("war", tag): world.current_war(tag) for tag in world.clan_tags},
        **{("war_log", tag): world.war_log(tag) for tag in world.clan_tags},
        **{("player", tag): world.player(tag) for tag in world.player_tags},
    }
    return bodies


def check_clan(clan: Json) -> None:
    members = clan["memberList"]
    assert clan["members"] == len(members) <= 50
    assert len({member["tag"] for member in members}) == len(members)
    assert [member["role"] for member in members].count("leader") == 1
    assert {member["role"] for member in members} <= {"member", "admin", "coLeader", "leader"}
    assert [member["clanRank"] for member in members] == list(range(1, len(members) + 1))
    trophies = [member["trophies"] for member in members]
    assert trophies == sorted(trophies, reverse=True)
    for tag in (clan["tag"], *(member["tag"] for member in members)):
        assert normalize_tag(tag) == tag


def check_player(page: Json, homes: list[Json]) -> None:
    assert sum("superTroopIsActive" in troop for troop in page["troops"]) <= 2
    assert 1 <= page["townHallWeaponLevel"] <= 5
    pieces = {piece["name"]: piece for piece in page["heroEquipment"]}
    for hero in page["heroes"]:
        worn = hero.get("equipment", [])
        assert worn == [pieces[piece["name"]] for piece in worn]
        assert len({piece["name"] for piece in worn}) == (2 if hero["village"] == "home" else 0)
    entries = [(clan["tag"], one) for clan in homes for one in clan["memberList"] if one["tag"] == page["tag"]]
    assert ("clan" in page) == ("role" in page) == bool(entries)
    for tag, entry in entries:
        assert tag == page["clan"]["tag"]
        assert {key: page[key] for key in entry.keys() & page.keys()} == {
            key: entry[key] for key in entry.keys() & page.keys()
        }


def check_war(war: Json) -> None:
    if war["state"] == "notInWar":
        return
    attacks = []
    for side, other in (("clan", "opponent"), ("opponent", "clan")):
        own, against = war[side], war[other]
        made = [attack for member in own["members"] for attack in member.get("attacks", [])]
        assert len(own["members"]) == war["teamSize"]
        assert own["attacks"] == len(made)
        positions = sorted(member["mapPosition"] for member in own["members"])
        assert positions == list(range(1, war["teamSize"] + 1))
        stars, destruction = 0, 0.0
        for base in against["members"]:
            suffered = [attack for attack in made if attack["defenderTag"] == base["tag"]]
            assert base["opponentAttacks"] == len(suffered)
            if not suffered:
                assert "bestOpponentAttack" not in base
                continue
            best = base["bestOpponentAttack"]
            assert best in suffered
            assert (best["stars"], best["destructionPercentage"]) == max(
                (attack["stars"], attack["destructionPercentage"]) for attack in suffered
            )
            stars += best["stars"]
            destruction += best["destructionPercentage"]
        assert own["stars"] == stars
        assert abs(own["destructionPercentage"] - destruction / war["teamSize"]) < 0.0001
        for member in own["members"]:
            mine = member.get("attacks", [])
            assert all(attack["attackerTag"] == member["tag"] for attack in mine)
            assert len({attack["defenderTag"] for attack in mine}) == len(mine) <= war["attacksPerMember"]
        attacks += made
    assert sorted(attack["order"] for attack in attacks) == list(range(1, len(attacks) + 1))
    assert all((attack["stars"] == 3) == (attack["destructionPercentage"] == 100) for attack in attacks)
    tags = [member["tag"] for side in ("clan", "opponent") for member in war[side]["members"]]
    assert len(set(tags)) == len(tags)
    assert all(normalize_tag(tag) == tag for tag in (*tags, war["opponent"]["tag"]))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), deeds=DEEDS)
def test_clans_wars_and_players_stay_consistent(seed: int, deeds: list[Any]) -> None:
    world = new_world(seed)
    do(world, deeds)
    for (kind, _), body in look(world).items():
        if body is not None and kind == "clan":
            check_clan(body)
        elif body is not None and kind == "war":
            check_war(body)
        elif body is not None and kind == "player":
            check_player(body, homes(world))
    for clan in homes(world):
        check_clan(clan)
    for tag in opponents(world):
        check_war(world.current_war(tag) or {"state": "notInWar"})


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), deeds=TELLING_DEEDS)
def test_each_change_affects_only_its_resources(seed: int, deeds: list[Any]) -> None:
    world = new_world(seed)
    for deed in deeds:
        before, said = look(world), len(world.changes)
        do(world, [deed])
        after, changes = look(world), world.changes[said:]
        for (kind, tag), body in after.items():
            mine = [
                change
                for change in changes
                if change.tag == tag and ("war" if change.event_type.startswith("war_") else change.kind) == kind
            ]
            # Making the war log private also hides the war.
            if kind != "war_log":
                assert (body != before[kind, tag]) == bool(mine)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), deeds=DEEDS)
def test_version_changes_with_the_body(seed: int, deeds: list[Any]) -> None:
    def look_everywhere(world: World) -> dict[tuple[Kind, str], Json | None]:
        clans = [world.clan(tag) for tag in world.clan_tags]
        members = [member["tag"] for clan in clans if clan is not None for member in clan["memberList"]]
        more: dict[tuple[Kind, str], Json | None] = {
            **{("war", tag): world.current_war(tag) for tag in opponents(world)},
            **{("player", tag): world.player(tag) for tag in members},
            **{("clan", clan["tag"]): clan for clan in homes(world)},
        }
        return {**look(world), **more}

    world = new_world(seed)
    for deed in deeds[:25]:
        before = look_everywhere(world)
        versions = {key: world.version(*key) for key in before}
        do(world, [deed])
        after = look_everywhere(world)
        for key, body in before.items():
            # A player who left is not requested again.
            assert body == after.get(key, body) or world.version(*key) != versions[key]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), deeds=DEEDS)
def test_reported_fields_are_the_differing_ones(seed: int, deeds: list[Any]) -> None:
    world = new_world(seed)
    for deed in deeds:
        tag = world.clan_tags[deed[2]]
        before, said = world.clan(tag), len(world.changes)
        do(world, [deed])
        after = world.clan(tag)
        assert before is not None
        assert after is not None
        changes = [change for change in world.changes[said:] if change.tag == tag]
        fields = sorted(
            key for key in before.keys() | after.keys() if key != "memberList" and before.get(key) != after.get(key)
        )
        assert [change.details["fields"] for change in changes if change.event_type == "clan_updated"] == (
            [fields] if fields else []
        )
        old, new = ({member["tag"]: member for member in body["memberList"]} for body in (before, after))
        for event_type, expected in (
            ("member_joined", new.keys() - old.keys()),
            ("member_left", old.keys() - new.keys()),
        ):
            assert {change.details["member_tag"] for change in changes if change.event_type == event_type} == expected
        if "season_reset" in [change.event_type for change in changes]:
            assert {member[field] for member in new.values() for field in ("donations", "donationsReceived")} == {0}
            continue
        for member in old.keys() & new.keys():
            for field in ("donations", "donationsReceived"):
                gained = [
                    change.details[field]
                    for change in changes
                    if change.event_type == "member_donations" and change.details["member_tag"] == member
                ]
                assert new[member][field] - old[member][field] == sum(gained) >= 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), deeds=DEEDS)
def test_equal_changes_of_equal_worlds_have_equal_results(seed: int, deeds: list[Any]) -> None:
    one, other = new_world(seed), new_world(seed)
    do(one, deeds)
    do(other, deeds)
    assert one.changes == other.changes
    assert look(one) == look(other)
