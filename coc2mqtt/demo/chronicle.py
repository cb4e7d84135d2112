"""What happened in a world, and how often each of its resources has changed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from coc2mqtt.demo.change import ScriptedChange

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.demo.change import Sighting

Kind = Literal["clan", "war", "war_log", "player"]
Changes = list[ScriptedChange]


class Chronicle:
    """The changes of a world in their order, and the versions of what the API shows of it."""

    def __init__(self) -> None:
        self.changes: Changes = []
        self._versions: Counter[tuple[Kind, str]] = Counter()

    def version(self, kind: Kind, tag: str) -> int:
        """Return a number that changes whenever the body of this resource does."""
        return self._versions[kind, tag]

    def touch(self, kind: Kind, *tags: str) -> None:
        """Note that the bodies of these resources have changed, with nothing to say about it."""
        for tag in tags:
            self._versions[kind, tag] += 1

    def record(self, kind: Kind, tag: str, sightings: Iterable[Sighting]) -> Changes:
        """Note that a resource has changed and what a perfect watcher says of it; return that."""
        self.touch(kind, tag)
        new = []
        for event_type, details in sightings:
            if "member_tag" in details:
                self.touch("player", details["member_tag"])
            new.append(ScriptedChange(event_type, "player" if kind == "player" else "clan", tag, details))
        self.changes += new
        return new

    def record_api(self, event_type: str) -> Changes:
        """Note a change of the API itself; return it."""
        self.changes.append(ScriptedChange(event_type, "api", "api", {}))
        return self.changes[-1:]
