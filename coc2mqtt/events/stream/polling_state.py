"""State of a stream in memory, and the store that the engine commits to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.events.compare.war import WarStateMachine
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.stream.library_client import library_tag
from coc2mqtt.events.stream.saved_state import SavedState, event_to_json, read_state, write_atomically

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from coc2mqtt.events.event import Event

Json = dict[str, Any]

_VERSION = 1


class PollingState:
    """The last snapshot of each resource, and the events that nobody has acknowledged yet.

    Member lists, war state machines and poll times are kept beside the snapshots: setting a snapshot changes none of
    them. ``clock`` gives monotonic seconds, ``wall_clock`` Unix time for what is saved.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._snapshots: dict[Resource, Snapshot] = {}
        self._members: dict[str, list[Json]] = {}
        self._fsms: dict[str, WarStateMachine] = {}
        self._polled: dict[str, float] = {}
        self._unacknowledged: dict[int, Event] = {}

    def get_clan(self, tag: str) -> Json | None:
        """Return the last snapshot of a clan, None before its first poll."""
        return self._data(Kind.CLAN, tag)

    def set_clan(self, tag: str, data: Json) -> None:
        """Take a snapshot of a clan as the one to compare the next answer with."""
        self._set_data(Kind.CLAN, tag, data)

    def get_members(self, tag: str) -> list[Json] | None:
        """Return the last member list of a clan, None before its first poll."""
        return self._members.get(library_tag(tag))

    def set_members(self, tag: str, members: list[Json]) -> None:
        """Take a member list as the one to compare the next answer with, whatever the clan's snapshot has."""
        self._members[library_tag(tag)] = members

    def get_war(self, tag: str) -> Json | None:
        """Return the last snapshot of a clan's war, None before its first poll."""
        return self._data(Kind.WAR, tag)

    def set_war(self, tag: str, data: Json) -> None:
        """Take a snapshot of a clan's war as the one to compare the next answer with."""
        self._set_data(Kind.WAR, tag, data)

    def get_war_fsm(self, tag: str) -> WarStateMachine:
        """Return the war state machine of a clan, which each poll advances; there is one from the first call on."""
        return self._fsms.setdefault(library_tag(tag), WarStateMachine())

    def get_player(self, tag: str) -> Json | None:
        """Return the last snapshot of a player, None before the first poll."""
        return self._data(Kind.PLAYER, tag)

    def set_player(self, tag: str, data: Json) -> None:
        """Take a snapshot of a player as the one to compare the next answer with."""
        self._set_data(Kind.PLAYER, tag, data)

    def should_poll(self, resource_key: str, interval: float) -> bool:
        """Tell whether ``interval`` seconds have passed since ``mark_polled``; true before the first poll."""
        polled = self._polled.get(resource_key)
        return polled is None or self._clock() - polled >= interval

    def mark_polled(self, resource_key: str) -> None:
        """Remember now as the time of the last poll."""
        self._polled[resource_key] = self._clock()

    def snapshot(self, resource: Resource) -> Snapshot | None:
        """Return the last snapshot of any resource, a clan's with its member list; None if there is none."""
        snapshot = self._snapshots.get(resource)
        if snapshot is None or snapshot.data is None or resource.kind is not Kind.CLAN:
            return snapshot
        members = self._members.get(resource.tag)
        if members is None or snapshot.data.get("memberList") is members:
            return snapshot
        return Snapshot({**snapshot.data, "memberList": members}, snapshot.memo, snapshot.taken_at)

    def take(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event], *, members: bool = True) -> None:
        """Take up the snapshot of a poll and the events that it caused, which wait for their acknowledgement.

        A clan's member list and its war state machine follow; without ``members`` the member list does not.
        """
        self._snapshots[resource] = snapshot
        data = snapshot.data
        if members and resource.kind is Kind.CLAN and data is not None and "memberList" in data:
            self._members[resource.tag] = data["memberList"] or []
        if resource.kind is Kind.WAR and data is not None:
            self.get_war_fsm(resource.tag).transition(str(data.get("state")))
        self._unacknowledged |= {id(event): event for event in events}

    def unacknowledged(self) -> list[Event]:
        """Return the events that still wait for their acknowledgement, the oldest first."""
        return list(self._unacknowledged.values())

    def acknowledge(self, event: Event) -> None:
        """Let go of an event that was dealt with."""
        self._unacknowledged.pop(id(event), None)

    def save(self, path: Path) -> None:
        """Write the state to a file, which holds either the old or the new state whatever happens meanwhile.

        Missing folders are created. Raises OSError where it cannot be written.
        """
        write_atomically(Path(path), orjson.dumps(self.image()))

    def load(self, path: Path) -> bool:
        """Take up the state that a file holds; returns false, and changes nothing, where it holds none.

        The file may be one that cocapi has saved.
        """
        try:
            saved = read_state(Path(path).read_bytes(), version=_VERSION)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
        self._take_up(saved)
        return True

    def _take_up(self, saved: SavedState) -> None:
        self._snapshots = dict(saved.snapshots)
        self._members = dict(saved.members)
        self._fsms = {tag: WarStateMachine(state) for tag, state in saved.war_states.items()}
        # A wall clock that was set back must not put polls off.
        age = {key: max(0.0, self._wall_clock() - at) for key, at in saved.poll_times.items()}
        self._polled = {key: self._clock() - seconds for key, seconds in age.items()}
        self._unacknowledged = {id(event): event for event in saved.events}

    def image(self) -> Json:
        """Return all that ``save`` writes; later changes of the state do not touch it."""
        offset = self._wall_clock() - self._clock()
        return {
            "version": _VERSION,
            "snapshots": [[*key, value.data, value.memo, value.taken_at] for key, value in self._snapshots.items()],
            "members": {tag: self._saved_members(tag, members) for tag, members in self._members.items()},
            "war_states": {tag: fsm.state.value for tag, fsm in self._fsms.items()},
            "poll_times": {key: at + offset for key, at in self._polled.items()},
            "unacknowledged": [event_to_json(event) for event in self._unacknowledged.values()],
        }

    def _saved_members(self, tag: str, members: list[Json]) -> list[Json] | None:
        """Return what is saved of a member list: None for the one in its clan's snapshot, to write it once."""
        clan = self._snapshots.get(Resource(Kind.CLAN, tag))
        shared = clan is not None and clan.data is not None and clan.data.get("memberList") is members
        return None if shared else members

    def _data(self, kind: Kind, tag: str) -> Json | None:
        snapshot = self._snapshots.get(Resource(kind, library_tag(tag)))
        return None if snapshot is None else snapshot.data

    def _set_data(self, kind: Kind, tag: str, data: Json) -> None:
        # What was remembered beside the old snapshot does not fit one that was put in by hand.
        self._snapshots[Resource(kind, library_tag(tag))] = Snapshot(data, {}, self._wall_clock())


class QueueStore:
    """Keeps snapshots in memory and hands each event to a queue; a full queue holds up the polls.

    An event stays in the state until it is acknowledged, so one that was never handed over is not lost.
    ``committed`` is called after each commit. Without ``members`` the state's member lists are left alone.
    """

    def __init__(
        self,
        state: PollingState,
        queue: asyncio.Queue[Event],
        *,
        committed: Callable[[], None] = lambda: None,
        members: bool = True,
    ) -> None:
        self._state = state
        self._queue = queue
        self._committed = committed
        self._members = members

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        """Return what was last committed of a resource."""
        return self._state.snapshot(resource)

    async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:
        """Take up the snapshot and its events in one step, then queue the events."""
        self._state.take(resource, snapshot, events, members=self._members)
        self._committed()
        for event in events:
            await self._queue.put(event)
