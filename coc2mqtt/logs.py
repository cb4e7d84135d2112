"""Logging: structured lines on standard error, for people or as JSON."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Literal

import structlog

from coc2mqtt.util.redaction import Redactor, redacting_renderer
from coc2mqtt.util.standard_streams import add_dropped_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import Processor

LogLevelName = Literal["debug", "info", "warning", "error"]
_LEVELS: tuple[LogLevelName, ...] = ("debug", "info", "warning", "error")


def configure_logging(
    level: str, style: Literal["console", "json"], *, redact: Callable[[str], str] | None = None
) -> None:
    """Send every log line, including warnings of libraries, to standard error.

    ``redact`` removes known secrets from each line. Without it, only texts that look like credentials are removed.
    """
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_dropped_lines,
    ]
    renderer: Processor
    # Tracebacks never show local variables: those can contain secrets.
    if style == "json":
        renderer = structlog.processors.JSONRenderer()
        transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        processors.append(structlog.processors.ExceptionRenderer(transformer))
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    renderer = redacting_renderer(renderer, redact or Redactor())
    structlog.configure(
        processors=[*processors, renderer],
        # Writes a line and its newline at once, so a line that cannot be written is dropped as a whole.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        # Every logger looks up its configuration for each line, so that a new level applies to all of them at once.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=processors))
    logging.basicConfig(handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    set_log_level(level)


def set_log_level(level: str) -> None:
    """Set the lowest level that every logger logs, until the next call."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(threshold))
    # Messages of libraries below a warning are useful only to their authors.
    logging.getLogger().setLevel(max(threshold, logging.WARNING))


def log_level() -> LogLevelName:
    """Return the lowest level that is logged."""
    log = structlog.get_logger()
    return next(
        (level for level in _LEVELS if log.is_enabled_for(logging.getLevelNamesMapping()[level.upper()])), "error"
    )


class LogLevel:
    """The log level of the running program; ``on_change`` is called after it was set to another level."""

    def __init__(self, *, on_change: Callable[[], None] = lambda: None) -> None:
        self._on_change = on_change

    @property
    def name(self) -> LogLevelName:
        """The lowest level that is logged."""
        return log_level()

    def set(self, level: LogLevelName) -> None:
        """Set the level until the program exits."""
        previous = self.name
        set_log_level(level)
        if level != previous:
            self._on_change()
