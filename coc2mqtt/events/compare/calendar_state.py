"""The game's calendar as the bridge knows it, and the events when a season or a week ends. Pure: no clock, no I/O.

Times are Unix times in seconds. The state is the data of the snapshot of ``CALENDAR``.
"""

from __future__ import annotations

from typing import Any

from coc2mqtt.clash.response import iso_time, parse_unix_time
from coc2mqtt.events.calendar import ClanGames, Period, raid_weekend_of, season_of, week_of
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.resource import CALENDAR

Json = dict[str, Any]

_SEASON_S = 28 * 86_400.0
# A season of the gold pass lasts at least this long: a smaller difference corrects its start.
_GOLD_PASS_S = 7 * 86_400.0
# A season of the gold pass lasts a month: any other period is malformed.
_MAX_GOLD_PASS_S = 92 * 86_400.0
# A period that starts later than this was stored while the clock was wrong.
_MAX_AHEAD_S = 86_400.0
# The periods of which each one is reported once, and how many of each are remembered.
_REPORTED, _MAX_REPORTED = ("season", "ranked_week"), 8
# An event that is later than this was not reported on time.
_MAX_DELAY_S = 60.0


def calendar_at(at: float, clan_games: ClanGames, *, gold_pass: Period | None) -> Json:
    """Return the present periods, or the next one of the clan games and of the raid weekend if there is none."""
    return {
        "gold_pass": None if gold_pass is None else list(gold_pass),
        "season": list(season_of(at)),
        "ranked_week": list(week_of(at)),
        "clan_games": list(clan_games.next(at)),
        "raid_weekend": list(raid_weekend_of(at)),
    }


def next_change(at: float, clan_games: ClanGames) -> float:
    """Return when the calendar changes next."""
    return min(week_of(at).end, season_of(at).end, clan_games.next(at).end, raid_weekend_of(at).end)


def parse_gold_pass(data: Json, *, at: float) -> Period | None:
    """Return the season of a response about the gold pass, None if it is malformed or not of these months."""
    start, end = parse_unix_time(data.get("startTime")), parse_unix_time(data.get("endTime"))
    if start is None or end is None or not start < end <= start + _MAX_GOLD_PASS_S:
        return None
    return Period(start, end) if abs(start - at) <= _MAX_GOLD_PASS_S else None


def known_gold_pass(old: Json | None, found: Period | None, *, at: float) -> Period | None:
    """Return the latest known season of the gold pass that has started; a stale response shows an earlier one."""
    stored = None if old is None or old["gold_pass"] is None else Period(*old["gold_pass"])
    if stored is None or found is None or stored.start > at:
        return found or stored
    return found if stored < found and found.start <= at else stored


def compare_calendar(old: Json | None, new: Json, *, at: float) -> list[Event]:
    """Return the events of the periods that have started since the last calendar; the first one has none."""
    if old is None:
        return []
    events = []
    if _has_started(old["gold_pass"], new["gold_pass"], at=at, least=_GOLD_PASS_S):
        # The response shows it some time after the start.
        events.append(_event(EventType.GOLD_PASS_SEASON_STARTED, new["gold_pass"], {}, at=at, delay=3 * 3600.0))
    if _is_unreported(old, new, "season", at=at):
        start, end = new["season"]
        ended = [start - _SEASON_S, start]
        events.append(_event(EventType.SEASON_ENDED, ended, {"next_end_at": iso_time(end)}, at=at, since=start))
    if _is_unreported(old, new, "ranked_week", at=at):
        events.append(_event(EventType.RANKED_WEEK_CHANGED, new["ranked_week"], {}, at=at))
    return events


def later_calendar(old: Json | None, new: Json, *, at: float) -> Json:
    """Return the calendar to store: after a clock was set back, the periods that were reported are kept.

    ``reported`` in it are the starts of the last reported ones.
    """
    if old is None:
        return new
    kept = {key: old[key] for key in _REPORTED if new[key][0] < old[key][0] <= at + _MAX_AHEAD_S}
    later = {**new, **kept}
    reported = {
        key: [*_reported(old, key), *([later[key][0]] if _is_unreported(old, later, key, at=at) else [])][
            -_MAX_REPORTED:
        ]
        for key in _REPORTED
    }
    return {**later, "reported": reported}


def _reported(calendar: Json, key: str) -> list[float]:
    starts: list[float] = calendar.get("reported", {}).get(key, [])
    return starts


def _is_unreported(old: Json, new: Json, key: str, *, at: float) -> bool:
    """Return whether a period has started that was not reported, not even while the clock was ahead."""
    return _has_started(old[key], new[key], at=at) and new[key][0] not in _reported(old, key)


def _has_started(old: list[float] | None, new: list[float] | None, *, at: float, least: float = 0.0) -> bool:
    if old is None or new is None:
        return False
    return old[0] + least < new[0] <= at


def _event(
    event_type: EventType,
    period: list[float],
    more: Json,
    *,
    at: float,
    since: float | None = None,
    delay: float = _MAX_DELAY_S,
) -> Event:
    start = period[0] if since is None else since
    metadata = {"start_at": iso_time(period[0]), "end_at": iso_time(period[1]), **more}
    if at - start > delay:
        metadata |= {"catch_up": True, "snapshot_age_seconds": round(at - start, 3)}
    return Event(event_type, CALENDAR.tag, timestamp=at, metadata=metadata)
