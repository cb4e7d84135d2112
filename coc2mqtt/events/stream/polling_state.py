"""The state of a stream in memory, and the store that the engine commits to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.events.compare.war import WarStateMachine
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.stream.library_client import normalize_if_valid
from coc2mqtt.events.stream.saved_state import SavedState, event_to_json, read_state, write_atomically

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from coc2mqtt.events.event import Event

Json = dict[str, Any]

_VERSION = 1


class PollingState:
    """The last snapshot of each resource, and the events that have not been acknowledged yet.

    Member lists, war state machines and poll times are independent of the snapshots: setting a snapshot does not change
    them. ``clock`` returns monotonic seconds, ``wall_clock`` the Unix time that is saved.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._snapshots: dict[Resource, Snapshot] = {}
        self._members: dict[str, list[Json]] = {}
        self._war_fsms: dict[str, WarStateMachine] = {}
        self._polled_at: dict[str, float] = {}
        self._unacknowledged: dict[int, Event] = {}

    def get_clan(self, tag: str) -> Json | None:
        """Return the last snapshot of a clan, None before its first poll."""
        return self._data(Kind.CLAN, tag)

    def set_clan(self, tag: str, data: Json) -> None:
        """Store a snapshot of a clan, with which the next response is compared."""
        self._set_data(Kind.CLAN, tag, data)

    def get_members(self, tag: str) -> list[Json] | None:
        """Return the last member list of a clan, None before its first poll."""
        return self._members.get(normalize_if_valid(tag))

    def set_members(self, tag: str, members: list[Json]) -> None:
        """Store a member list, with which the next response is compared instead of the list in the snapshot."""
        self._members[normalize_if_valid(tag)] = members

    def get_war(self, tag: str) -> Json | None:
        """Return the last snapshot of a clan's war, None before its first poll."""
        return self._data(Kind.WAR, tag)

    def set_war(self, tag: str, data: Json) -> None:
        """Store a snapshot of a clan's war, with which the next response is compared."""
        self._set_data(Kind.WAR, tag, data)

    def get_war_fsm(self, tag: str) -> WarStateMachine:
        """Return the war state machine of a clan, which each poll advances; the first call creates it."""
        return self._war_fsms.setdefault(normalize_if_valid(tag), WarStateMachine())

    def get_player(self, tag: str) -> Json | None:
        """Return the last snapshot of a player, None before the first poll."""
        return self._data(Kind.PLAYER, tag)

    def set_player(self, tag: str, data: Json) -> None:
        """Store a snapshot of a player, with which the next response is compared."""
        self._set_data(Kind.PLAYER, tag, data)

    def should_poll(self, resource_key: str, interval: float) -> bool:
        """Return whether ``interval`` seconds have passed since ``mark_polled``; true before the first poll."""
        polled_at = self._polled_at.get(resource_key)
        return polled_at is None or self._clock() - polled_at >= interval

    def mark_polled(self, resource_key: str) -> None:
        """Record the current time as the time of the last poll."""
        self._polled_at[resource_key] = self._clock()

    def snapshot(self, resource: Resource) -> Snapshot | None:
        """Return the last snapshot of a resource, None if there is none; a clan's includes its member list."""
        snapshot = self._snapshots.get(resource)
        if snapshot is None or snapshot.data is None or resource.kind is not Kind.CLAN:
            return snapshot
        members = self._members.get(resource.tag)
        if members is None or snapshot.data.get("memberList") is members:
            return snapshot
        return Snapshot({**snapshot.data, "memberList": members}, snapshot.memo, snapshot.taken_at)

    def commit(
        self, resource: Resource, snapshot: Snapshot, events: Sequence[Event], *, track_members: bool = True
    ) -> None:
        """Store the snapshot of a poll and its events, which stay until they are acknowledged.

        This also updates the clan's war state machine and, with ``track_members``, its member list.
        """
        self._snapshots[resource] = snapshot
        data = snapshot.data
        if track_members and resource.kind is Kind.CLAN and data is not None and "memberList" in data:
            self._members[resource.tag] = data["memberList"] or []
        if resource.kind is Kind.WAR and data is not None:
            self.get_war_fsm(resource.tag).transition(str(data.get("state")))
        self._unacknowledged |= {id(event): event for event in events}

    def unacknowledged(self) -> list[Event]:
        """Return the events that have not been acknowledged, the oldest first."""
        return list(self._unacknowledged.values())

    def acknowledge(self, event: Event) -> None:
        """Remove a processed event."""
        self._unacknowledged.pop(id(event), None)

    def save(self, path: Path) -> None:
        """Write the state to a file atomically, and create missing folders.

        Raises OSError if the file cannot be written.
        """
        write_atomically(Path(path), orjson.dumps(self.to_json()))

    def load(self, path: Path) -> bool:
        """Load the state from a file, which may be one of cocapi's; false without any change if it has no state."""
        try:
            saved = read_state(Path(path).read_bytes(), version=_VERSION)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
        self._restore(saved)
        return True

    def _restore(self, saved: SavedState) -> None:
        self._snapshots = dict(saved.snapshots)
        self._members = dict(saved.members)
        self._war_fsms = {tag: WarStateMachine(state) for tag, state in saved.war_states.items()}
        # Polls must not be delayed if the wall clock was set back.
        age = {key: max(0.0, self._wall_clock() - at) for key, at in saved.poll_times.items()}
        self._polled_at = {key: self._clock() - seconds for key, seconds in age.items()}
        self._unacknowledged = {id(event): event for event in saved.events}

    def to_json(self) -> Json:
        """Return the content of the file that ``save`` writes; later changes of the state do not affect it."""
        offset = self._wall_clock() - self._clock()
        return {
            "version": _VERSION,
            "snapshots": [[*key, value.data, value.memo, value.taken_at] for key, value in self._snapshots.items()],
            "members": {tag: self._saved_members(tag, members) for tag, members in self._members.items()},
            "war_states": {tag: fsm.state.value for tag, fsm in self._war_fsms.items()},
            "poll_times": {key: at + offset for key, at in self._polled_at.items()},
            "unacknowledged": [event_to_json(event) for event in self._unacknowledged.values()],
        }

    def _saved_members(self, tag: str, members: list[Json]) -> list[Json] | None:
        """Return the member list to save, None if it is the one in the clan's snapshot, to write it only once."""
        clan = self._snapshots.get(Resource(Kind.CLAN, tag))
        shared = clan is not None and clan.data is not None and clan.data.get("memberList") is members
        return None if shared else members

    def _data(self, kind: Kind, tag: str) -> Json | None:
        snapshot = self._snapshots.get(Resource(kind, normalize_if_valid(tag)))
        return None if snapshot is None else snapshot.data

    def _set_data(self, kind: Kind, tag: str, data: Json) -> None:
        # The memo of the old snapshot does not apply to one that the user has set.
        self._snapshots[Resource(kind, normalize_if_valid(tag))] = Snapshot(data, {}, self._wall_clock())


class QueueStore:
    """Keeps snapshots in a PollingState and puts each event on a queue; a full queue blocks the polls.

    An event stays in the state until it is acknowledged, so that events which were not delivered are not lost.
    ``on_commit`` is called after each commit. Without ``track_members`` the state's member lists are not changed.
    """

    def __init__(
        self,
        state: PollingState,
        queue: asyncio.Queue[Event],
        *,
        on_commit: Callable[[], None] = lambda: None,
        track_members: bool = True,
    ) -> None:
        self._state = state
        self._queue = queue
        self._on_commit = on_commit
        self._track_members = track_members

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        """Return the last committed snapshot of a resource."""
        return self._state.snapshot(resource)

    async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:
        """Store the snapshot and its events in one step, then queue the events."""
        self._state.commit(resource, snapshot, events, track_members=self._track_members)
        self._on_commit()
        for event in events:
            await self._queue.put(event)
