"""The control topic: requests and their answers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from pydantic import ValidationError

from coc2mqtt.events.resource import Kind
from coc2mqtt.mqtt.control.replay import LARGEST_ANSWER, Replay
from coc2mqtt.mqtt.payloads.models import HealthPayload, Payload, ResponsePayload, WatchPayload
from coc2mqtt.mqtt.payloads.requests import (
    CommandError,
    HealthCheckRequest,
    ListRequest,
    LogLevelRequest,
    PollRequest,
    ReplayRequest,
    Request,
    SelectRequest,
    UnwatchRequest,
    WatchRequest,
    check_transaction,
)
from coc2mqtt.mqtt.payloads.responses import (
    ListData,
    LogLevelData,
    PollData,
    UnwatchData,
    WatchData,
    Watched,
)
from coc2mqtt.util.containment import propagate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.events.watch import Watch
    from coc2mqtt.logs import LogLevelName
    from coc2mqtt.util.containment import Contain

__all__ = ["CommandError", "Commands", "Level", "Watches"]

Json = dict[str, Any]

# Commands are small; what is larger is a mistake or an attack.
_LARGEST_REQUEST = 64 * 1024


class Watches(Protocol):
    """The list of watches, which is what commands can change."""

    async def watch(self, watch: Watch) -> None:
        """Watch from now on and after a restart; raises CommandError where that cannot be."""

    async def unwatch(self, kind: Kind, tag: str) -> bool:
        """Stop watching for good; returns whether it was watched."""

    def watched(self, tag: str | None, kind: Kind | None) -> list[Watch]:
        """Return the watches of a tag and a kind, None being any."""

    async def describe(self, watch: Watch) -> WatchPayload:
        """Return a watch as it is published."""

    def poll_now(self, kind: Kind, tag: str) -> None:
        """Make what a watch polls due at once."""


class Level(Protocol):
    """The level of the log, which commands can set as well."""

    @property
    def name(self) -> LogLevelName:
        """The level from which on lines are logged."""

    def set(self, level: LogLevelName) -> None:
        """Log from this level on until the program ends."""


class Commands:
    """Carries out requests. Each one gets an answer, whatever it looks like.

    ``health`` tells how the bridge is doing, ``replay`` gives events once more, ``log_level`` is the running program's.
    ``contain`` guards each command: after a bug, its answer is an error.
    """

    def __init__(
        self,
        watches: Watches,
        *,
        health: Callable[[], Awaitable[HealthPayload]],
        replay: Replay,
        log_level: Level,
        contain: Contain = propagate,
    ) -> None:
        self._contain = contain
        self._watches = watches
        self._health = health
        self._replay = replay
        self._log_level = log_level
        self._commands: dict[str, tuple[type[Request], Callable[[Any], Awaitable[Payload]]]] = {
            "watch": (WatchRequest, self._watch),
            "unwatch": (UnwatchRequest, self._unwatch),
            "list": (ListRequest, self._list),
            "poll": (PollRequest, self._poll),
            "replay": (ReplayRequest, replay.page),
            "log_level": (LogLevelRequest, self._set_log_level),
            "health_check": (HealthCheckRequest, self._health_check),
        }

    @property
    def names(self) -> list[str]:
        """The commands that there are."""
        return list(self._commands)

    async def answer(
        self, command: str | None, payload: bytes, *, retained: bool = False, room: int = LARGEST_ANSWER
    ) -> ResponsePayload:
        """Carry out one request and return what to answer; never raises for what the request holds.

        ``room`` is how many bytes the answer may take where that can be chosen.
        """
        data: Json = {}
        message = "an internal error, which the bridge's log describes: please report it"
        with self._contain("command", command=command):
            try:
                said = _decode(payload)
                data = {} if isinstance(said, str) else said
                model, carry_out = self._find(command, retained=retained)
                request = model.model_validate(model.of_text(said) if isinstance(said, str) else said)
                if isinstance(request, ReplayRequest):
                    carry_out = partial(self._replay.page, room=room)
                done = await carry_out(request)
                return ResponsePayload(status="ok", data=done.model_dump(), transaction=request.transaction)
            except ValidationError as error:
                message = _say(error)
            except CommandError as error:
                message = str(error)
        return ResponsePayload(status="error", data={}, error=message, transaction=_echo(data))

    def _find(
        self, command: str | None, *, retained: bool
    ) -> tuple[type[Request], Callable[[Any], Awaitable[Payload]]]:
        if retained:
            raise CommandError("a retained request is not executed: publish it again without the retain flag")
        if command not in self._commands:
            raise CommandError(f"there is no such command: use one of {', '.join(self._commands)}")
        return self._commands[command]

    async def _watch(self, request: WatchRequest) -> WatchData:
        present = self._watches.watched(request.tag, Kind(request.kind))
        watch = request.watch(present[0] if present else None)
        await self._watches.watch(watch)
        return WatchData(**(await self._watches.describe(watch)).model_dump())

    async def _unwatch(self, request: UnwatchRequest) -> UnwatchData:
        watches = self._selected(request)
        for watch in watches:
            await self._watches.unwatch(watch.kind, watch.tag)
        return UnwatchData(unwatched=_named(watches))

    async def _list(self, request: SelectRequest) -> ListData:
        kind = None if request.kind is None else Kind(request.kind)
        watches = self._watches.watched(request.tag, kind)
        return ListData(watches=[await self._watches.describe(watch) for watch in watches])

    async def _poll(self, request: SelectRequest) -> PollData:
        watches = self._selected(request)
        for watch in watches:
            self._watches.poll_now(watch.kind, watch.tag)
        return PollData(polled=_named(watches))

    async def _set_log_level(self, request: LogLevelRequest) -> LogLevelData:
        if request.level is not None:
            self._log_level.set(request.level)
        return LogLevelData(level=self._log_level.name)

    async def _health_check(self, _: HealthCheckRequest) -> HealthPayload:
        return await self._health()

    def _selected(self, request: SelectRequest) -> list[Watch]:
        kind = None if request.kind is None else Kind(request.kind)
        watches = self._watches.watched(request.tag, kind)
        if not watches and request.tag is not None:
            raise CommandError(f"{request.tag} is not watched{'' if kind is None else f' as a {kind}'}")
        return watches


def _named(watches: list[Watch]) -> list[Watched]:
    return [Watched(kind="clan" if watch.kind is Kind.CLAN else "player", tag=watch.tag) for watch in watches]


def _decode(payload: bytes) -> str | Json:
    """Take a request apart: nothing, a bare text, or a JSON object."""
    if len(payload) > _LARGEST_REQUEST:
        raise CommandError(f"the request is larger than {_LARGEST_REQUEST // 1024} kB")
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        raise CommandError("the request is no UTF-8 text") from None
    if not text:
        return {}
    if not text.startswith(("{", "[", '"')):
        return text
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise CommandError(f"the request is no JSON: {error.msg}, line {error.lineno}, column {error.colno}") from None
    if not isinstance(data, str | dict):
        raise CommandError('the request must be a tag or a JSON object such as {"kind": "clan", "tag": "#2PP"}')
    return data


def _echo(data: Json) -> str | int | None:
    try:
        return check_transaction(data.get("transaction"))
    except ValueError:
        return None


def _say(error: ValidationError) -> str:
    sentences = []
    for item in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in item["loc"][:1])
        if item["type"] == "extra_forbidden":
            sentences.append(f"{key[:64]!r} is no key of this command")
        else:
            message = item["msg"].removeprefix("Value error, ")
            sentences.append(f"{key}: {message[0].lower() + message[1:]}")
    return "; ".join(sentences[:5])
