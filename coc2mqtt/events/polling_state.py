"""What a stream believes of every resource, in memory, with a file to survive restarts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.state_file import write_atomically
from coc2mqtt.events.war_fsm import WarStateMachine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Json = dict[str, Any]

_VERSION = 1


class PollingState:
    """The last snapshot of each resource, and the events that nobody has acknowledged yet.

    ``clock`` gives monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
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
        return self._members.get(tag)

    def set_members(self, tag: str, members: list[Json]) -> None:
        """Take a member list as the one to compare the next answer with."""
        self._members[tag] = members
        clan = self.get_clan(tag)
        if clan is not None:
            self._set_data(Kind.CLAN, tag, {**clan, "memberList": members})

    def get_war(self, tag: str) -> Json | None:
        """Return the last snapshot of a clan's war, None before its first poll."""
        return self._data(Kind.WAR, tag)

    def set_war(self, tag: str, data: Json) -> None:
        """Take a snapshot of a clan's war as the one to compare the next answer with."""
        self._set_data(Kind.WAR, tag, data)

    def get_war_fsm(self, tag: str) -> WarStateMachine:
        """Return the war state machine of a clan; there is one from the first call on."""
        return self._fsms.setdefault(tag, WarStateMachine())

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
        """Return the last snapshot of any resource, None if there is none."""
        return self._snapshots.get(resource)

    def take(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:
        """Take up a new snapshot and the events that it caused, which wait for their acknowledgement from now on."""
        self._snapshots[resource] = snapshot
        if resource.kind is Kind.CLAN and snapshot.data is not None and "memberList" in snapshot.data:
            self._members[resource.tag] = snapshot.data["memberList"] or []
        if resource.kind is Kind.WAR and snapshot.data is not None:
            self.get_war_fsm(resource.tag).transition(str(snapshot.data.get("state")))
        self._unacknowledged |= {id(event): event for event in events}

    def unacknowledged(self) -> list[Event]:
        """Return the events that still wait for their acknowledgement, the oldest first."""
        return list(self._unacknowledged.values())

    def acknowledge(self, event: Event) -> None:
        """Let go of an event: its consumer is done with it."""
        self._unacknowledged.pop(id(event), None)

    def save(self, path: Path) -> None:
        """Write the state to a file, which holds either the old or the new state whatever happens meanwhile.

        Raises OSError where it cannot be written.
        """
        write_atomically(Path(path), orjson.dumps(self.image()))

    def load(self, path: Path) -> bool:
        """Take up the state that a file holds; returns false, and changes nothing, where it holds none."""
        try:
            image = orjson.loads(Path(path).read_bytes())
            if image["version"] != _VERSION:
                return False
            snapshots = {
                Resource(Kind(kind), tag): _snapshot_from_json(*rest) for kind, tag, *rest in image["snapshots"]
            }
            events = [_event_from_json(event) for event in image["unacknowledged"]]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        for mapping in (self._snapshots, self._members, self._fsms, self._polled):
            mapping.clear()
        for resource, snapshot in snapshots.items():
            self.take(resource, snapshot, [])
        self._unacknowledged = {id(event): event for event in events}
        return True

    def image(self) -> Json:
        """Return all that ``save`` writes; later changes of the state do not touch it."""
        return {
            "version": _VERSION,
            "snapshots": [[*key, value.data, value.memo, value.taken_at] for key, value in self._snapshots.items()],
            "unacknowledged": [_event_to_json(event) for event in self._unacknowledged.values()],
        }

    def _data(self, kind: Kind, tag: str) -> Json | None:
        snapshot = self._snapshots.get(Resource(kind, tag))
        return None if snapshot is None else snapshot.data

    def _set_data(self, kind: Kind, tag: str, data: Json) -> None:
        # What was remembered beside the old snapshot does not fit one that was put in by hand.
        self.take(Resource(kind, tag), Snapshot(data, {}, time.time()), [])


def _snapshot_from_json(data: Any, memo: Any, taken_at: Any) -> Snapshot:
    if not (isinstance(data, dict | None) and isinstance(memo, dict) and isinstance(taken_at, int | float)):
        raise TypeError("this is no snapshot")
    return Snapshot(data, memo, taken_at)


def _event_to_json(event: Event) -> Json:
    # Shallow: nobody changes a snapshot, and copies of whole clans would hold up the event loop.
    return {
        **vars(event),
        "event_type": event.event_type.value,
        "changes": [vars(change) for change in event.changes],
    }


def _event_from_json(data: Json) -> Event:
    changes = tuple(Change(**change) for change in data["changes"])
    return Event(**{**data, "event_type": EventType(data["event_type"]), "changes": changes})
