"""A poller that is given its responses, with a store like the journal, and the invariants of both."""

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
from coc2mqtt.events.resource import Kind, Resource, Snapshot, Watch
from coc2mqtt.events.stream.polling_state import PollingState
from coc2mqtt.journal import JournalEntry
from coc2mqtt.journal.codec import Compressor, decode_record, decode_snapshot, encode_record, encode_snapshot
from coc2mqtt.mqtt.client.messages import check_topic
from coc2mqtt.mqtt.payloads.cwl import CwlPayload
from coc2mqtt.mqtt.payloads.games import GamesPayload
from coc2mqtt.mqtt.payloads.last_war import LastWarPayload
from coc2mqtt.mqtt.payloads.members import MembersPayload
from coc2mqtt.mqtt.payloads.models import (
    BadgePayload,
    ClanPayload,
    EventPayload,
    OnlinePayload,
    Payload,
)
from coc2mqtt.mqtt.payloads.player import PlayerPayload
from coc2mqtt.mqtt.payloads.raid import RaidPayload
from coc2mqtt.mqtt.payloads.ranked import RankedPayload
from coc2mqtt.mqtt.payloads.state import state_payloads
from coc2mqtt.mqtt.payloads.war import WarPayload
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.topics import Topics
from tests.support.pollers import POLLERS
from tests.support.replay import InMemoryApi

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from coc2mqtt.events.event import Event

Json = dict[str, Any]
Reply = ApiResponse | ClashError

# Events about failures, not about changes in the game.
API_EVENT_TYPES = {"poll_error", "watch_unavailable", "watch_available", "war_log_private", "war_log_public"}
_MODELS: dict[str, type[Payload]] = {
    "availability": OnlinePayload,
    "badge": BadgePayload,
    "clan": ClanPayload,
    "members": MembersPayload,
    "war": WarPayload,
    "last_war": LastWarPayload,
    "cwl": CwlPayload,
    "raid": RaidPayload,
    "games": GamesPayload,
    "ranked": RankedPayload,
    "player": PlayerPayload,
}
_TOPIC = re.compile(r"coc/(clan|player)/[0289PYLQGRJCUV]{3,15}/[a-z_]+")
_API_TOPIC = re.compile(r"coc/api/[a-z_]+")
_ENDPOINTS = {Kind.WAR: "/currentwar", Kind.RAID: "/capitalraidseasons?limit=1"}
_TOPICS = Topics()
_DISCOVERY = Discovery(_TOPICS, instance="home", version="1", prefix="homeassistant")
# The limit of this thread's processor time for one poll (seconds). Without bounds a poll could take hours.
_MAX_POLL_S = 5.0
_MAX_RECORD_BYTES = 200 * 1024
_MAX_STATE_BYTES = 24 * 1024
_MAX_DEVICE_BYTES = 64 * 1024


