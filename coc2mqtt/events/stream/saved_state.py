"""The file that a stream saves its state in: content, including that of cocapi's files, and atomic writing."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from coc2mqtt.events.compare.war import WarState
from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.stream.library_client import normalize_if_valid

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

# The keys of the snapshots of each kind in a file of cocapi.
_COCAPI_KEYS = {Kind.CLAN: "clans", Kind.WAR: "wars", Kind.PLAYER: "players"}


class SavedState(NamedTuple):
    """The content of a state file. Poll times are Unix times in seconds."""

    snapshots: dict[Resource, Snapshot]
    members: dict[str, list[Json]]
    war_states: dict[str, WarState]
    poll_times: dict[str, float]
    events: list[Event]


class StateFile:
    """Writes numbered versions of the state to a file, from any thread, and never an older version over a newer one.

    The file is always complete, even if the program or the machine stops during a write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._written = -1

    def write(self, number: int, state: Json) -> None:
        """Write a version of the state unless one with a higher number was written; raises OSError."""
        with self._lock:
            if number > self._written:
                write_atomically(self._path, orjson.dumps(state))
                self._written = number


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content in one step, and create missing folders.

    Raises OSError if the file cannot be written; the old content is then kept.
    """
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
    # The temporary file is in the same folder, because replacing is only atomic within a file system.
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(file.name).unlink()
            raise


def read_state(content: bytes, *, version: int) -> SavedState:
    """Parse a state file of this program or of cocapi; ValueError, KeyError or TypeError for any other content."""
    saved = orjson.loads(content)
    if not isinstance(saved, dict):
        raise TypeError("the file does not contain a JSON object")
    if "version" not in saved and "clans" in saved:
        return _read_cocapi_state(saved)
    if saved["version"] != version:
        raise ValueError(f"the file has version {saved['version']}, expected {version}")
    snapshots = {Resource(Kind(kind), tag): _snapshot(*rest) for kind, tag, *rest in saved["snapshots"]}
    return SavedState(
        snapshots,
        _members(saved.get("members"), snapshots),
        # Files of earlier versions have no war states.
        _war_states(saved.get("war_states", dict(_states_in_snapshots(snapshots)))),
        _poll_times(saved.get("poll_times", {})),
        [_event_from_json(event) for event in saved["unacknowledged"]],
    )


def event_to_json(event: Event) -> Json:
    """Return an event in the form that ``read_state`` parses; its snapshots are shared, not copied."""
    return {
        **vars(event),
        "event_type": event.event_type.value,
        "changes": [vars(change) for change in event.changes],
    }


def _read_cocapi_state(saved: Json) -> SavedState:
    saved_at = saved.get("saved_at", 0.0)
    snapshots = {
        Resource(kind, normalize_if_valid(tag)): _snapshot(data, {}, saved_at)
        for kind, key in _COCAPI_KEYS.items()
        for tag, data in saved.get(key, {}).items()
    }
    members = {normalize_if_valid(tag): members for tag, members in saved.get("members", {}).items()}
    states = {normalize_if_valid(tag): state for tag, state in saved.get("war_states", {}).items()}
    poll_times = _poll_times(saved.get("last_poll_times", {}))
    return SavedState(snapshots, _members(members, {}), _war_states(states), poll_times, [])


def _snapshot(data: Any, memo: Any, taken_at: Any) -> Snapshot:
    if not (isinstance(data, dict | None) and isinstance(memo, dict) and isinstance(taken_at, int | float)):
        raise TypeError("a snapshot has values of the wrong type")
    return Snapshot(data, memo, taken_at)


def _members(saved: Any, snapshots: dict[Resource, Snapshot]) -> dict[str, list[Json]]:
    """Return the member lists; None stands for the list in the clan's snapshot, or for all of these lists."""
    listed = dict(_members_in_snapshots(snapshots))
    if saved is None:
        return listed
    members = {tag: listed[tag] if one is None else one for tag, one in saved.items()}
    if not all(isinstance(one, list) for one in members.values()):
        raise TypeError("a member list is not a list")
    return members


def _members_in_snapshots(snapshots: dict[Resource, Snapshot]) -> Iterator[tuple[str, list[Json]]]:
    for resource, snapshot in snapshots.items():
        if resource.kind is Kind.CLAN and snapshot.data is not None and "memberList" in snapshot.data:
            yield resource.tag, snapshot.data["memberList"] or []


def _states_in_snapshots(snapshots: dict[Resource, Snapshot]) -> Iterator[tuple[str, object]]:
    for resource, snapshot in snapshots.items():
        if resource.kind is Kind.WAR and snapshot.data is not None:
            yield resource.tag, snapshot.data.get("state")


def _war_states(saved: Any) -> dict[str, WarState]:
    """Return the war states; an unknown state becomes the initial one, because the API may add states."""
    known = {state.value: state for state in WarState}
    return {tag: known.get(str(state), WarState.NOT_IN_WAR) for tag, state in saved.items()}


def _poll_times(saved: Any) -> dict[str, float]:
    if not all(isinstance(at, int | float) for at in saved.values()):
        raise TypeError("a poll time is not a number")
    return dict(saved)


def _event_from_json(data: Json) -> Event:
    changes = tuple(Change(**change) for change in data["changes"])
    return Event(**{**data, "event_type": EventType(data["event_type"]), "changes": changes})
