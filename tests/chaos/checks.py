"""Checks of a run: compares the received messages with the ground truth."""

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

# Events about the API: the first two report a failure, the others its end.
_API_DOWN = ("poll_error", "maintenance_start")
_API_UP = ("maintenance_end", "api_restored")
# A request may be tried three times, ten seconds each, before its failure is reported (seconds).
_MAX_REPORT_DELAY_S = 40.0


class Receipt(NamedTuple):
    """A message with the time in seconds since the start of the run, and the number of the run of the broker."""

    at: float
    message: ReceivedMessage
    broker_run: int = 1


class ApiOutage(NamedTuple):
    """The time in which the API failed, in Unix seconds."""

    started: float
    ended: float


@dataclass
class CheckResult:
    """The findings. Each list has one sentence per violation and is empty if there is none."""

    received: int = 0
    resent: int = 0
    reported: int = 0
    merged: int = 0
    lost: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    missing_will: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """All violations, each with its kind."""
        kinds = ("lost", "out_of_order", "altered", "false", "missing_will", "invalid")
        return [f"{kind}: {sentence}" for kind in kinds for sentence in getattr(self, kind)]


def check_run(truth: GroundTruth, receipts: Sequence[Receipt], outages: Sequence[ApiOutage] = ()) -> CheckResult:
    """Compare everything that was received with everything that changed."""
    checked = CheckResult()
    first = _first_receipts(receipts, checked)
    checked.received = len(first)
    events = [message.data for message in first.values()]
    _check_order(events, checked)
    _check_presence(receipts, checked)
    events.sort(key=lambda event: event["seq"])
    _check_numbers(events, checked)
    _check_api_events([event for event in events if _is_api_event(event)], outages, checked)
    replay = Replay(truth)
    for event in events:
        if not _is_api_event(event):
            _follow(event, replay)
    replay.finish()
    checked.reported, checked.merged = replay.reported, replay.merged
    checked.lost += replay.lost
    checked.false += replay.false
    if not checked.violations and replay.reported + replay.merged != len(truth.changes):
        checked.invalid.append(
            f"of {len(truth.changes)} changes {replay.reported} were reported and {replay.merged} merged"
        )
    return checked


def _first_receipts(receipts: Iterable[Receipt], checked: CheckResult) -> dict[str, ReceivedMessage]:
    """Return the events by id, in the order of their first arrival."""
    first: dict[str, ReceivedMessage] = {}
    for _, message, _ in receipts:
        try:
            check_payload(message)
        except (AssertionError, ValueError) as error:
            checked.invalid.append(f"{message.topic} {message.payload!r}: {error}")
        if not message.is_event:
            continue
        known = first.get(message.data["id"])
        if known is None:
            first[message.data["id"]] = message
            continue
        checked.resent += 1
        if (known.topic, known.payload) != (message.topic, message.payload):
            checked.altered.append(
                f"{_name(message.data)} was received as {known.payload!r} and as {message.payload!r}"
            )
    return first


def _check_order(events: Iterable[dict[str, Any]], checked: CheckResult) -> None:
    """Check that the sequence numbers of each tag increase in the order of arrival."""
    last: dict[str, int] = defaultdict(int)
    for event in events:
        if event["seq"] <= last[event["tag"]]:
            checked.out_of_order.append(f"{_name(event)} arrived after number {last[event['tag']]} of its tag")
        last[event["tag"]] = max(last[event["tag"]], event["seq"])


def _check_presence(receipts: Iterable[Receipt], checked: CheckResult) -> None:
    """Check that the bridge is reported offline, by itself or by the will, before it comes online again.

    The will is lost if the broker is killed.
    """
    online_in = 0
    for at, message, broker_run in receipts:
        if message.topic == "coc/bridge/state" and message.payload:
            online = message.data == {"state": "online"}
            if online and online_in == broker_run:
                checked.missing_will.append(
                    f"the bridge was online again at {at:.3f} s and was not reported offline before"
                )
            online_in = broker_run if online else 0


def _check_numbers(events: Sequence[dict[str, Any]], checked: CheckResult) -> None:
    """Check that every sequence number was used exactly once: stored events are numbered without gaps."""
    names: dict[int, str] = {}
    for event in events:
        if event["seq"] in names:
            checked.altered.append(f"{_name(event)} has the same number as {names[event['seq']]}")
        names[event["seq"]] = _name(event)
    missing = set(range(1, max(names, default=0) + 1)) - names.keys()
    checked.lost += [f"event {number} never arrived" for number in sorted(missing)]


def _check_api_events(events: Iterable[dict[str, Any]], outages: Sequence[ApiOutage], checked: CheckResult) -> None:
    """Check that failures of the API are reported only during outages, and that each has an end."""
    down = False
    for event in events:
        at = datetime.fromisoformat(event["timestamp"]).timestamp()
        if event["event_type"] in _API_UP:
            if not down:
                checked.false.append(f"{_name(event)}: no failure of the API was reported before")
            down = False
        elif not any(outage.started <= at <= outage.ended + _MAX_REPORT_DELAY_S for outage in outages):
            checked.false.append(f"{_name(event)}: the API worked at {event['timestamp']}")
        elif event["tag"] == "api":
            down = True
    if down:
        checked.lost.append("the end of an API failure was never reported")


def _follow(event: dict[str, Any], replay: Replay) -> None:
    try:
        for claim in claims(event):
            replay.apply(claim, _name(event))
    except LookupError as error:
        replay.false.append(f"{_name(event)}: {error}")


def _is_api_event(event: dict[str, Any]) -> bool:
    return event["event_type"] in (*_API_DOWN, *_API_UP)


def _name(event: dict[str, Any]) -> str:
    return f"event {event['seq']} ({event['event_type']} of {event['tag']}, id {event['id']})"
