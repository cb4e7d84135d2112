"""What was published before and after a death, and what is believed in the end, compared with what has changed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import orjson

from tests.crash.harness import FileBroker, Published, events, retained
from tests.crash.scenarios import path, timeless

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coc2mqtt.demo import ScriptedChange
    from coc2mqtt.events.watch import Watch
    from tests.crash.scenarios import Scenario


def read_problems(scenario: Scenario, folder: Path) -> list[str]:
    """Say what is wrong with the outcome in a folder of the zygote's."""
    return find_problems(scenario, FileBroker.recall(folder / "published"), orjson.loads((folder / "end").read_bytes()))


def find_problems(scenario: Scenario, published: list[Published], end: dict[str, Any]) -> list[str]:
    """Say what is wrong with what was published and with what is believed in the end."""
    watched = [watch for watch in scenario.watched if f"{watch.kind}/{watch.tag}" in end["watches"]]
    found = [*_events(scenario, events(published), watched), *_twice(events(published))]
    found += _retained(scenario, published, watched)
    found += _answers(scenario, published, watched)
    believed = {"/".join(one): scenario.after[path(one)] for watch in watched for one, _ in watch.resources()}
    if end["believed"] != believed:
        found.append(f"believed are {sorted(end['believed'])}, or they are not what the API says")
    if end["pending"]:
        found.append(f"{end['pending']} events are never delivered")
    return found


def _events(scenario: Scenario, told: list[Published], watched: list[Watch]) -> Iterator[str]:
    """Each change is one event; no event is anything else; those of a tag come in the order of their ``seq``."""
    first = {one.data["id"]: one for one in reversed(told)}
    missing = list(scenario.changes)
    for one in first.values():
        change = next((change for change in missing if _fits(change, one)), None)
        if change is None:
            yield f"an event without a change, or a second one for it: {one.data}"
        else:
            missing.remove(change)
    tags = [watch.tag for watch in watched]
    yield from (f"never told: {change}" for change in missing if change.tag in tags)
    seqs = defaultdict(list)
    for one in told:
        if first.pop(one.data["id"], None) is not None:
            seqs[one.data["tag"]].append(one.data["seq"])
    yield from (f"not in order: {tag} {numbers}" for tag, numbers in seqs.items() if numbers != sorted(numbers))


def _twice(told: list[Published]) -> Iterator[str]:
    """What is told twice is the same to the byte, and nothing else has its id or its number."""
    for key in ("id", "seq"):
        same = defaultdict(set)
        for one in told:
            same[one.data[key]].add((one.topic, one.payload))
        yield from (f"two events with the {key} {value}: {ones}" for value, ones in same.items() if len(ones) > 1)


def _retained(scenario: Scenario, published: list[Published], watched: list[Watch]) -> Iterator[str]:
    """The broker retains what is watched, as it is now, and of nothing else anything."""
    states, left = scenario.shown(watched, scenario.after), dict(retained(published))
    for topic, state in states.items():
        if timeless(orjson.loads(left.pop(topic, b"{}"))) != state:
            yield f"not as it is: {topic}"
    for watch in scenario.watched:
        bare = watch.tag.removeprefix("#")
        if watch in watched:
            left.pop(f"coc/{watch.kind}/{bare}/state/poll", None)  # not part of a state that the API defines
        device = next((topic for topic in left if topic.startswith("homeassistant/") and f"_{bare}/" in topic), None)
        if (device is not None) is not (watch in watched):
            yield f"announced is {device}"
        yield from (f"a ghost: {topic}" for topic in left if f"/{bare}/" in topic)


def _answers(scenario: Scenario, published: list[Published], watched: list[Watch]) -> Iterator[str]:
    """What was confirmed holds."""
    for one in published:
        _, _, what, command = (*one.topic.split("/"), "", "", "")[:4]
        if what != "response":
            continue
        if one.data["status"] != "ok":
            yield f"refused: {one.data}"
        watch = next(watch for watch in scenario.watched if watch.tag.removeprefix("#") in one.payload.decode())
        if (watch in watched) is not (command == "watch"):
            yield f"confirmed and forgotten: {command} {watch.tag}"


def _fits(change: ScriptedChange, one: Published) -> bool:
    event: dict[str, Any] = one.data
    details = dict(change.details)
    fields = {item["field"].split(".")[0] for item in event["changes"]}
    return (
        (one.topic, event["tag"])
        == (f"coc/{change.kind}/{change.tag.removeprefix('#')}/{change.event_type}", change.tag)
        and set(details.pop("fields", [])) <= fields
        and all(event["metadata"].get(key) == value for key, value in details.items())
    )
