"""The changes of a world, and the events that the bridge must publish for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Json = dict[str, Any]
# An event type and the details of a ``ScriptedChange``.
ExpectedEvent = tuple[str, Json]
# The version of ``cwl`` is that of a clan's group and all of its wars.
Kind = Literal["clan", "war", "war_log", "cwl", "league_war", "raid", "player", "ranked"]


@dataclass(frozen=True)
class ScriptedChange:
    """An event that must be published for a change of the world.

    ``kind`` and ``tag`` are those of the event's topic; the tag of the API is ``api``, and a war has its clan's.
    ``details`` is a part of the event's metadata. For the ``…_updated`` types it has ``fields`` instead, the sorted
    names of the changed API fields.
    """

    event_type: str
    kind: Literal["clan", "player", "api"]
    tag: str
    details: Json


Changes = list[ScriptedChange]


class ImpossibleError(RuntimeError):
    """The requested change is not possible in the current state of the world; nothing was changed."""


class ChangeLog:
    """The changes of a world in order, and the versions of its API responses."""

    def __init__(self) -> None:
        self.changes: Changes = []
        self._versions: Counter[tuple[Kind, str]] = Counter()

    def version(self, kind: Kind, tag: str) -> int:
        """Return a number that changes whenever the body of this resource changes."""
        return self._versions[kind, tag]

    def touch(self, kind: Kind, *tags: str) -> None:
        """Record that the bodies of these resources have changed without an event."""
        for tag in tags:
            self._versions[kind, tag] += 1

    def record(self, kind: Kind, tag: str, events: Iterable[ExpectedEvent]) -> Changes:
        """Record that a resource has changed and the expected events; return these."""
        self.touch(kind, tag)
        new = []
        for event_type, details in events:
            if "member_tag" in details:
                self.touch("player", details["member_tag"])
            new.append(ScriptedChange(event_type, "player" if kind == "player" else "clan", tag, details))
        self.changes += new
        return new

    def record_api(self, event_type: str) -> Changes:
        """Record a change of the API itself; return it."""
        self.changes.append(ScriptedChange(event_type, "api", "api", {}))
        return self.changes[-1:]
