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

    from coc2mqtt.demo.changes import Kind, ScriptedChange

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
    World.level_up,
    World.upgrade_capital_hall,
    World.change_capital_league,
    World.promote_war_league,
    World.start_league,
    World.draw_round,
    World.change_lineup,
    World.start_league_battle,
    World.start_league_battle,
    World.league_attack,
    World.end_league_battle,
    World.start_raids,
    World.raid,
    World.raid_attack,
    World.raid_attack,
    World.raid_attack,
    World.end_raids,
]
# These have no event, or not always one.
SILENT_VERBS: list[Callable[[World, str], list[Any]]] = [
    lambda world, clan: world.shift_war(clan, timedelta(minutes=7)),
    lambda world, clan: world.shift_league_war(clan, timedelta(minutes=7)),
    World.sign_up,
    World.end_league,
    World.hide_league_tags,
    World.leave_league,
    World.raid_defense,
    lambda world, clan: world.raid_defense(clan, 1),
    lambda world, clan: world.end_raids(clan, rewarded=False),
    World.reward_raids,
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
    World.contribute,
]


def deeds_of(*silent: Callable[[World, str], list[Any]]) -> st.SearchStrategy[list[Any]]:
    return st.lists(
        st.tuples(st.sampled_from([*CLAN_VERBS, *silent]), st.just("clan_tags"), st.integers(0, 1))
        | st.tuples(st.sampled_from(PLAYER_VERBS), st.just("player_tags"), st.integers(0, 1)),
        max_size=60,
    )


DEEDS = deeds_of(*SILENT_VERBS)
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


def league_wars(world: World, clan: str) -> dict[str, Json]:
    """Return the wars of the clan's group by their tags."""
    rounds = (world.league_group(clan) or {}).get("rounds", [])
    tags = [tag for one in rounds for tag in one["warTags"] if tag != "#0"]
    return {tag: world.league_war(tag) or {} for tag in tags}


def league_of(world: World, clan: str) -> Json:
    return {"group": world.league_group(clan), "wars": league_wars(world, clan)}


def look(world: World) -> dict[tuple[Kind, str], Json | None]:
    bodies: dict[tuple[Kind, str], Json | None] = {
        **{("clan", tag): world.clan(tag) for tag in world.clan_tags},
        **{("war", tag): world.current_war(tag) for tag in world.clan_tags},
        **{("war_log", tag): world.war_log(tag) for tag in world.clan_tags},
        **{("cwl", tag): league_of(world, tag) for tag in world.clan_tags},
        **{("raid", tag): world.raid_seasons(tag) for tag in world.clan_tags},
        **{("player", tag): world.player(tag) for tag in world.player_tags},
    }
    return bodies


def kind_of(change: ScriptedChange) -> str:
    """Return the kind of the resource that shows the change."""
    prefix = change.event_type.split("_")[0]
    return prefix if prefix in ("war", "cwl", "raid") else change.kind


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
        if "attacksPerMember" in war:
            assert positions == list(range(1, war["teamSize"] + 1))
        assert len(set(positions)) == war["teamSize"]
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
            assert len({attack["defenderTag"] for attack in mine}) == len(mine) <= war.get("attacksPerMember", 1)
        attacks += made
    assert sorted(attack["order"] for attack in attacks) == list(range(1, len(attacks) + 1))
    assert all((attack["stars"] == 3) == (attack["destructionPercentage"] == 100) for attack in attacks)
    tags = [member["tag"] for side in ("clan", "opponent") for member in war[side]["members"]]
    assert len(set(tags)) == len(tags)
    assert all(normalize_tag(tag) == tag for tag in (*tags, war["opponent"]["tag"]))


def check_raids(weekend: Json) -> None:
    log, members = weekend["attackLog"], weekend["members"]
    attacks = [attack for raid in log for district in raid["districts"] for attack in district.get("attacks", [])]
    assert weekend["totalAttacks"] == sum(member["attacks"] for member in members) == len(attacks)
    loot = sum(district["totalLooted"] for raid in log for district in raid["districts"])
    assert weekend["capitalTotalLoot"] == sum(member["capitalResourcesLooted"] for member in members) == loot
    finishers = {attack["attacker"]["tag"] for attack in attacks if attack["destructionPercent"] == 100}
    assert finishers == {member["tag"] for member in members if member["bonusAttackLimit"]}
    assert all(0 < member["attacks"] <= member["attackLimit"] + member["bonusAttackLimit"] for member in members)
    assert weekend["enemyDistrictsDestroyed"] == sum(raid["districtsDestroyed"] for raid in log)
    for raid in [*log, *weekend["defenseLog"]]:
        districts = raid["districts"]
        assert raid["districtCount"] == len(districts) == len({district["id"] for district in districts})
        assert raid["attackCount"] == sum(district["attackCount"] for district in districts)
        assert raid["districtsDestroyed"] == sum(district["destructionPercent"] == 100 for district in districts)
        for district in districts:
            steps = [attack["destructionPercent"] for attack in district.get("attacks", [])]
            assert ("attacks" in district) == bool(district["attackCount"])
            assert steps == sorted(set(steps), reverse=True)
            assert max(steps, default=0) == district["destructionPercent"] <= 100
    rewarded = weekend["state"] == "ended"
    assert rewarded or not (weekend["offensiveReward"] or weekend["defensiveReward"])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), deeds=DEEDS)
def test_leagues_and_raids_stay_consistent(seed: int, deeds: list[Any]) -> None:
    world = new_world(seed)
    for tag in world.clan_tags:
        world.start_league(tag)
        world.start_raids(tag)
    do(world, deeds)
    for tag in world.clan_tags:
        for war in league_wars(world, tag).values():
            check_war(war)
        check_raids((world.raid_seasons(tag, 1) or {})["items"][0])


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
            mine = [change for change in changes if change.tag == tag and kind_of(change) == kind]
            # Making the war log private also hides the war, and the other wars of a league have no events.
            if kind == "cwl":
                assert body != before[kind, tag] or not mine
            elif kind != "war_log":
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
            **{("league_war", tag): war for one in world.clan_tags for tag, war in league_wars(world, one).items()},
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
