"""The file in which a stream saves its state, ours or cocapi's."""

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
from coc2mqtt.events.stream.library_client import library_tag

if TYPE_CHECKING:
    from collections.abc import Iterator


class StateFile:
    """Writes numbered images of the state to one file, from any thread, and never an older one over a newer one.

    The file holds a whole image at every moment, whatever dies meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._written = -1

    def write(self, number: int, image: dict[str, Any]) -> None:
        """Write an image, unless one with a higher number was written already; raises OSError where it cannot."""
        with self._lock:
            if number > self._written:
                write_atomically(self._path, orjson.dumps(image))
                self._written = number


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content in one step; raises OSError, and leaves the old content, where it cannot.

    Missing folders are created.
    """
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because only there the replacement is atomic.
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


Json = dict[str, Any]

# The keys under which cocapi saves the snapshots of each kind.
_COCAPI_KEYS = {Kind.CLAN: "clans", Kind.WAR: "wars", Kind.PLAYER: "players"}


class SavedState(NamedTuple):
    """The content of a state file. Poll times are Unix times in seconds."""

    snapshots: dict[Resource, Snapshot]
    members: dict[str, list[Json]]
    war_states: dict[str, WarState]
    poll_times: dict[str, float]
    events: list[Event]


def read_state(content: bytes, *, version: int) -> SavedState:
    """Return what a file holds; ValueError, KeyError or TypeError if it holds neither our state nor cocapi's."""
    image = orjson.loads(content)
    if not isinstance(image, dict):
        raise TypeError("the file holds no object")
    if "version" not in image and "clans" in image:
        return _cocapi_state(image)
    if image["version"] != version:
        raise ValueError(f"the file has version {image['version']}, expected {version}")
    snapshots = {Resource(Kind(kind), tag): _snapshot(*rest) for kind, tag, *rest in image["snapshots"]}
    return SavedState(
        snapshots,
        _members(image.get("members"), snapshots),
        # Files of earlier versions have no states of their own.
        _war_states(image.get("war_states", dict(_states(snapshots)))),
        _poll_times(image.get("poll_times", {})),
        [_event_from_json(event) for event in image["unacknowledged"]],
    )


def event_to_json(event: Event) -> Json:
    """Return an event as ``read_state`` reads it; shares its snapshots, which nobody changes."""
    return {
        **vars(event),
        "event_type": event.event_type.value,
        "changes": [vars(change) for change in event.changes],
    }


def _cocapi_state(image: Json) -> SavedState:
    saved_at = image.get("saved_at", 0.0)
    snapshots = {
        Resource(kind, library_tag(tag)): _snapshot(data, {}, saved_at)
        for kind, key in _COCAPI_KEYS.items()
        for tag, data in image.get(key, {}).items()
    }
    members = {library_tag(tag): members for tag, members in image.get("members", {}).items()}
    states = {library_tag(tag): state for tag, state in image.get("war_states", {}).items()}
    poll_times = _poll_times(image.get("last_poll_times", {}))
    return SavedState(snapshots, _members(members, {}), _war_states(states), poll_times, [])


def _snapshot(data: Any, memo: Any, taken_at: Any) -> Snapshot:
    if not (isinstance(data, dict | None) and isinstance(memo, dict) and isinstance(taken_at, int | float)):
        raise TypeError("this is no snapshot")
    return Snapshot(data, memo, taken_at)


def _members(saved: Any, snapshots: dict[Resource, Snapshot]) -> dict[str, list[Json]]:
    """Return the member lists; None in the place of one, or of all, stands for those in the clans' snapshots."""
    listed = dict(_listed(snapshots))
    if saved is None:
        return listed
    members = {tag: listed[tag] if one is None else one for tag, one in saved.items()}
    if not all(isinstance(one, list) for one in members.values()):
        raise TypeError("a member list is not a list")
    return members


def _listed(snapshots: dict[Resource, Snapshot]) -> Iterator[tuple[str, list[Json]]]:
    for resource, snapshot in snapshots.items():
        if resource.kind is Kind.CLAN and snapshot.data is not None and "memberList" in snapshot.data:
            yield resource.tag, snapshot.data["memberList"] or []


def _states(snapshots: dict[Resource, Snapshot]) -> Iterator[tuple[str, object]]:
    for resource, snapshot in snapshots.items():
        if resource.kind is Kind.WAR and snapshot.data is not None:
            yield resource.tag, snapshot.data.get("state")


def _war_states(saved: Any) -> dict[str, WarState]:
    """Return the war states; one that is unknown is the initial one, because the API grows states."""
    known = {state.value: state for state in WarState}
    return {tag: known.get(str(state), WarState.NOT_IN_WAR) for tag, state in saved.items()}


def _poll_times(saved: Any) -> dict[str, float]:
    if not all(isinstance(at, int | float) for at in saved.values()):
        raise TypeError("a poll time is not a number")
    return dict(saved)


def _event_from_json(data: Json) -> Event:
    changes = tuple(Change(**change) for change in data["changes"])
    return Event(**{**data, "event_type": EventType(data["event_type"]), "changes": changes})
