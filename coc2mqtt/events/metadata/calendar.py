"""The metadata of the events about the game's calendar."""

from __future__ import annotations

from coc2mqtt.events.metadata.common import Metadata, Time


class GoldPassSeasonStarted(Metadata):
    """A gold pass season started."""

    start_at: Time
    end_at: Time


class SeasonEnded(Metadata):
    """A season ended: the game resets donations every 28 days."""

    start_at: Time
    """The start of the season that ended."""
    end_at: Time
    """Its end, at which the next season started."""
    next_end_at: Time
    """The end of the next season."""


class RankedWeekChanged(Metadata):
    """A ranked week ended and the next one started."""

    start_at: Time
    """The start of the new week."""
    end_at: Time
    """The end of the new week."""
