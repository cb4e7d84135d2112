"""Fakes of what commands work with: watches, health, log level and delivered events."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from coc2mqtt.examples.bridge import health_example, info_example
from coc2mqtt.logs import LogLevel
from coc2mqtt.mqtt.control.commands import CommandContext, ResetWatches, Watches
from coc2mqtt.mqtt.control.dispatcher import CommandDispatcher
from coc2mqtt.mqtt.control.replay import Replay
from coc2mqtt.mqtt.control.request import CommandError
from coc2mqtt.mqtt.payloads.models import HealthPayload, InfoPayload, WatchPayload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from coc2mqtt.events.resource import Kind, Watch
    from coc2mqtt.journal.protocol import Journal, JournalEntry, Selection
    from coc2mqtt.logs import LogLevelName
    from coc2mqtt.mqtt.client.session import Session

    LookUp = Callable[[Kind, str], Awaitable[str | None]]

HEALTH = health_example(0.0, last_event=None)
RUN_ID = info_example(0.0).run_id


def info(session: Session) -> InfoPayload:
    return info_example(0.0).model_copy(update={"protocol": session.protocol})


class DeliveredInMemory:
    """The delivered events of a journal, without filtering; records the calls."""

    def __init__(self, entries: Iterable[JournalEntry] = ()) -> None:
        self.entries = list(entries)
        self.calls: list[tuple[float | None, Selection]] = []

    @property
    def journal(self) -> Journal:
        return cast("Journal", self)

    async def delivered(
        self, *, after: int, since: float | None, selection: Selection, limit: int
    ) -> list[JournalEntry]:
        self.calls.append((since, selection))
        return [entry for entry in self.entries if entry.seq > after][:limit]


class LogLevelInMemory(LogLevel):
    """A log level that does not change any logger; ``on_change`` is called when it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.on_change: Callable[[], None] = lambda: None
        self._name: LogLevelName = "info"

    @property
    def name(self) -> LogLevelName:
        return self._name

    def set(self, level: LogLevelName) -> None:
        self._name = level
        self.on_change()


async def nothing_to_flush() -> None:
    """Return at once, as the flush of acknowledgements does when all are stored."""


async def known_to_the_api(_kind: Kind, _tag: str) -> str | None:
    """Look up a tag that the API knows."""
    return "The Order"


def dispatcher(
    watches: Watches,
    *,
    journal: Journal | None = None,
    log_level: LogLevel | None = None,
    look_up: LookUp | None = known_to_the_api,
) -> CommandDispatcher:
    """Return a dispatcher for a list of watches; without a journal, nothing was ever delivered.

    Without ``look_up``, requests are executed strictly one after another.
    """
    replay = Replay(journal or DeliveredInMemory().journal, flush_acks=nothing_to_flush, clock=lambda: 1_800_000_000.0)
    return CommandDispatcher(
        CommandContext(
            watches, health=health, replay=replay, log_level=log_level or LogLevelInMemory(), look_up=look_up
        )
    )


class WatchesInMemory:
    """A list of watches that records changes in ``calls``; a ``full`` one rejects new watches.

    ``configuration`` contains the watches that it started with.
    """

    def __init__(self, watches: Iterable[Watch] = (), *, full: bool = False) -> None:
        self.watches = {(watch.kind, watch.tag): watch for watch in watches}
        self.configuration = list(self.watches.values())
        self.calls: list[tuple[str, Kind, str]] = []
        self.last_poll: float | None = None
        self._full = full
        self._names: dict[tuple[Kind, str], str | None] = {}

    def find(self, kind: Kind, tag: str) -> Watch | None:
        return self.watches.get((kind, tag))

    def polled_at(self, kind: Kind, tag: str) -> float | None:  # noqa: ARG002 - the same for all
        return self.last_poll

    async def watch(self, watch: Watch, *, name: str | None = None) -> None:
        if self._full:
            raise CommandError("too many watches: remove one first")
        self.calls.append(("watch", watch.kind, watch.tag))
        self._names[watch.kind, watch.tag] = name
        self.watches[watch.kind, watch.tag] = watch

    async def unwatch(self, kind: Kind, tag: str) -> bool:
        self.calls.append(("unwatch", kind, tag))
        return self.watches.pop((kind, tag), None) is not None

    async def reset(self, *, kind: Kind | None = None, tag: str | None = None) -> ResetWatches:
        removed = [watch for watch in self.select(kind=kind, tag=tag) if watch not in self.configuration]
        for watch in removed:
            await self.unwatch(watch.kind, watch.tag)
        return ResetWatches(removed, [])

    def configured(self, kind: Kind, tag: str) -> Watch | None:
        return next((watch for watch in self.configuration if (watch.kind, watch.tag) == (kind, tag)), None)

    def select(self, *, kind: Kind | None = None, tag: str | None = None) -> list[Watch]:
        return [watch for watch in self.watches.values() if tag in (None, watch.tag) and kind in (None, watch.kind)]

    async def describe(self, watch: Watch) -> WatchPayload:
        return WatchPayload.of(watch, self._names.get((watch.kind, watch.tag)))

    def poll_now(self, kind: Kind, tag: str) -> None:
        self.calls.append(("poll", kind, tag))


async def health() -> HealthPayload:
    return HEALTH
