"""What follows from the calendar in the simulated game: reminders, clan games, seasons and ranked weeks."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from coc2mqtt.clash.response import parse_time
from coc2mqtt.demo.changes import ImpossibleError

if TYPE_CHECKING:
    from coc2mqtt.examples.game import Game

Json = dict[str, Any]

# More than the members of a clan: each poll fetches the points of one.
_MEMBERS = 20
_SECOND = timedelta(seconds=1)


async def play_seasons(game: Game) -> None:
    """Play from the end of a war to the end of clan games; the game's calendar has them from 2 to 4 December."""
    await _remind_of_war(game)
    await _remind_of_raids(game)
    await _change_weeks(game)
    await _play_clan_games(game)


async def _remind_of_war(game: Game) -> None:
    world, clan = game.world, game.world.clan_tags[0]
    with suppress(ImpossibleError):
        world.declare_war(clan)
    await game.poll()
    with suppress(ImpossibleError):
        world.start_battle(clan)
    await game.poll()
    await _jump(game, _end(world.current_war(clan)) - timedelta(hours=1) + _SECOND)


async def _remind_of_raids(game: Game) -> None:
    world, clan = game.world, game.world.clan_tags[0]
    world.start_raids(clan)
    await game.poll()
    world.raid_attack(clan)
    await game.poll()
    seasons: Json = world.raid_seasons(clan, 1) or {}
    await _jump(game, _end(seasons["items"][0]) - timedelta(hours=6) + _SECOND)


async def _change_weeks(game: Game) -> None:
    """Play the end of a season and of a ranked week, and a day in the Legend League."""
    world, (player, second) = game.world, game.world.player_tags
    await _jump(game, datetime(2026, 11, 30, 5, 0, 1, tzinfo=UTC))
    world.start_ranked_week(player)
    world.reach_legend_league(second)
    world.start_ranked_week(second)
    await game.poll()
    world.ranked_battle(second)
    world.ranked_battle(second, "defense")
    await game.poll(after=600.0)
    await game.poll(after=4 * 3600.0)
    await _jump(game, datetime(2026, 12, 1, 5, 6, tzinfo=UTC))
    await _jump(game, datetime(2026, 12, 1, 9, tzinfo=UTC))
    await game.remember_calendar()


async def _play_clan_games(game: Game) -> None:
    world, clan = game.world, game.world.clan_tags[0]
    await _jump(game, datetime(2026, 12, 2, 6, 30, tzinfo=UTC), polls=_MEMBERS)
    await _jump(game, datetime(2026, 12, 2, 8, 0, 1, tzinfo=UTC))
    world.earn_games_points(clan, points=1200)
    members: Json = world.clan(clan) or {}
    world.earn_games_points(clan, members["memberList"][1]["tag"], points=350)
    await _jump(game, datetime(2026, 12, 2, 12, tzinfo=UTC), polls=_MEMBERS)
    await game.remember_games()
    await _jump(game, datetime(2026, 12, 3, 20, 0, 1, tzinfo=UTC))
    await _jump(game, datetime(2026, 12, 4, 8, 5, tzinfo=UTC), polls=_MEMBERS)


async def _jump(game: Game, time: datetime, *, polls: int = 3) -> None:
    """Poll several times from a moment on."""
    game.now = max(game.now, time - _SECOND)
    for _ in range(polls):
        await game.poll(after=1.0)


def _end(body: Json | None) -> datetime:
    end = parse_time((body or {}).get("endTime"))
    assert end is not None  # noqa: S101 - of a response of the simulated game
    return end
