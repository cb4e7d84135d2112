"""The scenario of a run: a steady stream of changes in which every lost change can be detected."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from coc2mqtt.demo import ImpossibleError, World

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.chaos.ground_truth import GroundTruth

    Change = Callable[["Scenario", str], object]

_BATTLE = timedelta(hours=24)


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
            self._truth.record(tag, self._clock())
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


def _world_change(change: Callable[[World, str], object]) -> Change:
    return lambda scenario, tag: change(scenario._world, tag)


# The change, its subject, and the suffix of the path that returns it. Repeated entries are drawn more often.
_CHANGES: list[tuple[Change, str, str]] = [
    *[(Scenario._fight, "clans", "/currentwar")] * 5,
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
