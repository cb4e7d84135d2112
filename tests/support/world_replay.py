"""A world of the simulated game, whose resources are polled when the test requests it, without a network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from coc2mqtt.clash import ClashError, MaintenanceError, NotFoundError, PrivateWarLogError
from coc2mqtt.demo import World, demo_script
from coc2mqtt.events.polling.moves import Moves
from coc2mqtt.events.resource import Kind
from tests.support.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coc2mqtt.demo.changes import Kind as WorldKind
    from coc2mqtt.events import Event

Json = dict[str, Any]
# The kind and the tag of a resource.
Watched = tuple[Kind, str]

CLAN_KINDS = (Kind.CLAN, Kind.WAR, Kind.CWL, Kind.RAID)
_OPTIONS: dict[Kind, Json] = {
    Kind.CLAN: {"track_activity": True},
    Kind.CWL: {"standings": True},
    Kind.RAID: {"report_defenses": True},
}
_NOT_DRAWN = "#0"


class WorldReplay:
    """A world with all of its clans and players watched; ``now`` is the present time of the game."""

    def __init__(self, *, seed: int = 7, members: int = 12) -> None:
        self.now = datetime(2026, 11, 24, 12, tzinfo=UTC)
        self.world = World(seed=seed, members=members, now=lambda: self.now)
        watched: list[Watched] = [(kind, tag) for tag in self.world.clan_tags for kind in CLAN_KINDS]
        watched += [(Kind.PLAYER, tag) for tag in self.world.player_tags]
        self.watches = {one: Replay(*one, now=self.now.timestamp(), **_OPTIONS.get(one[0], {})) for one in watched}
        moves = Moves()
        for replay in self.watches.values():
            replay.moves = moves
            replay.restart()
        # As in a store of the bridge, the other pollers of a clan know its snapshot.
        for kind, tag in watched:
            if kind in CLAN_KINDS:
                self.watches[kind, tag].share(self.watches[Kind.CLAN, tag])

    @property
    def events(self) -> list[Event]:
        """All events so far, by resource."""
        return [event for replay in self.watches.values() for event in replay.events]

    def play_story(self, seed: int, *, speed: float) -> Iterator[tuple[float, list[Event]]]:
        """Play the endless story of the demo; yield the time of each step in seconds of the script and its events.

        The changed resources are polled after each step, and again before the next one.
        """
        elapsed, changed = 0.0, list(self.watches)
        for step in demo_script(self.world, seed).steps(speed):
            events = self.poll(changed, after=step.delay / speed)
            before = self._versions()
            step.apply(self.world)
            changed = [watch for watch, version in self._versions().items() if version != before[watch]]
            elapsed += step.delay
            yield elapsed, events + self.poll(changed)

    def _versions(self) -> dict[Watched, int]:
        return {(kind, tag): self.world.version(cast("WorldKind", kind.value), tag) for kind, tag in self.watches}

    def restart(self) -> None:
        """Start a new run of the program."""
        for replay in self.watches.values():
            replay.restart()

    def poll(self, watches: Iterable[Watched] | None = None, *, after: float = 0.0) -> list[Event]:
        """Poll these resources (None: all), ``after`` seconds later, and return the events."""
        self.now += timedelta(seconds=after)
        events: list[Event] = []
        for kind, tag in self.watches if watches is None else watches:
            replay = self.watches[kind, tag]
            replay.now = self.now.timestamp()
            if kind is Kind.CWL:
                replay.api.responses.update(self._league_wars(tag))
            count = len(replay.events)
            replay.feed(self._response(kind, tag), after=0.0)
            events += replay.events[count:]
        return events

    def _league_wars(self, clan: str) -> dict[str, Json | ClashError]:
        """Return the responses about the wars of a clan's group by path."""
        rounds = (self.world.league_group(clan) or {}).get("rounds", [])
        tags = [tag for one in rounds for tag in one["warTags"] if tag != _NOT_DRAWN]
        down = MaintenanceError("later") if self.world.in_maintenance else None
        return {
            f"/clanwarleagues/wars/{tag}": down or self.world.league_war(tag) or NotFoundError("gone") for tag in tags
        }

    def _response(self, kind: Kind, tag: str) -> Json | ClashError:
        if self.world.in_maintenance:
            return MaintenanceError("later")
        if kind is Kind.WAR and self.world.is_war_log_private(tag):
            return PrivateWarLogError("private")
        responses = {
            Kind.CLAN: self.world.clan,
            Kind.WAR: self.world.current_war,
            Kind.CWL: self.world.league_group,
            Kind.RAID: lambda clan: self.world.raid_seasons(clan, 1),
            Kind.PLAYER: self.world.player,
        }
        return responses[kind](tag) or NotFoundError("not found")
