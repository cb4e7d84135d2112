"""The last command and its result, for ``bridge/last_command`` and the log."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

import structlog
from pydantic import ValidationError

from coc2mqtt.clash.tags import normalize_tag
from coc2mqtt.mqtt.control import sentences
from coc2mqtt.mqtt.payloads.models import LastCommandPayload, RunningCommandPayload, iso_time
from coc2mqtt.translations import ENGLISH
from coc2mqtt.util.text import printable, shorten

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from coc2mqtt.mqtt.control.sentences import Sentence
    from coc2mqtt.translations import Language

_log = structlog.get_logger()

_MAX_LOGGED_CHARS = 200
_MAX_COMMAND_CHARS = 64


class LastCommand:
    """Remembers the last executed command, and which command is being executed.

    Its sentences are in ``language``. ``redact`` removes secrets from them. ``clock`` returns Unix time in seconds.
    ``on_change`` is called when the payload has changed.
    """

    def __init__(
        self,
        *,
        language: Language = ENGLISH,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._language = language
        self._redact = redact
        self._clock = clock
        self._last = LastCommandPayload(
            command=None, kind=None, tag=None, status=None, summary=None, time=None, running=None
        )
        self._running: list[RunningCommandPayload] = []
        # Started, but not published as running yet.
        self._unpublished: RunningCommandPayload | None = None

    def restore(self, payload: bytes) -> None:
        """Take over the payload that an earlier run published, unless it is invalid or a command has ended since.

        A command that was running then is not: it was interrupted, or its result is the last one.
        """
        with contextlib.suppress(ValidationError, ValueError):
            found = LastCommandPayload.model_validate_json(payload)
            if self._last.time is not None or found.time is None:
                return
            self._last = LastCommandPayload(
                command=None if found.command is None else printable(found.command, _MAX_COMMAND_CHARS),
                kind=found.kind,
                tag=None if found.tag is None else normalize_tag(found.tag),
                status=found.status,
                summary=None if found.summary is None else shorten(found.summary),
                time=iso_time(datetime.fromisoformat(found.time).timestamp()),
                running=None,
            )
            self.on_change()

    def report(self, command: str | None, *, published: bool, level: Literal["debug", "info"] = "info") -> Report:
        """Return the report of an execution, to be entered; ``published`` is whether it is published besides logged."""
        return Report(self, command, published=published, level=level)

    def take(self) -> LastCommandPayload:
        """Return the payload to publish now.

        Each command is returned as running once, even if it has ended meanwhile: a text field in Home Assistant clears
        only after it has shown the tag.
        """
        running = self._unpublished or next(reversed(self._running), None)
        self._unpublished = None
        if running is not None and all(running is not one for one in self._running):
            self.on_change()
        return self._last.model_copy(update={"running": running})

    def start(self, running: RunningCommandPayload) -> None:
        """Handle the start of a command."""
        self._running.append(running)
        self._unpublished = running
        self.on_change()

    def finish(self, running: RunningCommandPayload, status: Literal["ok", "error"], sentence: Sentence) -> None:
        """Handle the result of a command, whether it was started or not."""
        self._running = [one for one in self._running if one is not running]
        self._last = LastCommandPayload(
            command=running.command,
            kind=running.kind,
            tag=running.tag,
            status=status,
            # Shortened last, because half a secret would not be recognized.
            summary=shorten(self._redact(sentence.translate(self._language))),
            time=iso_time(self._clock()),
            running=None,
        )
        self.on_change()


class Report:
    """The report of one execution: ``with last_command.report("watch", published=True) as report:``.

    An execution that is left without a result was interrupted.
    """

    def __init__(
        self, last_command: LastCommand, command: str | None, *, published: bool, level: Literal["debug", "info"]
    ) -> None:
        self._last_command = last_command
        self._published = published
        self._level = level
        self._running = RunningCommandPayload(command=command, kind=None, tag=None)
        self._result: tuple[Literal["ok", "error"], Sentence | None] = "error", sentences.INTERRUPTED

    def start(self, kind: Literal["clan", "player"] | None, tag: str | None) -> None:
        """Report the kind and the normalised tag of a valid request; one with a tag is published as running."""
        self._running = RunningCommandPayload(command=self._running.command, kind=kind, tag=tag)
        if self._published and tag is not None:
            self._last_command.start(self._running)

    def succeed(self, sentence: Sentence | None) -> None:
        """Report a success; the sentence may be None if the execution is only logged."""
        self._result = "ok", sentence

    def fail(self, sentence: Sentence) -> None:
        """Report an error."""
        self._result = "error", sentence

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        status, sentence = self._result
        if self._published and sentence is not None:
            self._last_command.finish(self._running, status, sentence)
        log = _log.debug if self._level == "debug" else _log.info
        running = self._running
        details = {} if sentence is None else {"summary": printable(str(sentence), _MAX_LOGGED_CHARS)}
        log("command executed", command=running.command, kind=running.kind, tag=running.tag, status=status, **details)
