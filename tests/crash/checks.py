"""Checks of a crash: compares the published messages and the final snapshots with the changes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import orjson

from tests.crash.harness import FileBroker, Published, events
from tests.crash.scenarios import path, polled_resources, retained_problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coc2mqtt.demo import ScriptedChange
    from coc2mqtt.events.resource import Watch
    from tests.crash.scenarios import Scenario


# Snapshots without a response of their own.
_NOT_OF_API = ("reminder/", "calendar/")


def read_problems(scenario: Scenario, folder: Path) -> list[str]:
    """Return the problems found in a folder of the fork server."""
    return find_problems(
        scenario, FileBroker.read_messages(folder / "published"), orjson.loads((folder / "end").read_bytes())
    )


def find_problems(scenario: Scenario, published: list[Published], end: dict[str, Any]) -> list[str]:
    """Return the problems of the published messages and of the final state."""
    watched = scenario.watched_in(end["watches"])
    found = [*_event_problems(scenario, events(published), watched), *_duplicate_problems(events(published))]
    found += retained_problems(scenario, published, watched)
    found += _response_problems(scenario, published, watched)
    snapshots = {"/".join(one): scenario.after[path(one)] for watch in watched for one in polled_resources(watch)}
    if {name: one for name, one in end["snapshots"].items() if not name.startswith(_NOT_OF_API)} != snapshots:
        found.append(f"the snapshots of {sorted(end['snapshots'])} differ from the API")
    if end["pending"]:
        found.append(f"{end['pending']} events are still undelivered")
    return found


def _event_problems(scenario: Scenario, published_events: list[Published], watched: list[Watch]) -> Iterator[str]:
    """Each change has exactly one event, no other events exist, and those of a tag arrive in the order of ``seq``."""
    first = {one.data["id"]: one for one in reversed(published_events)}
    unreported = list(scenario.changes)
    for one in first.values():
        change = next((change for change in unreported if _matches(change, one)), None)
        if change is None:
            yield f"an event without a change, or a second one for it: {one.data}"
        else:
            unreported.remove(change)
    tags = [watch.tag for watch in watched]
    yield from (f"not reported: {change}" for change in unreported if change.tag in tags)
    seqs = defaultdict(list)
    for one in published_events:
        if first.pop(one.data["id"], None) is not None:
            seqs[one.data["tag"]].append(one.data["seq"])
    yield from (f"out of order: {tag} {numbers}" for tag, numbers in seqs.items() if numbers != sorted(numbers))


def _duplicate_problems(published_events: list[Published]) -> Iterator[str]:
    """A resent event is identical to the byte, and its id and number are unique."""
    for key in ("id", "seq"):
        same = defaultdict(set)
        for one in published_events:
            same[one.data[key]].add((one.topic, one.payload))
        yield from (
            f"two events with the {key} {value}: {messages}" for value, messages in same.items() if len(messages) > 1
        )


def _response_problems(scenario: Scenario, published: list[Published], watched: list[Watch]) -> Iterator[str]:
    """Confirmed commands took effect."""
    for one in published:
        _, _, segment, command = (*one.topic.split("/"), "", "", "")[:4]
        if segment != "response":
            continue
        if one.data["status"] != "ok":
            yield f"failed command: {one.data}"
        watch = next(watch for watch in scenario.watched if watch.tag.removeprefix("#") in one.payload.decode())
        if (watch in watched) is not (command == "watch"):
            yield f"confirmed without effect: {command} {watch.tag}"


def _matches(change: ScriptedChange, one: Published) -> bool:
    event: dict[str, Any] = one.data
    details = dict(change.details)
    fields = {item["field"].split(".")[0] for item in event["changes"]}
    return (
        (one.topic, event["tag"])
        == (f"coc/{change.kind}/{change.tag.removeprefix('#')}/{change.event_type}", change.tag)
        and set(details.pop("fields", [])) <= fields
        and all(event["metadata"].get(key) == value for key, value in details.items())
    )
