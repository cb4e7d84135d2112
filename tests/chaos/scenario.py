"""The story of a run: a steady stream of changes, such that whatever is lost of it shows."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from coc2mqtt.demo import ImpossibleError, World

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.chaos.ground_truth import GroundTruth

    Verb = Callable[["Scenario", str], object]

_BATTLE = timedelta(hours=24)


class Scenario:
    """Lets things happen in a world, from ``pause`` seconds' rests between them, and keeps the truth up to date.

    Nearly everything goes one way only: levels and figures rise, members join or leave for good, attacks are made.
    So a bridge that could not look for a while may merge changes, and yet everything that it does not tell shows in
    the end. ``clock`` gives the seconds of the run.
    """

    def __init__(
        self,
        world: World,
        truth: GroundTruth,
        rng: random.Random,
        *,
        pause: tuple[float, float],
        clock: Callable[[], float],
    ) -> None:
        self.happened = 0
        self._world = world
        self._truth = truth
        self._rng = rng
        self._pause = pause
        self._clock = clock
        self._next: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        # Who was there at the first look: one who joins and leaves unseen was never there.
        self._settled = {tag: self._ordinary(tag) for tag in world.clan_tags}

    async def play(self) -> None:
        """Let one thing after the other happen, until cancelled."""
        while True:
            await asyncio.sleep(self._rng.uniform(*self._pause))
            self.happen()

    async def next_change(self) -> str:
        """Wait for the next change, and return the path at which the API shows it."""
        return await asyncio.shield(self._next)

    def happen(self) -> None:
        """Let one thing happen that can."""
        while True:
            verb, tags, suffix = self._rng.choice(_VERBS)
            clans = tags == "clans"
            tag = self._rng.choice(self._world.clan_tags if clans else self._world.player_tags)
            try:
                verb(self, tag)
            except ImpossibleError:
                continue
            self.happened += 1
            self._truth.look(tag, self._clock())
            self._next.set_result(f"/v1/{tags}/{tag}{suffix}")
            self._next = asyncio.get_running_loop().create_future()
            return

    def _fight(self, clan: str) -> None:
        """Take the next step of a war: it is declared, it begins, and attack follows attack."""
        state = (self._world.current_war(clan) or {})["state"]
        if state == "notInWar":
            self._world.declare_war(clan, timedelta(0), _BATTLE)
        elif state == "preparation":
            self._world.start_battle(clan)
        else:
            self._world.attack(clan)

    def _leave(self, clan: str) -> None:
        if not self._settled[clan]:
            raise ImpossibleError("all have left who can")
        leaving = self._rng.choice(self._settled[clan])
        self._settled[clan].remove(leaving)
        self._world.leave(clan, leaving)

    def _donate(self, clan: str) -> None:
        # What a new member had donated before nobody tells.
        self._world.donate(clan, self._rng.choice(self._settled[clan]) if self._settled[clan] else None)

    def _ordinary(self, clan: str) -> list[str]:
        members = (self._world.clan(clan) or {})["memberList"]
        return [member["tag"] for member in members if member["role"] != "leader"]


def _happens(verb: Callable[[World, str], object]) -> Verb:
    return lambda scenario, tag: verb(scenario._world, tag)


# What, to whom, and at the end of which path it shows; what is named more often happens more often.
_VERBS: list[tuple[Verb, str, str]] = [
    *[(Scenario._fight, "clans", "/currentwar")] * 5,
    *[(_happens(World.join), "clans", "")] * 2,
    (Scenario._leave, "clans", ""),
    (Scenario._donate, "clans", ""),
    *((_happens(verb), "clans", "") for verb in (World.promote, World.rename_member, World.gain_points)),
    (_happens(World.upgrade_member_town_hall), "clans", ""),
    *(
        (_happens(verb), "players", "")
        for verb in (
            *(World.upgrade_troop, World.upgrade_troop, World.upgrade_spell, World.upgrade_hero),
            *(World.upgrade_equipment, World.upgrade_town_hall, World.upgrade_builder_hall),
            *(World.win_trophies, World.rename_player, World.complete_achievement),
        )
    ),
]
