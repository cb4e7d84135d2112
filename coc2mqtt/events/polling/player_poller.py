"""The poller of players."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from coc2mqtt.events.compare.missing_fields import restore_missing_fields
from coc2mqtt.events.compare.player import (
    align_player_lists,
    compare_player,
    is_permanent_player_field,
    player_looks_stale,
    restore_progress,
)
from coc2mqtt.events.compare.result import CompareResult
from coc2mqtt.events.compare.validate import validate_player
from coc2mqtt.events.polling.poller import Poller
from coc2mqtt.events.resource import Kind

if TYPE_CHECKING:
    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.compare.staleness import Observation
    from coc2mqtt.events.compare.validate import MalformedField
    from coc2mqtt.events.polling.poll_context import PollContext
    from coc2mqtt.events.resource import Snapshot


Json = dict[str, Any]


class PlayerPoller(Poller):
    """Polls a player; ``include_fields`` and ``exclude_fields`` are the API's keys, as ``compare_player`` has them."""

    kind: ClassVar = Kind.PLAYER
    endpoint: ClassVar = "player"
    __slots__ = ("_exclude_fields", "_include_fields")

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

    async def _fetch(self) -> ApiResponse:
        return await self._context.api.player(self._tag)

    def _check(self, data: Json) -> list[MalformedField]:
        return validate_player(data, self._tag)

    def _first_sight(self, data: Json, look: Observation) -> CompareResult:  # noqa: ARG002 - there is nothing to compare with
        return CompareResult([], data, {})

    def _goes_back(self, old: Snapshot, data: Json, look: Observation) -> bool:
        return player_looks_stale(old.data or {}, data, malformed=look.malformed)

    async def _compare(self, old: Snapshot, data: Json, look: Observation) -> CompareResult:
        completed = restore_missing_fields(old, data, is_permanent=is_permanent_player_field, malformed=look.malformed)
        before, after = align_player_lists(completed.old, completed.new)
        believed = restore_progress(before, after)
        events = compare_player(
            before,
            believed,
            at=look.at,
            include_fields=self._include_fields,
            exclude_fields=self._exclude_fields,
        )
        return CompareResult(events, completed.without_absent(believed), completed.memo)
