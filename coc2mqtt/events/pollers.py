"""The pollers of each kind of resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from coc2mqtt.clash.errors import ClashError, PrivateWarLogError
from coc2mqtt.events.clan import compare_clan, complete_members
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.player import compare_player, complete_units
from coc2mqtt.events.poller import PollContext, Polled, Poller
from coc2mqtt.events.resource import Kind, Snapshot
from coc2mqtt.events.shapes import check_clan, check_player, check_war
from coc2mqtt.events.war import compare_war, first_war, war_sides

if TYPE_CHECKING:
    from coc2mqtt.clash.answer import Answer

Json = dict[str, Any]


class ClanPoller(Poller):
    """Polls a clan, and its members where ``members`` is set."""

    kind: ClassVar = Kind.CLAN
    endpoint: ClassVar = "clan"

    def __init__(self, context: PollContext, tag: str, *, interval: float, members: bool = True) -> None:
        super().__init__(context, tag, interval=interval)
        self._members = members

    async def _fetch(self) -> Answer:
        return await self._context.api.clan(self._tag)

    def _compare(self, old: Snapshot | None, data: Json, at: float) -> tuple[list[Event], Json, Json]:
        check_clan(data, self._tag)
        before = None if old is None else old.data
        believed = complete_members(before, data)
        events = [] if before is None else compare_clan(before, believed, at=at, members=self._members)
        return events, believed, {}


class PlayerPoller(Poller):
    """Polls a player; ``include_fields`` and ``exclude_fields`` are the API's keys, as ``compare_player`` has them."""

    kind: ClassVar = Kind.PLAYER
    endpoint: ClassVar = "player"

    def __init__(
        self,
        context: PollContext,
        tag: str,
        *,
        interval: float,
        include_fields: frozenset[str] | None = None,
        exclude_fields: frozenset[str] | None = None,
    ) -> None:
        super().__init__(context, tag, interval=interval)
        self._include_fields = include_fields
        self._exclude_fields = exclude_fields

    async def _fetch(self) -> Answer:
        return await self._context.api.player(self._tag)

    def _compare(self, old: Snapshot | None, data: Json, at: float) -> tuple[list[Event], Json, Json]:
        check_player(data, self._tag)
        if old is None or old.data is None:
            return [], data, {}
        believed = complete_units(old.data, data)
        events = compare_player(
            old.data, believed, at=at, include_fields=self._include_fields, exclude_fields=self._exclude_fields
        )
        return events, believed, {}


class WarPoller(Poller):
    """Polls a clan's current war.

    A private war log is a state of the war, not a failure: its begin and its end are said. That the clan itself is
    missing is left to the clan's own poller.
    """

    kind: ClassVar = Kind.WAR
    endpoint: ClassVar = "currentwar"

    async def _fetch(self) -> Answer:
        return await self._context.api.current_war(self._tag)

    def _compare(self, old: Snapshot | None, data: Json, at: float) -> tuple[list[Event], Json, Json]:
        check_war(data, self._tag)
        if old is None or old.data is None:
            return [], data, first_war(data)
        return compare_war(old, data, tag=self._tag, at=at)

    def _take_up(self, old: Snapshot | None, data: Json, at: float) -> tuple[Snapshot, list[Event]]:
        snapshot, events = super()._take_up(old, data, at)
        if old is not None and old.memo.get("private"):
            events = [*self._said(EventType.WAR_LOG_PUBLIC, old, {}), *events]
        return snapshot, events

    async def _fail(self, error: ClashError, old: Snapshot | None) -> Polled:
        if not isinstance(error, PrivateWarLogError):
            return await super()._fail(error, old)
        self._failures = 0
        if old is None:
            return await self._commit(Snapshot(None, {"private": True}, self._context.now()), [], error.max_age)
        memo = {key: value for key, value in old.memo.items() if key not in ("trouble", "unavailable")}
        if memo.get("private") and memo == old.memo:
            return Polled([], error.max_age, committed=False)
        events = [] if memo.get("private") else self._said(EventType.WAR_LOG_PRIVATE, old, {})
        snapshot = Snapshot(old.data, {**memo, "private": True}, self._context.now())
        return await self._commit(snapshot, events, error.max_age)

    def _said(self, event_type: EventType, old: Snapshot | None, metadata: Json) -> list[Event]:
        if event_type in (EventType.WATCH_UNAVAILABLE, EventType.WATCH_AVAILABLE):
            return []
        return super()._said(event_type, old, metadata)

    def _name(self, data: Json) -> str | None:
        return war_sides(data, self._tag)[0].get("name")