class InMemoryStore:
    """Snapshots as bytes and all events, as in a journal but without its thread.

    A stream must also be able to save the same data to its file.
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
            raise AssertionError("the state of a stream cannot be saved") from error
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
    """Polls one resource; all other endpoints return ``other_replies``, by path."""

    def __init__(self, kind: Kind, tag: str, *, now: float, other_replies: dict[str, Reply]) -> None:
        super().__init__()
        self.store = InMemoryStore()
        self.now = now
        self.resource = Resource(kind, tag)
        self._reply: Reply | None = None
        self._elsewhere = other_replies
        self.restart()

    def restart(self) -> None:
        """Drop everything that is not in the store."""
        monitor = ApiMonitor(self.store, now=lambda: self.now, on_change=lambda _: None)
        context = PollContext(cast("ClashClient", self), self.store, monitor, lambda: self.now, lambda: self.now)
        self._poller = POLLERS[self.resource.kind](context, self.resource.tag, interval=60)

    @property
    def data(self) -> Json | None:
        snapshot = self.store.now(self.resource)
        return None if snapshot is None else snapshot.data

    def poll(self, reply: Reply, *, seconds_later: float = 60.0) -> list[JournalEntry]:
        """Poll ``seconds_later``; return the events. Check that all events and the snapshot can be published."""
        self.now += seconds_later
        self._reply = reply
        count_before = len(self.store.entries)
        before = self.store.snapshots.get(self.resource)
        start = time.thread_time()
        _finish(self._poller.poll())
        assert time.thread_time() - start < _MAX_POLL_S
        new = self.store.entries[count_before:]
        for entry in new:
            check_event(entry)
        snapshot = self.store.now(self.resource)
        if snapshot is not None and self.store.snapshots[self.resource] != before:
            check_states(self.resource, snapshot)
        return [entry for entry in new if entry.kind is not Kind.API]

    def _respond(self, path: str) -> ApiResponse:
        reply = (
            self._reply
            if path == path_of(self.resource)
            else self._elsewhere[path.rpartition("/")[2].partition("?")[0]]
        )
        if isinstance(reply, ApiResponse):
            # A new response for each poll, because it caches the decoded body.
            return ApiResponse(reply.status, reply.body, reply.max_age)
        assert reply is not None
        raise reply


def path_of(resource: Resource) -> str:
    if resource.kind is Kind.PLAYER:
        return f"/players/{resource.tag}"
    return f"/clans/{resource.tag}{_ENDPOINTS.get(resource.kind, '')}"


def is_unusable(resource: Resource, reply: Reply) -> bool:
    """Return whether a reply certainly does not describe the resource."""
    if not isinstance(reply, ApiResponse):
        return True
    try:
        data = json.loads(reply.body.decode(errors="replace"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return True
    if not isinstance(data, dict):
        return True
    if resource.kind is Kind.RAID:
        return not isinstance(data.get("items"), list)
    if resource.kind is not Kind.WAR:
        return data.get("tag") != resource.tag
    return not isinstance(data.get("state"), str) or _is_war_of_other_clans(data, resource.tag)


def _is_war_of_other_clans(data: Json, tag: str) -> bool:
    if "preparationStartTime" not in data and data["state"] not in {"preparation", "inWar", "warEnded"}:
        return False
    tags = [side.get("tag") if isinstance(side, dict) else None for side in (data.get("clan"), data.get("opponent"))]
    return all(isinstance(one, str) for one in tags) and tag not in tags


def check_event(entry: JournalEntry) -> None:
    """Check that an event can be published."""
    topic = _TOPICS.event(entry.kind, entry.record.tag, entry.record.event_type)
    assert (_API_TOPIC if entry.kind is Kind.API else _TOPIC).fullmatch(topic)
    check_topic(topic)
    assert len(encode_record(entry.record)) <= _MAX_RECORD_BYTES
    payload = EventPayload.of(entry).encode()
    assert len(payload) <= MAX_EVENT_BYTES
    assert EventPayload.model_validate(orjson.loads(payload)).encode() == payload


def check_states(resource: Resource, snapshot: Snapshot) -> None:
    """Check that the retained messages of a resource can be published: its states, and the device of a clan."""
    for facet, state in state_payloads(resource, snapshot).items():
        topic, payload = _TOPICS.state(resource.kind, resource.tag, facet), state.encode()
        check_topic(topic)
        assert len(payload) <= _MAX_STATE_BYTES
        assert _MODELS[facet].model_validate(orjson.loads(payload)).encode() == payload
    if resource.kind is Kind.CLAN:
        found = None if snapshot.data is None else snapshot.data.get("name")
        name = found if isinstance(found, str) else None
        watch = Watch(Kind.CLAN, resource.tag, 60.0, cwl=True, cwl_standings=True, raids=True)
        device, parts = _DISCOVERY.clan(watch, name), _DISCOVERY.parts(watch, name)
        for topic, payload in ((device.topic, device.payload), *((one.topic, one.payload) for one in parts)):
            check_topic(topic)
            assert len(payload) <= _MAX_DEVICE_BYTES
            assert isinstance(orjson.loads(payload), dict)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _finish(poll: Coroutine[Any, Any, Any]) -> None:
    """Run a poll that does not wait for anything."""
    try:
        poll.send(None)
    except StopIteration:
        return
    raise AssertionError("a poll of in-memory data has waited")
