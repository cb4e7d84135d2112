"""The story of the demo in simulated time."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest

from coc2mqtt.clash.response import parse_unix_time
from coc2mqtt.demo import Script, ScriptedChange, Step, World, demo_script, play

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SEEDS = pytest.mark.parametrize("seed", [1, 2, 3])


class EnoughError(Exception):
    """Ends the endless story."""


class Seen(NamedTuple):
    time: float
    change: ScriptedChange

    @property
    def resource(self) -> tuple[str, str]:
        prefix = self.change.event_type.split("_")[0]
        return prefix if prefix in ("war", "cwl", "raid") else self.change.kind, self.change.tag


class Stage:
    """A world in which time passes only when the story sleeps; ``seen`` has the changes by second."""

    def __init__(self, seed: int = 1, *, clans: int = 2, players: int = 2, members: int | None = None) -> None:
        self.time = 0.0
        self.seen: list[Seen] = []
        self.sizes: set[int] = set()
        self.world = World(
            seed=seed,
            now=lambda: NOON + timedelta(seconds=self.time),
            clans=clans,
            players=players,
            members=members,
        )

    async def tell(self, script: Script, seconds: float, *, speed: float = 1.0) -> list[Seen]:
        async def sleep(delay: float) -> None:
            self._note()
            self.time += delay
            if self.time > seconds:
                raise EnoughError

        with pytest.raises(EnoughError):
            await play(self.world, script, speed=speed, sleep=sleep)
        return self.seen

    def _note(self) -> None:
        new = [Seen(self.time, change) for change in self.world.changes[len(self.seen) :]]
        self.seen += new
        moved = {seen.change.tag for seen in new if seen.change.event_type in ("member_joined", "member_left")}
        self.sizes |= {(self.world.clan(tag) or {})["members"] for tag in moved}


_Story = tuple[float, int, int, int, int | None]
_told: dict[_Story, Stage] = {}


async def tell_demo(
    seconds: float, seed: int = 1, *, clans: int = 2, players: int = 2, members: int | None = None
) -> Stage:
    """Play the story once for all tests, which must not modify it."""
    story = (seconds, seed, clans, players, members)
    if story not in _told:
        stage = Stage(seed, clans=clans, players=players, members=members)
        await stage.tell(demo_script(stage.world, seed), seconds)
        _told[story] = stage
    return _told[story]


@SEEDS
async def test_story_shows_war_maintenance_and_more_within_45_seconds(seed: int) -> None:
    stage = await tell_demo(45, seed)
    types = {seen.change.event_type for seen in stage.seen}
    assert types >= {
        *("clan_updated", "member_joined", "member_left", "member_role_changed", "member_donations", "member_updated"),
        *("war_new", "war_state_changed", "war_attack_new", "war_ended"),
        *("troop_upgraded", "spell_upgraded", "hero_upgraded", "hero_equipment_upgraded", "townhall_upgraded"),
        *("builderhall_upgraded", "player_name_changed", "player_league_changed", "player_label_changed"),
        *("player_updated", "maintenance_start", "maintenance_end"),
    }
    assert stage.seen[0].time == 4.0


@SEEDS
@pytest.mark.parametrize(("clans", "players"), [(1, 1), (2, 2)])
async def test_story_shows_rarer_changes_within_62_seconds(seed: int, clans: int, players: int) -> None:
    stage = await tell_demo(62, seed, clans=clans, players=players)
    assert {seen.change.event_type for seen in stage.seen} >= {
        *("season_reset", "townhall_weapon_upgraded", "super_troop_started", "super_troop_ended"),
        *("hero_equipment_changed", "player_war_preference_changed", "achievement_completed"),
        *("player_clan_left", "player_clan_joined"),
    }
    ends = [seen.change.details["observed"] for seen in stage.seen if seen.change.event_type == "war_ended"]
    assert ends == [True, False, True]


@SEEDS
@pytest.mark.parametrize(("clans", "players"), [(1, 1), (2, 2)])
async def test_story_shows_a_league_and_a_raid_weekend_within_90_seconds(seed: int, clans: int, players: int) -> None:
    stage = await tell_demo(90, seed, clans=clans, players=players)
    count = Counter(seen.change.event_type for seen in stage.seen)
    assert [count[one] for one in ("cwl_started", "cwl_round_new", "cwl_round_ended", "cwl_ended")] == [1, 7, 7, 1]
    assert (count["cwl_attack_new"], count["cwl_lineup_changed"], count["clan_war_league_changed"]) == (70, 4, 1)
    assert [count[one] for one in ("raid_started", "raid_defense_ended", "raid_ended")] == [1, 1, 1]
    assert min(count[one] for one in ("raid_opponent_new", "raid_district_destroyed", "raid_clan_destroyed")) >= 1
    assert count["raid_attack_new"] >= 10
    progress = ("clan_level_up", "capital_hall_upgraded", "clan_capital_league_changed", "capital_contribution")
    assert all(count[one] for one in progress)


@SEEDS
async def test_first_league_has_overlapping_battles_a_gap_and_a_maintenance(seed: int) -> None:
    def state_of(number: int, time: float) -> str:
        """Return the state of a round at a time, empty before its draw."""
        states = [
            seen.change.details["war_state_to"]
            for seen in stage.seen
            if seen.change.event_type == "cwl_round_state_changed"
            and (seen.change.details["round"], seen.time <= time) == (number, True)
        ]
        return states[-1] if states else ""

    stage = await tell_demo(90, seed)
    [begin] = [seen.time for seen in stage.seen if seen.change.event_type == "maintenance_start"]
    assert state_of(2, begin) == "inWar"
    times = sorted({seen.time for seen in stage.seen})
    battles = [[number for number in range(1, 8) if state_of(number, time) == "inWar"] for time in times]
    assert max(map(len, battles)) == 2
    [first, *_, last] = [place for place, one in enumerate(battles) if one]
    assert [] in battles[first:last]
    sides = {seen.change.details["side"] for seen in stage.seen if seen.change.event_type == "cwl_lineup_changed"}
    assert sides == {"clan", "opponent"}


@SEEDS
async def test_story_shows_a_complete_war_within_45_seconds(seed: int) -> None:
    stage = await tell_demo(45, seed)
    states = [
        seen.change.details["war_state_to"] for seen in stage.seen if seen.change.event_type == "war_state_changed"
    ]
    # The next war may have started by then.
    assert states[:4] == ["preparation", "inWar", "warEnded", "notInWar"]
    attackers = [
        seen.change.details["attacker_tag"] for seen in stage.seen if seen.change.event_type == "war_attack_new"
    ]
    own = {member["tag"] for member in (stage.world.clan(stage.world.clan_tags[0]) or {})["memberList"]}
    own |= {seen.change.details["member_tag"] for seen in stage.seen if seen.change.event_type == "member_left"}
    assert len(attackers) >= 4
    assert {attacker in own for attacker in attackers} == {True, False}


@SEEDS
async def test_some_wars_and_the_first_raid_weekend_are_longer_than_a_reminder(seed: int) -> None:
    """A minute before the end, members have attacked, and members have attacks left."""

    async def at(seconds: float) -> World:
        stage = Stage(seed)
        await stage.tell(demo_script(stage.world, seed), seconds)
        return stage.world

    world = await at(24.5)
    first = world.clan_tags[0]
    [weekend] = (world.raid_seasons(first, 1) or {})["items"]
    assert seconds_until(weekend["endTime"], 24.5) == pytest.approx(60.0, abs=1.0)
    assert 1 <= len(weekend["members"]) < len((world.clan(first) or {})["memberList"])

    seen = (await tell_demo(300, seed)).seen
    states = [one for one in seen if one.change.event_type == "war_state_changed"]
    [(start, end)] = [(one.time, other.time) for one, other in pairwise(states) if other.time - one.time > 60.0]
    war = (await at(end - 60.0)).current_war(next(one.change.tag for one in states if one.time == start)) or {}
    assert war["state"] == "inWar"
    assert seconds_until(war["endTime"], end - 60.0) == pytest.approx(60.0, abs=1.1)
    assert 1 <= sum(len(one.get("attacks", ())) for one in war["clan"]["members"]) < 2 * len(war["clan"]["members"])


def seconds_until(api_time: str, seconds: float) -> float:
    return (parse_unix_time(api_time) or 0.0) - NOON.timestamp() - seconds


@SEEDS
@pytest.mark.parametrize(("clans", "players"), [(1, 1), (2, 2), (6, 6)])
async def test_changes_of_one_resource_keep_a_minimum_gap(seed: int, clans: int, players: int) -> None:
    stage = await tell_demo(300, seed, clans=clans, players=players)
    times: dict[tuple[str, str], set[float]] = defaultdict(set)
    for seen in stage.seen:
        times[seen.resource].add(seen.time)
    gaps = [later - earlier for moments in times.values() for earlier, later in pairwise(sorted(moments))]
    assert len(gaps) > 70
    assert min(gaps) >= 1.5


@pytest.mark.slow
@SEEDS
async def test_story_has_no_changes_around_a_maintenance(seed: int) -> None:
    stage = await tell_demo(1500, seed)
    begins = [seen.time for seen in stage.seen if seen.change.event_type == "maintenance_start"]
    ends = [seen.time for seen in stage.seen if seen.change.event_type == "maintenance_end"]
    assert len(begins) >= 4
    assert max(later - earlier for earlier, later in pairwise(begins)) < 400
    assert ends[0] - begins[0] == pytest.approx(6)
    for begin, end in zip(begins, ends, strict=False):
        assert 5.9 < end - begin < 16
        assert [seen for seen in stage.seen if begin - 2 < seen.time < end + 3 and seen.change.kind != "api"] == []


@SEEDS
async def test_each_war_state_lasts_longer_than_three_seconds(seed: int) -> None:
    stage = await tell_demo(1500, seed)
    entered: dict[str, float] = {}
    wars = 0
    shown: list[float] = []
    for seen in stage.seen:
        if seen.change.event_type == "war_state_changed":
            if seen.change.tag in entered and seen.change.details["war_state_from"] != "notInWar":
                assert seen.time - entered[seen.change.tag] > 3
            if seen.change.details["war_state_to"] == "notInWar":
                shown.append(seen.time - entered[seen.change.tag])
            entered[seen.change.tag] = seen.time
            wars += seen.change.details["war_state_to"] == "warEnded"
    assert wars >= 10
    # The bridge publishes an end after seeing it twice.
    assert min(shown) >= 3.5


@SEEDS
async def test_story_keeps_replacing_wars_and_starting_seasons(seed: int) -> None:
    stage = await tell_demo(1500, seed)
    late = [seen.change for seen in stage.seen if seen.time > 100]
    assert {change.details["observed"] for change in late if change.event_type == "war_ended"} == {True, False}
    assert sum(change.event_type == "season_reset" for change in late) >= 5


@pytest.mark.parametrize("speed", [1.0, 4.0])
async def test_war_starts_and_ends_at_its_times(speed: float) -> None:
    stage = Stage()
    seen = await stage.tell(demo_script(stage.world, 1), 24 / speed, speed=speed)
    war = stage.world.current_war(stage.world.clan_tags[0])
    assert war == {**(war or {}), "state": "notInWar"}

    stage = Stage()
    await stage.tell(demo_script(stage.world, 1), 16.5 / speed, speed=speed)
    war = stage.world.current_war(stage.world.clan_tags[0]) or {}
    at = {one.change.details["war_state_to"]: one.time for one in seen if one.change.event_type == "war_state_changed"}
    for key, state in (("preparationStartTime", "preparation"), ("startTime", "inWar"), ("endTime", "warEnded")):
        said = datetime.strptime(war[key], "%Y%m%dT%H%M%S.000Z").replace(tzinfo=UTC)
        # The API has a resolution of one second.
        assert 0 <= at[state] - (said - NOON).total_seconds() < 1.001


@pytest.mark.parametrize("speed", [1.0, 4.0])
async def test_league_and_raids_have_their_times(speed: float) -> None:
    stage = Stage()
    seen = await stage.tell(demo_script(stage.world, 1), 85 / speed, speed=speed)

    def at(event_type: str, **details: object) -> float:
        [time] = [
            one.time
            for one in seen
            if one.change.event_type == event_type and details.items() <= one.change.details.items()
        ]
        return time

    def check(text: str, time: float) -> None:
        said = datetime.strptime(text, "%Y%m%dT%H%M%S.000Z").replace(tzinfo=UTC)
        # The API has a resolution of one second.
        assert 0 <= time - (said - NOON).total_seconds() < 1.001

    tags = {one.change.details["round"]: one.change.details["war_id"] for one in seen if "war_id" in one.change.details}
    assert len(tags) == 7
    for number, tag in tags.items():
        war = stage.world.league_war(tag) or {}
        check(war["preparationStartTime"], at("cwl_round_new", round=number))
        check(war["startTime"], at("cwl_round_state_changed", round=number, war_state_to="inWar"))
        check(war["endTime"], at("cwl_round_state_changed", round=number, war_state_to="warEnded"))
    weekend = (stage.world.raid_seasons(stage.world.clan_tags[0]) or {})["items"][0]
    check(weekend["startTime"], at("raid_started"))
    check(weekend["endTime"], at("raid_ended"))


@SEEDS
async def test_story_continues_with_all_changes_and_bounded_clans(seed: int) -> None:
    stage = await tell_demo(1500, seed)
    late = {seen.change.event_type for seen in stage.seen if seen.time > 92}
    assert late >= {
        *("clan_updated", "member_joined", "member_left", "member_role_changed", "member_donations", "member_updated"),
        *("war_new", "war_state_changed", "war_attack_new", "war_ended", "war_log_private", "war_log_public"),
        *("troop_upgraded", "spell_upgraded", "hero_upgraded", "hero_equipment_upgraded", "player_name_changed"),
        *("player_league_changed", "player_label_changed", "player_updated", "maintenance_start", "maintenance_end"),
        *("townhall_weapon_upgraded", "super_troop_started", "super_troop_ended", "hero_equipment_changed"),
        *("player_war_preference_changed", "achievement_completed", "player_clan_left", "player_clan_joined"),
        *("season_reset", "clan_level_up", "capital_hall_upgraded", "clan_capital_league_changed"),
        *("cwl_started", "cwl_round_new", "cwl_round_state_changed", "cwl_lineup_changed", "cwl_attack_new"),
        *("cwl_round_ended", "cwl_ended", "clan_war_league_changed", "raid_started", "raid_opponent_new"),
        *("raid_attack_new", "raid_district_destroyed", "raid_clan_destroyed", "raid_defense_ended", "raid_ended"),
        "capital_contribution",
    }
    assert min(stage.sizes) >= 8
    assert max(stage.sizes) <= 50


@pytest.mark.parametrize("members", [8, 50])
async def test_clan_sizes_stay_within_limits(members: int) -> None:
    stage = await tell_demo(600, members=members)
    assert min(stage.sizes) >= 8
    assert max(stage.sizes) <= 50
    assert {"member_joined", "member_left"} <= {seen.change.event_type for seen in stage.seen}


async def test_story_depends_only_on_the_seed() -> None:
    one, same, other = [Stage(seed) for seed in (3, 3, 4)]
    for stage in (one, same, other):
        await stage.tell(demo_script(stage.world, 3 if stage is not other else 4), 300)
    assert one.seen == same.seen
    assert [seen.time for seen in one.seen] != [seen.time for seen in other.seen]


async def test_script_plays_at_its_speed_and_ends_after_its_last_step() -> None:
    world, slept = World(), []

    def steps(speed: float) -> Iterator[Step]:
        yield Step(3.0, f"a join at speed {speed}", lambda world: world.join(world.clan_tags[0]))
        yield Step(1.0, "some points", lambda world: world.gain_points(world.clan_tags[0]))

    async def sleep(delay: float) -> None:
        slept.append((delay, len(world.changes)))

    await play(world, Script(steps), speed=2.0, sleep=sleep)
    assert slept == [(1.5, 0), (0.5, 2)]
    assert [change.event_type for change in world.changes] == ["clan_updated", "member_joined", "clan_updated"]


@pytest.mark.looptime
async def test_default_clock_is_real_time() -> None:
    world = World()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(play(world, demo_script(world)), 45.0)
    assert len({change.event_type for change in world.changes}) >= 16
