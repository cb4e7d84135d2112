"""What a scripted change must be seen as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]
Sighting = tuple[str, Json]


@dataclass(frozen=True)
class ScriptedChange:
    """One event that a perfect watcher reports for what happened.

    ``kind`` and ``tag`` are those of the event's topic; the API's tag is ``api``, and a war's are its clan's.
    ``details`` holds what the event's metadata must hold as well, and for the ``…_updated`` types ``fields``, the
    sorted names of the API's fields that are different.
    """

    event_type: str
    kind: Literal["clan", "player", "api"]
    tag: str
    details: Json


class ImpossibleError(RuntimeError):
    """What a verb asks for cannot happen in the world as it is; nothing was changed."""
