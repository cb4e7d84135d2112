"""The scenario of a run: a steady stream of changes in which every lost change can be detected."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

from coc2mqtt.demo import ImpossibleError, World

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.chaos.ground_truth import GroundTruth

    Change = Callable[["Scenario", str], object]

_BATTLE = timedelta(hours=24)
_GROUP = "/currentwar/leaguegroup"
# The share of the steps of a league that draw the next round early, and of a weekend that are attacks on the clan.
_EARLY_DRAWS = 0.02
_DEFENSES = 0.1
# A weekend ends with this many destroyed districts, about the number that a clan reaches in a long run.
_DISTRICTS = 12


class Scenario:
    """Changes a world with ``pause_s`` between the changes, and records the ground truth.

    Nearly all changes are monotonic: levels and figures rise, members join or leave for good, attacks are made. A
    bridge that could not poll for a while may merge changes, but every unreported change shows at the end. ``clock``
    returns the seconds since the start of the run.
    """

    def __init__(
        self,
        world: World,
        truth: GroundTruth,
        rng: random.Random,
        *,
        pause_s: tuple[float, float],
        clock: Callable[[], float],
    ) -> None:
        self.change_count = 0
        self._world = world
        self._truth = truth
        self._rng = rng
        self._pause = pause_s
        self._clock = clock
        self._next_path: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        # Only members of the first poll may leave: one who joins and leaves between two polls is never reported.
        self._initial_members = {tag: self._ordinary(tag) for tag in world.clan_tags}

    async def play(self) -> None:
        """Apply one change after another until cancelled."""
        while True:
            await asyncio.sleep(self._rng.uniform(*self._pause))
            self.apply_change()

    async def next_change(self) -> str:
        """Wait for the next change, and return the API path that returns it."""
        return await asyncio.shield(self._next_path)

    def apply_change(self) -> None:
        """Apply one random change that is possible."""
        while True:
            change, tags, suffix = self._rng.choice(_CHANGES)
            clans = tags == "clans"
            tag = self._rng.choice(self._world.clan_tags if clans else self._world.player_tags)
            try:
                change(self, tag)
            except ImpossibleError:
                continue
            self.change_count += 1
            # A league changes for each of its clans.
            for changed in self._world.clan_tags if suffix == _GROUP else (tag,):
                self._truth.record(changed, self._clock())
            self._next_path.set_result(f"/v1/{tags}/{tag}{suffix}")
            self._next_path = asyncio.get_running_loop().create_future()
            return

    def _fight(self, clan: str) -> None:
        """Take the next step of a war: declaration, start of the battle, then attacks."""
        state = (self._world.current_war(clan) or {})["state"]
        if state == "notInWar":
            self._world.declare_war(clan, timedelta(0), _BATTLE)
        elif state == "preparation":
            self._world.start_battle(clan)
        else:
            self._world.attack(clan)

    def _play_league(self, clan: str) -> None:
        """Take the next step of the only league of a clan: all attacks of a battle, its end, and the next one.

        All members attack, because the result of a round is published minutes later otherwise.
        """
        world = self._world
        if world.league_group(clan) is None:
            free = [tag for tag in world.clan_tags if tag != clan and world.league_group(tag) is None]
            world.start_league(clan, also=free[:1], team_size=5, preparation=timedelta(0), battle=_BATTLE)
        elif self._rng.random() < _EARLY_DRAWS:
            world.draw_round(clan, timedelta(0), _BATTLE)
        else:
            steps = (world.league_attack, world.end_league_battle, world.start_league_battle, world.draw_round)
            _take_first_possible(clan, *steps)

    def _raid(self, clan: str) -> None:
        """Take the next step of the only raid weekend of a clan."""
        world = self._world
        weekends = (world.raid_seasons(clan) or {})["items"]
        if not weekends:
            world.start_raids(clan, districts=4)
        elif weekends[0]["enemyDistrictsDestroyed"] >= _DISTRICTS:
            world.end_raids(clan)
        elif self._rng.random() < _DEFENSES:
            world.raid_defense(clan, 4)
        else:
            _take_first_possible(clan, world.raid_attack, world.raid, world.end_raids)

    def _leave(self, clan: str) -> None:
        if not self._initial_members[clan]:
            raise ImpossibleError("all initial members have left")
        leaving = self._rng.choice(self._initial_members[clan])
        self._initial_members[clan].remove(leaving)
        self._world.leave(clan, leaving)

    def _donate(self, clan: str) -> None:
        # The earlier donations of a new member are not reported.
        self._world.donate(clan, self._rng.choice(self._initial_members[clan]) if self._initial_members[clan] else None)

    def _ordinary(self, clan: str) -> list[str]:
        members = (self._world.clan(clan) or {})["memberList"]
        return [member["tag"] for member in members if member["role"] != "leader"]


def _take_first_possible(clan: str, *steps: Callable[[str], object]) -> None:
    for step in steps[:-1]:
        with contextlib.suppress(ImpossibleError):
            step(clan)
            return
    steps[-1](clan)


def _world_change(change: Callable[[World, str], object]) -> Change:
    return lambda scenario, tag: change(scenario._world, tag)


# The change, its subject, and the suffix of the path that returns it. Repeated entries are drawn more often.
_CHANGES: list[tuple[Change, str, str]] = [
    *[(Scenario._fight, "clans", "/currentwar")] * 5,
    *[(Scenario._play_league, "clans", _GROUP)] * 4,
    *[(Scenario._raid, "clans", "/capitalraidseasons")] * 3,
    *[(_world_change(World.join), "clans", "")] * 2,
    (Scenario._leave, "clans", ""),
    (Scenario._donate, "clans", ""),
    *((_world_change(change), "clans", "") for change in (World.promote, World.rename_member, World.gain_points)),
    (_world_change(World.upgrade_member_town_hall), "clans", ""),
    *(
        (_world_change(change), "players", "")
        for change in (
            *(World.upgrade_troop, World.upgrade_troop, World.upgrade_spell, World.upgrade_hero),
            *(World.upgrade_equipment, World.upgrade_town_hall, World.upgrade_builder_hall),
            *(World.win_trophies, World.rename_player, World.complete_achievement),
        )
    ),
]
