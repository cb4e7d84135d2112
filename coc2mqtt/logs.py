"""Logging: structured lines on standard error, for people or as JSON."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Literal

import structlog

from coc2mqtt.util.redaction import Redactor, redacting
from coc2mqtt.util.standard_streams import add_dropped_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import Processor

LogLevelName = Literal["debug", "info", "warning", "error"]
_LEVELS: tuple[LogLevelName, ...] = ("debug", "info", "warning", "error")


def configure_logging(
    level: str, style: Literal["console", "json"], *, redact: Callable[[str], str] | None = None
) -> None:
    """Send every log line, the libraries' warnings included, to standard error.

    ``redact`` takes known secrets out of each line; without it only what looks like a credential is taken out.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_dropped_lines,
    ]
    renderer: Processor
    if style == "json":
        renderer = structlog.processors.JSONRenderer()
        # Without local variables, as below.
        transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        shared.append(structlog.processors.ExceptionRenderer(transformer))
    else:
        # Plain tracebacks: rich ones print local variables, secrets among them.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    renderer = redacting(renderer, redact or Redactor())
    structlog.configure(
        processors=[*shared, renderer],
        # One write for a line and its end: where a line cannot be written, nothing of it is.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        # What every logger of the program asks for at each line, so that another level holds for all of them at once.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    set_log_level(level)


def set_log_level(level: str) -> None:
    """Have lines from this level on logged, from now on and by every logger, until it is set again."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(threshold))
    # What libraries say below a warning is of use to their authors only.
    logging.getLogger().setLevel(max(threshold, logging.WARNING))


def log_level() -> LogLevelName:
    """Return the level from which on lines are logged."""
    log = structlog.get_logger()
    return next(
        (level for level in _LEVELS if log.is_enabled_for(logging.getLevelNamesMapping()[level.upper()])), "error"
    )


class LogLevel:
    """The level of the running program; ``changed`` is called after it was set to another one."""

    def __init__(self, *, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed

    @property
    def name(self) -> LogLevelName:
        """The level from which on lines are logged."""
        return log_level()

    def set(self, level: LogLevelName) -> None:
        """Log from this level on until the program ends."""
        before = self.name
        set_log_level(level)
        if level != before:
            self._changed()
