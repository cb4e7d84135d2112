"""The commands: their declaration, and the models and the handler of each.

The command ``replay`` is in ``replay.py``.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from pydantic import Field

from coc2mqtt.events.resource import (
    Kind,
    Watch,
)
from coc2mqtt.logs import LogLevelName  # noqa: TC001 - pydantic reads it
from coc2mqtt.mqtt.control import sentences
from coc2mqtt.mqtt.control.request import CommandError, Request, Tag, WatchedKind
from coc2mqtt.mqtt.payloads.models import HealthPayload, Payload, WatchesPayload, WatchPayload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from coc2mqtt.logs import LogLevel
    from coc2mqtt.mqtt.control.replay import Replay
    from coc2mqtt.mqtt.control.sentences import Sentence
    from coc2mqtt.mqtt.control.watch_request import WatchRequest

Json = dict[str, Any]

# A response of this size passes every broker and client.
MAX_RESPONSE_BYTES = 128 * 1024


class Outcome(NamedTuple):
    """The result of a command: the ``data`` of its response, and a sentence for ``bridge/last_command``."""

    data: Payload
    sentence: Sentence | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its name in the topic, its models and its handler.

    ``request`` validates the payload of a request, ``response`` is the model of the response's ``data``. A ``query``
    changes nothing and is not published as the last command. ``log_level`` is the level at which executions are logged.
    """

    name: str
    request: type[Request]
    response: type[Payload]
    handler: Callable[[CommandContext, Any], Awaitable[Outcome]]
    query: bool = False
    log_level: Literal["debug", "info"] = "info"


@dataclass(frozen=True, slots=True)
class CommandContext:
    """The parts of the bridge that command handlers work with.

    ``look_up`` asks the API about a clan or player and returns its name; it raises CommandError if there is none or the
    API cannot say. None accepts every tag. ``during_lookup`` is entered while a command waits for the API:
    other commands need not wait for it. ``max_response_bytes`` limits the size of a response whose length is a matter
    of choice.
    """

    watches: Watches
    health: Callable[[], Awaitable[HealthPayload]]
    replay: Replay
    log_level: LogLevel
    look_up: Callable[[Kind, str], Awaitable[str | None]] | None = None
    during_lookup: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    max_response_bytes: int = MAX_RESPONSE_BYTES


class ResetWatches(NamedTuple):
    """The watches that a reset removed, and those that are again as in the configuration."""

    removed: list[Watch]
    restored: list[Watch]


class Watches(Protocol):
    """The watches of the bridge, which commands can list and change."""

    async def watch(self, watch: Watch, *, name: str | None = None) -> None:
        """Add or replace a watch, also for later runs; raises CommandError if it cannot be added.

        ``name`` is that of the clan or player, None if it is unknown.
        """

    async def unwatch(self, kind: Kind, tag: str) -> bool:
        """Remove a watch, also for later runs; returns whether it existed."""

    async def reset(self, *, kind: Kind | None = None, tag: str | None = None) -> ResetWatches:
        """Give up what commands changed about the watches of a kind and a tag; None matches any."""

    def configured(self, kind: Kind, tag: str) -> Watch | None:
        """Return the watch of the configuration, None if it has none."""

    def select(self, *, kind: Kind | None = None, tag: str | None = None) -> list[Watch]:
        """Return the watches of a kind and a tag; None matches any."""

    async def describe(self, watch: Watch) -> WatchPayload:
        """Return the payload of a watch."""

    def poll_now(self, kind: Kind, tag: str) -> None:
        """Poll the resources of a watch as soon as possible."""


class SelectRequest(Request):
    """Select watches by kind and tag; without either, all of them."""

    tag: Tag | None = Field(default=None, description="The tag, with or without its '#'; null: any.")
    kind: WatchedKind | None = Field(default=None, description="Null: any.")


class ListRequest(SelectRequest):
    """List the watches, optionally by kind or tag. Plain text is read as a tag."""


class PollRequest(SelectRequest):
    """Poll watches now, optionally by kind or tag. Plain text is read as a tag."""


class UnwatchRequest(SelectRequest):
    """Stop watching a tag; without a kind, both the clan and the player with that tag. Plain text is read as a tag."""

    tag: Tag = Field(description="The tag, with or without its '#'.")


