"""The leagues of a world, by their clans and by the tags of their wars."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from coc2mqtt.demo.league import League, LeagueWar

Json = dict[str, Any]

_SEARCHING = {"state": "notInWar"}
_KEPT = 2


class Leagues:
    """The group that each clan shows, and the wars of the last two leagues of each clan to watch.

    The wars stay available after the group is gone, as in the API. Older ones are dropped, because the story is
    endless.
    """

    def __init__(self) -> None:
        self._searching: set[str] = set()
        self._shown: dict[str, League] = {}
        # The last leagues of each clan to watch, oldest first.
        self._kept: dict[str, deque[League]] = {}
        self._wars: dict[str, LeagueWar] = {}

    def group_body(self, clan: str) -> Json | None:
        """Return the group of any clan as in the API, None without one."""
        if clan in self._searching:
            return dict(_SEARCHING)
        return self._shown[clan].body() if clan in self._shown else None

    def league(self, clan: str) -> League | None:
        """Return the league whose group the clan shows, None without one."""
        return self._shown.get(clan)

    def is_searching(self, clan: str) -> bool:
        """Whether the clan has signed up for a league that has not started."""
        return clan in self._searching

    def war(self, tag: str) -> LeagueWar | None:
        """Return a war by its tag, None if it is unknown."""
        return self._wars.get(tag)

    def search(self, clan: str) -> None:
        """Sign up: the API hides the last group while it searches for the new one."""
        self._shown.pop(clan, None)
        self._searching.add(clan)

    def leave(self, clan: str) -> None:
        """Leave the group, which the clan no longer shows."""
        del self._shown[clan]

    def add(self, league: League, watched: Collection[str]) -> None:
        """Add a league and show it for its clans; ``watched`` are those whose last leagues are kept."""
        for tag in league.clans:
            self._searching.discard(tag)
            self._shown[tag] = league
        for tag in watched:
            kept = self._kept.setdefault(tag, deque())
            kept.append(league)
            if len(kept) > _KEPT:
                self._drop(kept.popleft())

    def add_wars(self, wars: Iterable[LeagueWar]) -> None:
        """Make the wars of a new round available."""
        self._wars.update({war.tag: war for war in wars})

    def _drop(self, league: League) -> None:
        """Forget a league unless another clan keeps it."""
        if any(league in kept for kept in self._kept.values()):
            return
        for war in league.wars():
            del self._wars[war.tag]
        for tag in league.clans:
            if self._shown.get(tag) is league:
                del self._shown[tag]
