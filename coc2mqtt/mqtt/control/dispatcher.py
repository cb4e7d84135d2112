"""The table of all commands, and the execution of requests."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from coc2mqtt.mqtt.control import commands, replay, reset, sentences
from coc2mqtt.mqtt.control.commands import MAX_RESPONSE_BYTES, Command, CommandContext
from coc2mqtt.mqtt.control.last_command import LastCommand
from coc2mqtt.mqtt.control.request import CommandError, check_transaction
from coc2mqtt.mqtt.control.tag_locks import TagLocks
from coc2mqtt.mqtt.control.validation_errors import describe_errors
from coc2mqtt.mqtt.control.watch_request import WatchRequest
from coc2mqtt.mqtt.payloads.models import HealthPayload, ResponsePayload
from coc2mqtt.util.containment import propagate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from coc2mqtt.mqtt.control.last_command import Report
    from coc2mqtt.mqtt.control.request import Request
    from coc2mqtt.util.containment import Contain

Json = dict[str, Any]

# Requests are small: a larger one is a mistake or an attack.
_MAX_REQUEST_BYTES = 64 * 1024

# The only declaration of each command: dispatch, `commands` in bridge/info, the JSON schemas and docs/payloads.md all
# derive from it, in this order.
COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (
        Command("watch", WatchRequest, commands.WatchData, commands.watch),
        Command("unwatch", commands.UnwatchRequest, commands.UnwatchData, commands.unwatch),
        Command("list", commands.ListRequest, commands.ListData, commands.list_watches, query=True),
        Command("poll", commands.PollRequest, commands.PollData, commands.poll),
        Command("replay", replay.ReplayRequest, replay.ReplayData, replay.replay, query=True),
        Command("log_level", commands.LogLevelRequest, commands.LogLevelData, commands.set_log_level),
        Command(
            "health_check",
            commands.HealthCheckRequest,
            HealthPayload,
            commands.check_health,
            query=True,
            log_level="debug",  # containers send one every minute
        ),
        Command("reset", reset.ResetRequest, reset.ResetData, reset.reset),
    )
}


class CommandDispatcher:
    """Executes requests; every request gets a response.

    Each execution is logged. ``last_command`` remembers the last one that is not a query. Requests about the same tag
    are executed in order. ``contain`` guards each command: after a bug, its response is an error.
    """

    def __init__(
        self, context: CommandContext, *, last_command: LastCommand | None = None, contain: Contain = propagate
    ) -> None:
        self.last_command = last_command or LastCommand()
        self._context = context
        self._contain = contain
        self._tags = TagLocks()

    async def execute(
        self,
        command: str | None,
        payload: bytes,
        *,
        retained: bool = False,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        on_wait: Callable[[], None] = lambda: None,
        during_lookup: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> ResponsePayload:
        """Execute a request and return its response; never raises because of what the request contains.

        ``command`` is its name, None if the topic contains an invalid one. ``on_wait`` is called before it waits for
        another request about the same tag; ``during_lookup`` is entered while it waits for the API.
        """
        known = COMMANDS.get(command or "")
        context = dataclasses.replace(self._context, max_response_bytes=max_response_bytes, during_lookup=during_lookup)
        with self.last_command.report(
            command,
            published=known is None or not known.query,
            level="info" if known is None else known.log_level,
        ) as report:
            data: Json = {}
            error = sentences.INTERNAL_ERROR
            with self._contain("command", command=command):
                try:
                    decoded = _decode(payload)
                    data = {} if isinstance(decoded, str) else decoded
                    found = _find(command, retained=retained)
                    request = found.request.model_validate(
                        found.request.from_text(decoded) if isinstance(decoded, str) else decoded
                    )
                    return await self._execute(found, request, context, report, on_wait)
                except ValidationError as invalid:
                    error = sentences.of_text(describe_errors(invalid))
                except CommandError as failed:
                    error = failed.sentence
            report.fail(error)
        return ResponsePayload(status="error", data={}, error=str(error), transaction=_transaction_of(data))

    async def _execute(
        self,
        command: Command,
        request: Request,
        context: CommandContext,
        report: Report,
        on_wait: Callable[[], None],
    ) -> ResponsePayload:
        """Execute a valid request; raises CommandError."""
        kind, tag = getattr(request, "kind", None), getattr(request, "tag", None)
        report.start(kind if kind in ("clan", "player") else None, tag)
        async with self._tags.hold(tag, on_wait):
            outcome = await command.handler(context, request)
        response = ResponsePayload(status="ok", data=outcome.data.model_dump(), transaction=request.transaction)
        report.succeed(outcome.sentence)
        return response


def _find(command: str | None, *, retained: bool) -> Command:
    if retained:
        raise CommandError("retained requests are not executed: publish it without the retain flag")
    found = COMMANDS.get(command or "")
    if found is None:
        raise CommandError(f"unknown command: use one of {', '.join(COMMANDS)}")
    return found


def _decode(payload: bytes) -> str | Json:
    """Return a plain-text payload as a string and a JSON object, or nothing at all, as a dict."""
    if len(payload) > _MAX_REQUEST_BYTES:
        raise CommandError(f"the request is larger than {_MAX_REQUEST_BYTES // 1024} kB")
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        raise CommandError("the request is not valid UTF-8") from None
    if not text:
        return {}
    if not text.startswith(("{", "[", '"')):
        return text
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise CommandError(
            f"the request is not valid JSON: {error.msg}, line {error.lineno}, column {error.colno}"
        ) from None
    if not isinstance(data, str | dict):
        raise CommandError('the request must be a tag or a JSON object such as {"kind": "clan", "tag": "#2PP"}')
    return data


def _transaction_of(data: Json) -> str | int | None:
    try:
        return check_transaction(data.get("transaction"))
    except ValueError:
        return None
