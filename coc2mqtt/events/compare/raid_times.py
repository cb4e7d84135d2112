"""When a clan's raid weekend is polled. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from typing import NamedTuple

# Raid weekends start on Fridays at 07:00 and end on Mondays at 07:00 UTC. Unix time started on a Thursday at 00:00.
_WEEK_S = 7 * 86_400.0
_FIRST_START_S = 86_400.0 + 7 * 3600.0
_WEEKEND_S = 3 * 86_400.0
# Outside of weekends a clan is polled this many times less often: hourly if it is polled every ten minutes.
REST_INTERVALS = 6
# The API shows the end some minutes late.
_END_DELAY_S = 60.0
_MAX_RETRY_INTERVAL_S = 300.0


class RaidPace(NamedTuple):
    """The next poll of a clan's raids, in seconds from now: not before ``earliest``, not after ``latest``."""

    earliest: float = 0.0
    latest: float = math.inf


def next_raid_poll(*, at: float, interval: float, end: float | None, over: bool, offset: float = 0.0) -> RaidPace:
    """Return when to poll again ``at`` (Unix time in seconds).

    ``interval`` are the seconds between two polls in a weekend, ``end`` is the end of the latest weekend (Unix time,
    None if unknown), and ``over`` whether its end was reported, or the clan never raided. ``offset`` (seconds) delays
    the first poll of a weekend, which would otherwise be at the same time for all clans.
    """
    since_start = (at - _FIRST_START_S) % _WEEK_S
    if not over:
        if end is None:
            return RaidPace()
        return RaidPace(latest=end + _END_DELAY_S - at if at < end + _END_DELAY_S else _MAX_RETRY_INTERVAL_S)
    if since_start < _WEEKEND_S:
        return RaidPace()
    until_start = _WEEK_S - since_start + offset
    return RaidPace(earliest=min(REST_INTERVALS * interval, until_start))
