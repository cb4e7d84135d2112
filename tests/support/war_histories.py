"""Long scripted histories of a clan's wars, in the shape of the recorded ones."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from coc2mqtt.demo import ImpossibleError, World

Json = dict[str, Any]

_START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Moment:
    """The API's responses at one time (Unix seconds): the clan's war, and everything else by path."""

    at: float
    war: Json
    elsewhere: dict[str, Json]


def war_history(seed: int, *, wars: int = 4) -> tuple[str, list[Moment]]:
    """Return a clan's tag and the responses about its wars, the oldest first."""
    return _History(seed).play(wars)


class _History:
    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._now = _START
        self._world = World(seed=seed, now=lambda: self._now, clans=1, members=10, players=0)
        self._clan = self._world.clan_tags[0]
        self._opponents: dict[str, None] = {}
        self._moments: list[Moment] = []

    def play(self, wars: int) -> tuple[str, list[Moment]]:
        self._record()
        self._declare()
        for number in range(wars):
            self._battle()
            replaced = self._rng.random() < 0.3 and number < wars - 1
            if replaced:
                self._world.replace_war(self._clan)
                self._pass(1)
                continue
            self._world.end_war(self._clan)
            self._pass(minutes=self._rng.choice([1, 20, 300]))
            if self._rng.random() < 0.5:
                self._world.clear_war(self._clan)
                self._pass(minutes=self._rng.choice([5, 900]))
            if number < wars - 1:
                self._declare()
        self._pass(minutes=20)
        return self._clan, self._moments

    def _declare(self) -> None:
        self._world.declare_war(self._clan)
        self._pass(1)

    def _battle(self) -> None:
        self._pass(23 * 60 - 1)
        self._world.start_battle(self._clan)
        attacks = self._rng.randint(3, 16)
        for _ in range(attacks):
            self._pass(24 * 60 // (attacks + 1))
            try:
                self._world.attack(self._clan)
            except ImpossibleError:
                break
        war = self._world.current_war(self._clan) or {}
        end = datetime.strptime(war["endTime"], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
        self._record()
        self._now = end + timedelta(seconds=self._rng.choice([2, 40]))

    def _pass(self, minutes: int) -> None:
        """Record the responses now, and again ``minutes`` later."""
        self._record()
        self._now += timedelta(minutes=minutes)
        self._record()

    def _record(self) -> None:
        war = self._world.current_war(self._clan)
        if war is not None and "tag" in war["opponent"]:
            self._opponents[war["opponent"]["tag"]] = None
        bodies = {f"/clans/{tag}/currentwar": self._world.current_war(tag) for tag in self._opponents}
        bodies[f"/clans/{self._clan}/warlog"] = self._world.war_log(self._clan)
        elsewhere = {path: body for path, body in bodies.items() if body is not None}
        copied = orjson.loads(orjson.dumps([war, elsewhere]))
        self._moments.append(Moment(self._now.timestamp(), *copied))
