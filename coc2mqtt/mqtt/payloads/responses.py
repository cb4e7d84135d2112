"""What the commands answer: the ``data`` of a response."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from coc2mqtt.logs import LogLevelName  # noqa: TC001 - pydantic reads it
from coc2mqtt.mqtt.payloads.models import EventPayload, Payload, WatchesPayload, WatchPayload


class Watched(Payload):
    """Names a watch."""

    kind: Literal["clan", "player"]
    tag: str


class WatchData(WatchPayload):
    """The watch as it is now."""


class UnwatchData(Payload):
    """What is not watched any more."""

    unwatched: list[Watched]


class ListData(WatchesPayload):
    """The watches that were asked for."""


class PollData(Payload):
    """What is polled now, as soon as the pace allows."""

    polled: list[Watched]


class LogLevelData(Payload):
    """The level of the log as it is now."""

    level: LogLevelName = Field(description="Lines of this level and above are logged.")


class ReplayData(Payload):
    """Events as they were published, in order of ``seq``."""

    events: list[EventPayload]
    next_seq: int | None = Field(description="What to send as 'since_seq' to go on; null: that was all.")
