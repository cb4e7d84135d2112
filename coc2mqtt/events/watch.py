"""A watch: a clan, a clan's war or a player to be polled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from coc2mqtt.events.resource import Kind, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

CLAN_INTERVAL_S = 60.0
WAR_INTERVAL_S = 30.0
PLAYER_INTERVAL_S = 120.0
MIN_INTERVAL_S = 1.0


def validate_interval(interval: float) -> None:
    """Raise ValueError if an interval is shorter than one second."""
    if interval < MIN_INTERVAL_S:
        raise ValueError(f"interval must be at least {MIN_INTERVAL_S:g} s, got {interval} s")


@dataclass(frozen=True, slots=True)
class Watch:
    """A clan (optionally with its members and its war), a clan's war alone, or a player to be polled.

    ``kind`` is CLAN, WAR or PLAYER, ``tag`` is normalised, intervals are seconds. ``members``, ``war`` and
    ``war_interval`` apply to clans, the fields after them to players; None as ``include_fields`` means all fields.
    """

    kind: Kind
    tag: str
    interval: float
    members: bool = True
    war: bool = True
    war_interval: float = WAR_INTERVAL_S
    include_fields: frozenset[str] | None = None
    exclude_fields: frozenset[str] | None = None

    def resources(self) -> Iterator[tuple[Resource, float]]:
        """Yield each resource to poll for this watch, with its interval in seconds."""
        yield Resource(self.kind, self.tag), self.interval
        if self.kind is Kind.CLAN and self.war:
            yield Resource(Kind.WAR, self.tag), self.war_interval
