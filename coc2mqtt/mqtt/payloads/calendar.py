"""The retained calendar of the game. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.mqtt.payloads.models import Payload, Time, iso_time

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Snapshot


class CalendarPayload(Payload):
    """The calendar of the game; `clan_games` and `raid_weekend` are the present ones, or the next ones."""

    gold_pass_start_at: Time | None
    """Null until the API has shown the season of the gold pass."""
    gold_pass_end_at: Time | None
    season_start_at: Time
    """The game resets donations at the end of a season of 28 days."""
    season_end_at: Time
    ranked_week_start_at: Time
    ranked_week_end_at: Time
    clan_games_start_at: Time
    """As configured, like the end: the API does not show it."""
    clan_games_end_at: Time
    raid_weekend_start_at: Time
    raid_weekend_end_at: Time
    updated_at: Time


def calendar_payload(snapshot: Snapshot) -> CalendarPayload:
    """Return the calendar of the snapshot of ``CALENDAR``, which must have data."""
    data = snapshot.data or {}
    values: dict[str, str | None] = {"updated_at": iso_time(snapshot.taken_at)}
    for key in ("gold_pass", "season", "ranked_week", "clan_games", "raid_weekend"):
        start, end = data[key] or (None, None)
        values[f"{key}_start_at"] = None if start is None else iso_time(start)
        values[f"{key}_end_at"] = None if end is None else iso_time(end)
    return CalendarPayload.model_validate(values)
