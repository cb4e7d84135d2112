"""The verdict on a run: what was received, held against what happened."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.chaos.claims import claims
from tests.chaos.replay import Replay
from tests.support.observer import check_payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.chaos.ground_truth import GroundTruth
    from tests.support.observer import ReceivedMessage

# What is said of the API and not of the game: the first two tell of trouble, the others of its end.
_TROUBLE = ("poll_error", "maintenance_start")
_TROUBLE_ENDS = ("maintenance_end", "api_restored")
# A request may be tried three times, ten seconds each, before its failure is told (seconds).
_LATE = 40.0


class Receipt(NamedTuple):
    """A message, when it came, in seconds of the run, and in which life of the broker."""

    at: float
    seen: ReceivedMessage
    life: int = 1


class ApiOutage(NamedTuple):
    """When the API was not itself, as Unix times in seconds."""

    began: float
    ended: float


@dataclass
class CheckResult:
    """What was found. Every list says what is wrong, one sentence a case, and is empty where all is well."""

    received: int = 0
    resent: int = 0
    told: int = 0
    merged: int = 0
    lost: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    unwilled: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """All that is wrong, each with its sort."""
        sorts = ("lost", "disordered", "altered", "false", "unwilled", "unfit")
        return [f"{sort}: {sentence}" for sort in sorts for sentence in getattr(self, sort)]


def check_run(truth: GroundTruth, receipts: Sequence[Receipt], outages: Sequence[ApiOutage] = ()) -> CheckResult:
    """Hold all that was received against all that happened."""
    checked = CheckResult()
    first = _first_receipts(receipts, checked)
    checked.received = len(first)
    events = [seen.data for seen in first.values()]
    _check_order(events, checked)
    _check_presence(receipts, checked)
    events.sort(key=lambda event: event["seq"])
    _check_numbers(events, checked)
    _check_trouble([event for event in events if _is_trouble(event)], outages, checked)
    replay = Replay(truth)
    for event in events:
        if not _is_trouble(event):
            _follow(event, replay)
    replay.finish()
    checked.told, checked.merged = replay.told, replay.merged
    checked.lost += replay.lost
    checked.false += replay.false
    if not checked.violations and replay.told + replay.merged != len(truth.turns):
        checked.unfit.append(f"of {len(truth.turns)} changes {replay.told} were told and {replay.merged} merged")
    return checked


def _first_receipts(receipts: Iterable[Receipt], checked: CheckResult) -> dict[str, ReceivedMessage]:
    """Return the events by id, in the order of their first arrival."""
    first: dict[str, ReceivedMessage] = {}
    for _, seen, _ in receipts:
        try:
            check_payload(seen)
        except (AssertionError, ValueError) as error:
            checked.unfit.append(f"{seen.topic} {seen.payload!r}: {error}")
        if not seen.is_event:
            continue
        known = first.get(seen.data["id"])
        if known is None:
            first[seen.data["id"]] = seen
            continue
        checked.resent += 1
        if (known.topic, known.payload) != (seen.topic, seen.payload):
            checked.altered.append(f"{_name(seen.data)} came as {known.payload!r} and as {seen.payload!r}")
    return first


def _check_order(events: Iterable[dict[str, Any]], checked: CheckResult) -> None:
    """Check that of each tag the numbers grow, as the events arrive."""
    last: dict[str, int] = defaultdict(int)
    for event in events:
        if event["seq"] <= last[event["tag"]]:
            checked.disordered.append(f"{_name(event)} came after number {last[event['tag']]} of its tag")
        last[event["tag"]] = max(last[event["tag"]], event["seq"])


def _check_presence(receipts: Iterable[Receipt], checked: CheckResult) -> None:
    """Check that whoever came back was said to be away before, by a goodbye or the will, if the broker lived on."""
    online_in = 0
    for at, seen, life in receipts:
        if seen.topic == "coc/bridge/state" and seen.payload:
            online = seen.data == {"state": "online"}
            if online and online_in == life:
                checked.unwilled.append(f"the bridge was online again at {at:.3f} s and had not been offline before")
            online_in = life if online else 0


def _check_numbers(events: Sequence[dict[str, Any]], checked: CheckResult) -> None:
    """Check that every number was used once: an event that is on disk has one, and none is left out."""
    names: dict[int, str] = {}
    for event in events:
        if event["seq"] in names:
            checked.altered.append(f"{_name(event)} has the number of {names[event['seq']]}")
        names[event["seq"]] = _name(event)
    missing = set(range(1, max(names, default=0) + 1)) - names.keys()
    checked.lost += [f"the event of number {number} never came" for number in sorted(missing)]


def _check_trouble(events: Iterable[dict[str, Any]], outages: Sequence[ApiOutage], checked: CheckResult) -> None:
    """Check that the API is said to be in trouble when it was, and to be well again after that."""
    down = False
    for event in events:
        at = datetime.fromisoformat(event["timestamp"]).timestamp()
        if event["event_type"] in _TROUBLE_ENDS:
            if not down:
                checked.false.append(f"{_name(event)}: no trouble of the API was told that could end")
            down = False
        elif not any(pause.began <= at <= pause.ended + _LATE for pause in outages):
            checked.false.append(f"{_name(event)}: there was nothing wrong with the API at {event['timestamp']}")
        elif event["tag"] == "api":
            down = True
    if down:
        checked.lost.append("that the API is well again was never told")


def _follow(event: dict[str, Any], replay: Replay) -> None:
    try:
        for claim in claims(event):
            replay.take(claim, _name(event))
    except LookupError as error:
        replay.false.append(f"{_name(event)}: {error}")


def _is_trouble(event: dict[str, Any]) -> bool:
    return event["event_type"] in (*_TROUBLE, *_TROUBLE_ENDS)


def _name(event: dict[str, Any]) -> str:
    return f"event {event['seq']} ({event['event_type']} of {event['tag']}, id {event['id']})"
