"""The state of a world that all of its changes share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from coc2mqtt.demo.catalogue import new_tags, seeded
from coc2mqtt.demo.changes import ChangeLog, Changes, ImpossibleError, Kind
from coc2mqtt.demo.leagues import Leagues
from coc2mqtt.demo.population import Population

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coc2mqtt.demo.changes import ExpectedEvent
    from coc2mqtt.demo.war import War

Json = dict[str, Any]


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


class WorldBase:
    """The population of a world, its wars and leagues, and the log of its changes."""

    def __init__(
        self,
        *,
        seed: int = 1,
        now: Callable[[], datetime] = utc_now,
        clans: int = 2,
        members: int | None = None,
        players: int = 2,
    ) -> None:
        self.in_maintenance = False
        self._now = now
        self._rng = seeded(seed)
        # Leagues and raids do not change what else is drawn.
        self._league_rng, self._raid_rng = (seeded(f"{subject} {seed}") for subject in ("league", "raid"))
        self._tags = new_tags(self._rng)
        self._log = ChangeLog()
        self._population = Population(self._rng, self._tags, clans=clans, members=members, players=players)
        # The wars by their opponent's tag; the opponent shows them too.
        self._wars: dict[str, War] = {}
        self._leagues = Leagues()

    @property
    def clan_tags(self) -> tuple[str, ...]:
        """The clans to watch."""
        return self._population.clan_tags

    @property
    def player_tags(self) -> tuple[str, ...]:
        """The players to watch."""
        return self._population.player_tags

    @property
    def changes(self) -> Changes:
        """The events that must have been published so far."""
        return self._log.changes

    def version(self, kind: Kind, tag: str) -> int:
        """Return a number that changes whenever the body of this resource changes."""
        return self._log.version(kind, tag)

    def start_maintenance(self) -> Changes:
        """Start a maintenance: the API rejects every request."""
        return self._maintain("maintenance_start", running=True)

    def end_maintenance(self) -> Changes:
        """End the maintenance."""
        return self._maintain("maintenance_end", running=False)

    def _maintain(self, event_type: str, *, running: bool) -> Changes:
        if self.in_maintenance == running:
            raise ImpossibleError("the maintenance has already started" if running else "the API is not in maintenance")
        self.in_maintenance = running
        return self._log.record_api(event_type)

    def _record(self, kind: Kind, tag: str, events: Iterable[ExpectedEvent]) -> Changes:
        return self._log.record(kind, tag, events)
