"""A clan's war log: its wars that have ended."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coc2mqtt.demo.war import War

Json = dict[str, Any]

# The story is endless, and so the log must not be.
_LENGTH = 20


class WarLog:
    """The last wars of a clan that have ended, newest first."""

    def __init__(self) -> None:
        self._wars: deque[War] = deque()

    def add(self, war: War) -> War | None:
        """Remember a war that has just ended; return the oldest one if it has to be forgotten for it."""
        self._wars.appendleft(war)
        return self._wars.pop() if len(self._wars) > _LENGTH else None

    def body(self) -> Json:
        """Return the log as the API shows it, all on one page."""
        return {"items": [war.log_body() for war in self._wars], "paging": {"cursors": {}}}
