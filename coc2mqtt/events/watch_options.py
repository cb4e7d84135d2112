"""The options of a watch that are more than a number or a switch, as in the configuration and in the command."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from coc2mqtt.events.resource import DEFAULT_REMINDERS, Reminders
from coc2mqtt.util.clocks import DURATION, parse_duration

_MIN_TIME_S = 60.0
_MAX_TIME_S = 7 * 86_400.0
_MAX_TIMES = 10
_MAX_ATTACKS = 6
_MIN_INACTIVE_S = 3600.0
_MAX_INACTIVE_S = 366 * 86_400.0
# The names of the game and the API's values.
_ROLES = {
    "member": "member",
    "elder": "admin",
    "admin": "admin",
    "co-leader": "coLeader",
    "coleader": "coLeader",
    "leader": "leader",
}
_SWITCHED_OFF = ("off", "false", "no")
_PARTS = ("war", "cwl", "raid", "games")
_DURATION_SCHEMA = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION.pattern}]}


def _parse_time(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"must be a duration such as 1h, got {str(value).lower()}")  # noqa: TRY004 - pydantic requires a ValueError
    seconds = parse_duration(value).total_seconds()
    if not _MIN_TIME_S <= seconds <= _MAX_TIME_S:
        raise ValueError(f"must be between 1m and 7d before the end, got {value}")
    return seconds


def _sort_times(value: list[float]) -> list[float]:
    return sorted({*value}, reverse=True)


def _parse_role(value: object) -> object:
    role = _ROLES.get(str(value).strip().lower())
    if role is None:
        raise ValueError(f"must be member, elder, co-leader or leader, got {value!r}")
    return role


def _parse_times(value: object) -> object:
    """Accept a single time instead of a list, and a switch that turns the reminders off."""
    if _is_off(value):
        return []
    return value if isinstance(value, list) else [value]


def _is_off(value: object) -> bool:
    return value is None or value is False or (isinstance(value, str) and value.strip().lower() in _SWITCHED_OFF)


_Time = Annotated[float, BeforeValidator(_parse_time), WithJsonSchema(_DURATION_SCHEMA)]
_Times = Annotated[
    list[_Time],
    Field(max_length=_MAX_TIMES),
    BeforeValidator(_parse_times, json_schema_input_type=list[_Time]),
    AfterValidator(_sort_times),
]
_Role = Annotated[str, BeforeValidator(_parse_role)]
_TownHall = Annotated[int, Field(ge=1, le=100)]


class ReminderOptions(BaseModel):
    """When a clan is reminded of unused attacks, and whom the reminders list.

    The times are durations before the end: of a war, a round of a clan war league, a raid weekend and the clan games.
    An empty list turns off the reminders of one of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    war: _Times = list(DEFAULT_REMINDERS.war)
    cwl: _Times = list(DEFAULT_REMINDERS.cwl)
    raid: _Times = list(DEFAULT_REMINDERS.raid)
    games: _Times = list(DEFAULT_REMINDERS.games)
    min_attacks_left: Annotated[int, Field(ge=1, le=_MAX_ATTACKS)] = 1
    roles: Annotated[list[_Role], Field(min_length=1)] | None = None
    min_town_hall: _TownHall | None = None
    max_town_hall: _TownHall | None = None

    @model_validator(mode="after")
    def _validate_town_halls(self) -> ReminderOptions:
        if (
            self.min_town_hall is not None
            and self.max_town_hall is not None
            and self.min_town_hall > self.max_town_hall
        ):
            raise ValueError(
                f"min_town_hall must not be above max_town_hall, got {self.min_town_hall} and {self.max_town_hall}"
            )
        return self

    def reminders(self, current: Reminders = DEFAULT_REMINDERS) -> Reminders:
        """Return the reminders; keys that are missing keep the values of the ``current`` ones."""
        values: dict[str, Any] = {key: getattr(self, key) for key in self.model_fields_set}
        for part in _PARTS:
            if part in values:
                values[part] = tuple(values[part])
        if values.get("roles") is not None:
            values["roles"] = frozenset(values["roles"])
        return replace(current, **values)


def parse_reminders(value: object) -> object:
    """Expand a switch: on means the default reminders, off means none."""
    if _is_off(value):
        return {part: [] for part in _PARTS}
    return {} if value is True else value


def parse_inactive_after(value: object) -> object:
    """Parse a duration, or a switch that turns it off, into seconds or None."""
    if _is_off(value):
        return None
    if isinstance(value, bool):
        raise ValueError("must be a duration such as 7d, or false, got true")  # noqa: TRY004 - pydantic requires a ValueError
    seconds = parse_duration(value).total_seconds()
    if not _MIN_INACTIVE_S <= seconds <= _MAX_INACTIVE_S:
        shown = value.total_seconds() if isinstance(value, timedelta) else value
        raise ValueError(f"must be between 1h and 366d, or false, got {shown}")
    return seconds


ReminderSwitch = Annotated[
    ReminderOptions, BeforeValidator(parse_reminders, json_schema_input_type=ReminderOptions | bool)
]
InactiveAfter = Annotated[
    float | None,
    BeforeValidator(parse_inactive_after),
    WithJsonSchema({"anyOf": [*_DURATION_SCHEMA["anyOf"], {"const": False}, {"type": "null"}]}),
]
