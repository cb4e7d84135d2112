"""The commands about the bridge itself: ``log_level`` and ``health_check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from coc2mqtt.logs import LogLevelName  # noqa: TC001 - pydantic reads it
from coc2mqtt.mqtt.control.request import Request
from coc2mqtt.mqtt.payloads.models import HealthPayload, Payload

if TYPE_CHECKING:
    from coc2mqtt.mqtt.control.command import CommandContext


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


async def set_log_level(context: CommandContext, request: LogLevelRequest) -> LogLevelData:
    """Set the log level if one is given, and return the current one."""
    if request.level is not None:
        context.log_level.set(request.level)
    return LogLevelData(level=context.log_level.name)


async def check_health(context: CommandContext, _: HealthCheckRequest) -> HealthPayload:
    """Return the health of the bridge."""
    return await context.health()
