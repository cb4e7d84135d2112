"""The poller of players."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from coc2mqtt.events.compare.diff import CompareResult
from coc2mqtt.events.compare.missing_fields import restore_missing_fields
from coc2mqtt.events.compare.player import (
    align_player_lists,
    compare_player,
    is_permanent_player_field,
    player_looks_stale,
    restore_progress,
)
from coc2mqtt.events.compare.ranked import signup_of
from coc2mqtt.events.compare.ranked_state import event_of_signup
from coc2mqtt.events.compare.validate import validate_player
from coc2mqtt.events.polling.moves import remember_previous_clan
from coc2mqtt.events.polling.poller import Poller
from coc2mqtt.events.resource import Kind, Resource

if TYPE_CHECKING:
    from coc2mqtt.clash.response import ApiResponse
    from coc2mqtt.events.compare.staleness import Observation
    from coc2mqtt.events.compare.validate import MalformedField
    from coc2mqtt.events.polling.poll_context import PollContext
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]


class PlayerPoller(Poller):
    """Polls a player; ``include_fields`` and ``exclude_fields`` are the API's keys, as in ``compare_player``.

    ``ranked`` is whether events report the player's ranked weeks.
    """

    kind: ClassVar = Kind.PLAYER
    endpoint: ClassVar = "player"
    __slots__ = ("_exclude_fields", "_include_fields", "_ranked")

    def __init__(
        self,
        context: PollContext,
        tag: str,
        *,
        interval: float,
        include_fields: frozenset[str] | None = None,
        exclude_fields: frozenset[str] | None = None,
        ranked: bool = False,
    ) -> None:
        super().__init__(context, tag, interval=interval)
        self._include_fields = include_fields
        self._exclude_fields = exclude_fields
        self._ranked = ranked

    async def _fetch(self) -> ApiResponse:
        return await self._context.api.player(self._tag)

    def _validate(self, data: Json) -> list[MalformedField]:
        return validate_player(data, self._tag)

    def _baseline(self, data: Json, seen: Observation) -> CompareResult:  # noqa: ARG002 - a player needs no more
        return CompareResult([], data, {})

    def _looks_stale(self, old: Snapshot, data: Json, seen: Observation) -> bool:
        return player_looks_stale(old.data or {}, data, malformed=seen.malformed)

    async def _compare(self, old: Snapshot, data: Json, seen: Observation) -> CompareResult:
        restored = restore_missing_fields(old, data, is_permanent=is_permanent_player_field, malformed=seen.malformed)
        before, after = align_player_lists(restored.old, restored.new)
        accepted = restore_progress(before, after)
        events = compare_player(
            before,
            accepted,
            at=seen.at,
            include_fields=self._include_fields,
            exclude_fields=self._exclude_fields,
        )
        memo = remember_previous_clan(old, accepted, restored.memo, at=seen.at)
        follow_up = None
        if self._ranked and events and (found := signup_of(accepted)) != signup_of(before):
            snapshot = await self._context.store.snapshot(Resource(Kind.RANKED, self._tag))
            follow_up = event_of_signup(snapshot, found, at=seen.at)
        return CompareResult(events, restored.without_absent(accepted), memo, follow_up=follow_up)