class Watched(Payload):
    """Identifies a watch."""

    kind: WatchedKind
    tag: str


class WatchData(WatchPayload):
    """The watch as it is now."""


class UnwatchData(Payload):
    """The watches that were removed."""

    unwatched: list[Watched]


class ListData(WatchesPayload):
    """The selected watches."""


class PollData(Payload):
    """The watches that will be polled as soon as the rate limit allows."""

    polled: list[Watched]


async def watch(context: CommandContext, request: WatchRequest) -> Outcome:
    """Add a watch, or change an existing one; raises CommandError if it is new and the API does not know its tag."""
    kind, watches = Kind(request.kind), context.watches
    existing = next(iter(watches.select(kind=kind, tag=request.tag)), None)
    known = existing or watches.configured(kind, request.tag)
    requested = request.watch(known)
    name = None
    if known is None and not request.force and context.look_up is not None:
        async with context.during_lookup():
            name = await context.look_up(kind, request.tag)
    await watches.watch(requested, name=name)
    described = await watches.describe(requested)
    if existing is None:
        sentence = sentences.now_watching(described)
    else:
        sentence = (sentences.already_watched if existing == requested else sentences.watch_changed)(described)
    return Outcome(WatchData(**described.model_dump()), sentence)


async def unwatch(context: CommandContext, request: UnwatchRequest) -> Outcome:
    """Remove the selected watches; raises CommandError if there are none."""
    selected = _select_existing(context, request)
    described = [await context.watches.describe(one) for one in selected]
    for one in selected:
        await context.watches.unwatch(one.kind, one.tag)
    return Outcome(UnwatchData(unwatched=identify(selected)), sentences.stopped_watching(described))


async def list_watches(context: CommandContext, request: ListRequest) -> Outcome:
    """Describe the selected watches."""
    return Outcome(ListData(watches=[await context.watches.describe(one) for one in _select(context, request)]))


async def poll(context: CommandContext, request: PollRequest) -> Outcome:
    """Poll the selected watches; raises CommandError if a tag was given and is not watched."""
    selected = _select_existing(context, request)
    for one in selected:
        context.watches.poll_now(one.kind, one.tag)
    named = [await context.watches.describe(one) for one in selected[:1]]
    return Outcome(PollData(polled=identify(selected)), sentences.polling(len(selected), named))


def _select(context: CommandContext, request: SelectRequest) -> list[Watch]:
    kind = None if request.kind is None else Kind(request.kind)
    return context.watches.select(kind=kind, tag=request.tag)


def _select_existing(context: CommandContext, request: SelectRequest) -> list[Watch]:
    selected = _select(context, request)
    if not selected and request.tag is not None:
        raise CommandError(sentences.not_watched(request.tag, request.kind))
    return selected


def identify(watches: list[Watch]) -> list[Watched]:
    """Return the kinds and tags of watches."""
    return [Watched(kind="clan" if one.kind is Kind.CLAN else "player", tag=one.tag) for one in watches]


class LogLevelRequest(Request):
    """Set the log level until the bridge restarts; without a level, return the current one.

    Plain text is read as a level.
    """

    main_key = "level"

    level: LogLevelName | None = Field(
        default=None, description="Lines of this level and above are logged; null: the level is not changed."
    )

    @classmethod
    def from_text(cls, text: str) -> dict[str, Any]:
        """Return the level, in any case."""
        return {cls.main_key: text.lower()}


class LogLevelData(Payload):
    """The current log level."""

    level: LogLevelName = Field(description="Lines of this level and above are logged.")


class HealthCheckRequest(Request):
    """Return the health of the bridge, as on `bridge/health`."""


async def set_log_level(context: CommandContext, request: LogLevelRequest) -> Outcome:
    """Set the log level if one is given, and return the current one."""
    if request.level is not None:
        context.log_level.set(request.level)
    level = context.log_level.name
    return Outcome(LogLevelData(level=level), None if request.level is None else sentences.log_level_set(level))


async def check_health(context: CommandContext, _: HealthCheckRequest) -> Outcome:
    """Return the health of the bridge."""
    return Outcome(await context.health())
