"""The calendar of the game: seasons, ranked weeks, raid weekends, clan games and days. Pure: no clock, no I/O.

All times are Unix times in seconds. The game's calendar is in UTC without daylight saving.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_DAY_S = 86_400.0
_WEEK_S = 7 * _DAY_S
# A Monday at 05:00: the start of a day, of a ranked week and of a season.
_REFERENCE = datetime(2025, 10, 6, 5, 0, tzinfo=UTC).timestamp()
_SEASON_S = 28 * _DAY_S
_FRIDAY = datetime(2025, 10, 10, 7, 0, tzinfo=UTC).timestamp()
_WEEKEND_S = 3 * _DAY_S


class Period(NamedTuple):
    """A period from ``start`` to ``end``, which does not belong to it."""

    start: float
    end: float

    def __contains__(self, at: object) -> bool:
        """Return whether a time is in the period."""
        return isinstance(at, int | float) and self.start <= at < self.end


def day_of(at: float) -> Period:
    """Return the day of the game, which starts at 05:00."""
    return _period(at, _DAY_S)


def week_of(at: float) -> Period:
    """Return the week of the game and of the ranked battles, which starts on Monday at 05:00."""
    return _period(at, _WEEK_S)


def season_of(at: float) -> Period:
    """Return the season, after which the game resets donations: 28 days from a Monday at 05:00."""
    return _period(at, _SEASON_S)


def raid_weekend_of(at: float) -> Period:
    """Return the raid weekend, from Friday to Monday at 07:00: the present one, or the next one."""
    start = _FRIDAY + (at - _FRIDAY) // _WEEK_S * _WEEK_S
    weekend = Period(start, start + _WEEKEND_S)
    return weekend if at < weekend.end else Period(start + _WEEK_S, start + _WEEK_S + _WEEKEND_S)


@dataclass(frozen=True, slots=True)
class ClanGames:
    """When clan games take place: from ``first_day`` to ``last_day`` of each month, both at ``hour`` in UTC.

    ``max_points`` are the most points that a member can earn.
    """

    first_day: int = 22
    last_day: int = 28
    hour: int = 8
    max_points: int = 4000

    def latest(self, at: float) -> Period:
        """Return the clan games that have started last; they may be over."""
        now = datetime.fromtimestamp(at, UTC)
        games = self._of_month(now.year, now.month)
        if games.start <= at:
            return games
        last_month = now.replace(day=1) - timedelta(days=1)
        return self._of_month(last_month.year, last_month.month)

    def next(self, at: float) -> Period:
        """Return the present clan games, or the next ones if there are none."""
        now = datetime.fromtimestamp(at, UTC)
        games = self._of_month(now.year, now.month)
        if at < games.end:
            return games
        next_month = now.replace(day=28) + timedelta(days=4)
        return self._of_month(next_month.year, next_month.month)

    def _of_month(self, year: int, month: int) -> Period:
        start, end = (
            datetime(year, month, day, self.hour, tzinfo=UTC).timestamp() for day in (self.first_day, self.last_day)
        )
        return Period(start, end)


def _period(at: float, length: float) -> Period:
    start = _REFERENCE + (at - _REFERENCE) // length * length
    return Period(start, start + length)
