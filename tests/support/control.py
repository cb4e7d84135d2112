"""A list of watches and a health for tests of the control topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.resource import Kind
from coc2mqtt.mqtt.control.commands import CommandError, Commands
from coc2mqtt.mqtt.control.replay import Replay
from coc2mqtt.mqtt.payloads.models import HealthPayload, InfoPayload, WatchPayload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coc2mqtt.events.watch import Watch
    from coc2mqtt.journal.protocol import JournalEntry, Selection
    from coc2mqtt.logs import LogLevelName
    from coc2mqtt.mqtt.client.session import Session
    from coc2mqtt.mqtt.control.commands import Level, Watches
    from coc2mqtt.mqtt.control.replay import DeliveredEvents

HEALTH = HealthPayload(
    healthy=True,
    problems=[],
    uptime_seconds=1.0,
    connected_since=None,
    reconnects=0,
    api_status="ok",
    polls=0,
    polls_changed=0,
    polls_per_second=0.0,
    errors={},
    malformed_fields={},
    last_poll_age_seconds=None,
    overdue=0,
    overdue_seconds=0.0,
    load=0.0,
    watches=0,
    clans=0,
    players=0,
    events=0,
    published=0,
    resent=0,
    denied=0,
    states_denied=0,
    deferred=0,
    restored=0,
    requests_dropped=0,
    queue=0,
    queue_age_seconds=None,
    dropped=0,
    events_skipped=0,
    internal_errors=0,
    last_event=None,
)


def info(session: Session) -> InfoPayload:
    return InfoPayload(
        version="1",
        instance="home",
        run_id="1",
        host="here",
        started_at="",
        protocol=session.protocol,
        base_topic="coc",
        api_base_url="https://api.clashofclans.com/v1",
        requests_per_second=25.0,
        tokens=1,
        homeassistant=True,
        commands=[],
        log_level="info",
    )


class DeliveredInMemory:
    """As much of a journal as a replay reads, without any choice; notes what it was asked for."""

    def __init__(self, entries: Iterable[JournalEntry] = ()) -> None:
        self.entries = list(entries)
        self.asked: list[tuple[float | None, Selection]] = []

    async def delivered(
        self, *, after: int, since: float | None, selection: Selection, limit: int
    ) -> list[JournalEntry]:
        self.asked.append((since, selection))
        return [entry for entry in self.entries if entry.seq > after][:limit]


class LevelInMemory:
    """A level of the log that is nobody's; ``changed`` is called when it is set."""

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None
        self.name: LogLevelName = "info"

    def set(self, level: LogLevelName) -> None:
        self.name = level
        self.changed()


async def everything_noted() -> None:
    """In place of a delivery in which nothing is under way."""


def commands(watches: Watches, *, journal: DeliveredEvents | None = None, level: Level | None = None) -> Commands:
    """Return commands for a list of watches; without a journal nothing was ever delivered."""
    replay = Replay(journal or DeliveredInMemory(), noted=everything_noted, clock=lambda: 1_800_000_000.0)
    return Commands(watches, health=health, replay=replay, log_level=level or LevelInMemory())


class WatchedInMemory:
    """A list of watches that notes what is done to it; ``full`` lets nothing more in."""

    def __init__(self, watches: Iterable[Watch] = (), *, full: bool = False) -> None:
        self.watches = {(watch.kind, watch.tag): watch for watch in watches}
        self.done: list[tuple[str, Kind, str]] = []
        self.last_poll: float | None = None
        self._full = full

    def find(self, kind: Kind, tag: str) -> Watch | None:
        return self.watches.get((kind, tag))

    def polled_at(self, kind: Kind, tag: str) -> float | None:  # noqa: ARG002 - the same for all
        return self.last_poll

    async def watch(self, watch: Watch) -> None:
        if self._full:
            raise CommandError("there is no room for another watch: stop one first")
        self.done.append(("watch", watch.kind, watch.tag))
        self.watches[watch.kind, watch.tag] = watch

    async def unwatch(self, kind: Kind, tag: str) -> bool:
        self.done.append(("unwatch", kind, tag))
        return self.watches.pop((kind, tag), None) is not None

    def watched(self, tag: str | None, kind: Kind | None) -> list[Watch]:
        return [watch for watch in self.watches.values() if tag in (None, watch.tag) and kind in (None, watch.kind)]

    async def describe(self, watch: Watch) -> WatchPayload:
        return WatchPayload(
            kind="clan" if watch.kind is Kind.CLAN else "player",
            tag=watch.tag,
            name=None,
            interval=watch.interval,
            members=watch.members,
            war=watch.war,
            war_interval=watch.war_interval,
            include_fields=None if watch.include_fields is None else sorted(watch.include_fields),
            exclude_fields=None if watch.exclude_fields is None else sorted(watch.exclude_fields),
        )

    def poll_now(self, kind: Kind, tag: str) -> None:
        self.done.append(("poll", kind, tag))


async def health() -> HealthPayload:
    return HEALTH
