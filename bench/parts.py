"""The league and the raid weekend of a clan in the scripted API, built on request from one generated example."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.demo.changes import ImpossibleError
from coc2mqtt.demo.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

# The versions that differ; the last one stays. The changes of a war are the attacks of 15 members on each side.
_VERSIONS = 24
_LEAGUE_ATTACKS, _RAID_ATTACKS, _DEFENSES = 6, 200, 13
# The code of the clan in its tag and in those of its wars.
_CODE = b"~~~~~"
_OWN_TAG, _WAR_TAG = b"#2" + _CODE, b"#Y" + _CODE
# The last letters of the tags of the wars, in order.
_WARS = "0289PYLQ"
_HOURS_AGO = 24


class Parts:
    """The league and the raid weekend of each clan, which differ only in the tags of the clan and its wars.

    The league has 8 clans (a group of 14 kB). Its first round is in battle, with 15 members on each side (6 kB), and
    the second one is in preparation. The clan made 200 attacks in its raid weekend (90 kB). Each version has one attack
    more than the version before.
    """

    def __init__(self) -> None:
        # The battle started an hour ago, and the weekend a day ago.
        world = World(seed=7, clans=1, members=50, now=lambda: datetime.now(UTC) - timedelta(hours=_HOURS_AGO))
        [clan] = world.clan_tags
        world.start_league(clan, team_size=15, preparation=timedelta(hours=_HOURS_AGO - 1))
        world.start_league_battle(clan)
        world.draw_round(clan, preparation=timedelta(hours=2 * _HOURS_AGO - 1))
        group = world.league_group(clan) or {}
        wars = [tag for one in group["rounds"] for tag in one["warTags"] if tag != "#0"]
        self._marks = {clan: _OWN_TAG} | {
            tag: _WAR_TAG + letter.encode() for tag, letter in zip(wars, _WARS, strict=True)
        }
        self._group = self._marked(group)
        for _ in range(_LEAGUE_ATTACKS):
            world.league_attack(clan)
        self._wars = [self._marked(world.league_war(tag) or {}) for tag in wars]
        own = next(tag for tag in wars if clan in _sides(world.league_war(tag) or {}))
        self._own = wars.index(own)
        self._own_wars = [self._marked(war) for war in _attacked(world, clan, own)]
        self._weekends = [orjson.dumps(weekend) for weekend in _raided(world, clan)]

    def group(self, code: bytes) -> bytes:
        """Return the group of the clan with a code as JSON."""
        return self._group.replace(_CODE, code)

    def is_own_battle(self, war: str) -> bool:
        """Return whether the clan fights in the war with this last letter, which is the one that changes."""
        return war == _WARS[self._own]

    def war(self, code: bytes, war: str, version: int) -> bytes:
        """Return the war of the group with this last letter as JSON."""
        number = _WARS.index(war)
        body = self._own_wars[min(version, _VERSIONS)] if number == self._own else self._wars[number]
        return body.replace(_CODE, code)

    def raids(self, version: int) -> bytes:
        """Return the raid weekend as JSON."""
        return self._weekends[min(version, _VERSIONS)]

    def _marked(self, body: Json) -> bytes:
        text = orjson.dumps(body)
        for tag, mark in self._marks.items():
            text = text.replace(b'"%s"' % tag.encode(), b'"%s"' % mark)
        return text


def _sides(war: Json) -> tuple[str, str]:
    return war["clan"]["tag"], war["opponent"]["tag"]


def _attacked(world: World, clan: str, war: str) -> Iterator[Json]:
    yield world.league_war(war) or {}
    for _ in range(_VERSIONS):
        world.league_attack(clan)
        yield world.league_war(war) or {}


def _raided(world: World, clan: str) -> Iterator[Json]:
    world.start_raids(clan)
    for _ in range(_DEFENSES):
        world.raid_defense(clan)
    for number in range(_RAID_ATTACKS + _VERSIONS):
        if number >= _RAID_ATTACKS:
            yield world.raid_seasons(clan, 1) or {}
        with suppress(ImpossibleError):
            # Possible only after the last clan is destroyed.
            world.raid(clan)
        world.raid_attack(clan)
    yield world.raid_seasons(clan, 1) or {}
