"""A poller that is handed its answers, over a store that keeps what the journal keeps; and what must hold of both."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any, cast

import orjson

from coc2mqtt.clash import ApiResponse, ClashClient, ClashError
from coc2mqtt.events.polling.api_monitor import ApiMonitor
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.record import MAX_EVENT_BYTES, EventRecord
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.stream.polling_state import PollingState
from coc2mqtt.events.watch import Watch
from coc2mqtt.journal import JournalEntry
from coc2mqtt.journal.codec import Compressor, decode_record, decode_snapshot, encode_record, encode_snapshot
from coc2mqtt.mqtt.client.topic_filters import check_topic
from coc2mqtt.mqtt.payloads.event import encode_event
from coc2mqtt.mqtt.payloads.models import (
    BadgePayload,
    ClanPayload,
    EventPayload,
    OnlinePayload,
    Payload,
    PlayerPayload,
    WarPayload,
)
from coc2mqtt.mqtt.payloads.state import state_payloads
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.topics import Topics
from tests.support.pollers import POLLERS
from tests.support.replay import InMemoryApi

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from coc2mqtt.events.event import Event

Json = dict[str, Any]
Reply = ApiResponse | ClashError

# What tells of trouble, and not of a change in the game.
TROUBLE = {"poll_error", "watch_unavailable", "watch_available", "war_log_private", "war_log_public"}
_MODELS: dict[str, type[Payload]] = {
    "availability": OnlinePayload,
    "badge": BadgePayload,
    "clan": ClanPayload,
    "war": WarPayload,
    "player": PlayerPayload,
}
_TOPIC = re.compile(r"coc/(clan|player)/[0289PYLQGRJCUV]{3,15}/[a-z_]+")
_API_TOPIC = re.compile(r"coc/api/[a-z_]+")
_TOPICS = Topics()
_DISCOVERY = Discovery(_TOPICS, instance="home", version="1", prefix="homeassistant")
# Of one poll, in seconds of this thread's own time; what it would take without bounds are hours.
_LONGEST_POLL = 5.0
# In bytes.
_LARGEST_RECORD = 200 * 1024
_LARGEST_STATE = 16 * 1024
_LARGEST_DEVICE = 64 * 1024


class InMemoryStore:
    """What is believed of each resource, as bytes, and every event: as in a journal, without its thread.

    A stream must be able to write the same into its file.
    """

    def __init__(self) -> None:
        self._stream = PollingState()
        self.snapshots: dict[Resource, tuple[bytes, float]] = {}
        self.entries: list[JournalEntry] = []

    async def snapshot(self, resource: Resource) -> Snapshot | None:
        return self.now(resource)

    async def commit(self, resource: Resource, snapshot: Snapshot, events: Sequence[Event]) -> None:
        self._stream.commit(resource, snapshot, events)
        try:
            orjson.dumps(self._stream.to_json())
        except TypeError as error:
            raise AssertionError("a stream cannot be saved any more") from error
        for event in events:
            self._stream.acknowledge(event)
        body = Compressor().compress(encode_snapshot(snapshot))
        records = [encode_record(EventRecord.of(event)) for event in events]
        self.snapshots[resource] = body, snapshot.taken_at
        for record in records:
            number = len(self.entries) + 1
            self.entries.append(JournalEntry(number, f"{number:032x}", resource.kind, decode_record(record)))

    def now(self, resource: Resource) -> Snapshot | None:
        if resource not in self.snapshots:
            return None
        body, taken_at = self.snapshots[resource]
        return decode_snapshot(body, taken_at=taken_at)


class FakePoller(InMemoryApi):
    """Polls one resource of the kind; everything but its own endpoint says what is in ``elsewhere``, by path."""

    def __init__(self, kind: Kind, tag: str, *, now: float, elsewhere: dict[str, Reply]) -> None:
        super().__init__()
        self.store = InMemoryStore()
        self.now = now
        self.resource = Resource(kind, tag)
        self._said: Reply | None = None
        self._elsewhere = elsewhere
        self.restart()

    def restart(self) -> None:
        """Forget what is not in the store."""
        monitor = ApiMonitor(self.store, now=lambda: self.now, on_change=lambda _: None)
        context = PollContext(cast("ClashClient", self), self.store, monitor, lambda: self.now, lambda: self.now)
        self._poller = POLLERS[self.resource.kind](context, self.resource.tag, interval=60)

    @property
    def data(self) -> Json | None:
        snapshot = self.store.now(self.resource)
        return None if snapshot is None else snapshot.data

    def see(self, said: Reply, *, after: float = 60.0) -> list[JournalEntry]:
        """Poll so many seconds later; returns the events. All of them, and the snapshot, can be published."""
        self.now += after
        self._said = said
        told = len(self.store.entries)
        before = self.store.snapshots.get(self.resource)
        start = time.thread_time()
        _finish(self._poller.poll())
        assert time.thread_time() - start < _LONGEST_POLL
        new = self.store.entries[told:]
        for entry in new:
            check_event(entry)
        snapshot = self.store.now(self.resource)
        if snapshot is not None and self.store.snapshots[self.resource] != before:
            check_states(self.resource, snapshot)
        return [entry for entry in new if entry.kind is not Kind.API]

    def _respond(self, path: str) -> ApiResponse:
        said = self._said if path == path_of(self.resource) else self._elsewhere[path.rpartition("/")[2]]
        if isinstance(said, ApiResponse):
            # Decoded anew for each poll.
            return ApiResponse(said.status, said.body, said.max_age)
        assert said is not None
        raise said


def path_of(resource: Resource) -> str:
    if resource.kind is Kind.PLAYER:
        return f"/players/{resource.tag}"
    return f"/clans/{resource.tag}{'/currentwar' if resource.kind is Kind.WAR else ''}"


def is_bad(resource: Resource, said: Reply) -> bool:
    """Tell whether an answer surely is none about the resource."""
    if not isinstance(said, ApiResponse):
        return True
    try:
        data = json.loads(said.body.decode(errors="replace"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return True
    if not isinstance(data, dict):
        return True
    if resource.kind is not Kind.WAR:
        return data.get("tag") != resource.tag
    return not isinstance(data.get("state"), str) or _is_a_war_of_others(data, resource.tag)


def _is_a_war_of_others(data: Json, tag: str) -> bool:
    if "preparationStartTime" not in data and data["state"] not in {"preparation", "inWar", "warEnded"}:
        return False
    tags = [side.get("tag") if isinstance(side, dict) else None for side in (data.get("clan"), data.get("opponent"))]
    return all(isinstance(one, str) for one in tags) and tag not in tags


def check_event(entry: JournalEntry) -> None:
    """An event can be published, wherever it came from."""
    topic = _TOPICS.event(entry.kind, entry.record.tag, entry.record.event_type)
    assert (_API_TOPIC if entry.kind is Kind.API else _TOPIC).fullmatch(topic)
    check_topic(topic)
    assert len(encode_record(entry.record)) <= _LARGEST_RECORD
    payload = encode_event(entry)
    assert len(payload) <= MAX_EVENT_BYTES
    assert EventPayload.model_validate(orjson.loads(payload)).encode() == payload


def check_states(resource: Resource, snapshot: Snapshot) -> None:
    """What is retained of a resource can be published: states, and the device of a clan."""
    for facet, state in state_payloads(resource, snapshot).items():
        topic, payload = _TOPICS.state(resource.kind, resource.tag, facet), state.encode()
        check_topic(topic)
        assert len(payload) <= _LARGEST_STATE
        assert _MODELS[facet].model_validate(orjson.loads(payload)).encode() == payload
    if resource.kind is Kind.CLAN:
        name = None if snapshot.data is None else snapshot.data.get("name")
        device = _DISCOVERY.clan(Watch(Kind.CLAN, resource.tag, 60.0), name if isinstance(name, str) else None)
        check_topic(device.topic)
        assert len(device.payload) <= _LARGEST_DEVICE
        assert isinstance(orjson.loads(device.payload), dict)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _finish(poll: Coroutine[Any, Any, Any]) -> None:
    """Run a poll that has nothing to wait for."""
    try:
        poll.send(None)
    except StopIteration:
        return
    raise AssertionError("a poll of what is in memory has waited for something")
