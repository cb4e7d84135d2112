"""The options of a watch that are more than a number or a switch, as in the configuration and in the command."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from coc2mqtt.events.resource import DEFAULT_REMINDERS, Reminders
from coc2mqtt.util.clocks import DURATION, parse_duration

_MIN_TIME_S = 60.0
_MAX_TIME_S = 7 * 86_400.0
# A reminder before the start of a battle or a weekend would never be sent on time.
_BATTLE_S = 86_400.0
_WEEKEND_S = 3 * 86_400.0
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
_SWITCHED_ON = ("on", "true", "yes")
_SWITCHED_OFF = ("off", "false", "no")
_PARTS = ("war", "cwl", "raid", "games")
_DURATION_SCHEMA = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": DURATION.pattern}]}


def _parse_time(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"must be a duration such as 1h, got {str(value).lower()}")  # noqa: TRY004 - pydantic requires a ValueError
    seconds = parse_duration(value).total_seconds()
    if not _MIN_TIME_S <= seconds <= _MAX_TIME_S:
        raise ValueError(f"must be between 1m and 7d before the end, got {value}{_unit_hint(value)}")
    return seconds


def _unit_hint(value: object, unit: str = "h") -> str:
    """Return what to do about a number without a unit."""
    number = str(value).strip()
    is_bare = number.replace(".", "", 1).isdecimal() and float(number) > 0
    return f" seconds: add a unit, such as {number}{unit}" if is_bare else ""


def _sort_times(value: list[float]) -> list[float]:
    return sorted({*value}, reverse=True)


def _limit_times(value: list[float], *, longest: float, period: str) -> list[float]:
    if value and value[0] > longest:
        raise ValueError(
            f"must be at most {longest / 3600:g}h before the end, because {period} lasts that long,"
            f" got {value[0] / 3600:g}h"
        )
    return value


def _parse_role(value: object) -> object:
    role = _ROLES.get(str(value).strip().lower())
    if role is None:
        raise ValueError(f"must be member, elder, co-leader or leader, got {value!r}")
    return role


def _parse_times(value: object) -> object:
    """Accept a single time instead of a list, and a switch that turns the reminders off."""
    return [] if _is_off(value) else _as_list(value)


def _as_list(value: object) -> object:
    """Return a list of a single value, or of a text with commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return value if value is None or isinstance(value, list) else [value]


def _is_off(value: object) -> bool:
    return value is None or value is False or (isinstance(value, str) and value.strip().lower() in _SWITCHED_OFF)


def _is_on(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.strip().lower() in _SWITCHED_ON)


def _validate_number(value: object) -> object:
    # pydantic would convert true to 1.
    if isinstance(value, bool):
        raise ValueError(f"must be a number, got {str(value).lower()}")  # noqa: TRY004 - pydantic requires a ValueError
    return value


_Time = Annotated[float, BeforeValidator(_parse_time), WithJsonSchema(_DURATION_SCHEMA)]
_Times = Annotated[
    list[_Time],
    Field(max_length=_MAX_TIMES),
    BeforeValidator(_parse_times, json_schema_input_type=list[_Time] | _Time | Literal[False]),
    AfterValidator(_sort_times),
]
_BattleTimes = Annotated[_Times, AfterValidator(partial(_limit_times, longest=_BATTLE_S, period="a battle"))]
_WeekendTimes = Annotated[_Times, AfterValidator(partial(_limit_times, longest=_WEEKEND_S, period="a raid weekend"))]
_Role = Annotated[
    str, BeforeValidator(_parse_role, json_schema_input_type=Literal["member", "elder", "co-leader", "leader"])
]
_Roles = Annotated[list[_Role], Field(min_length=1)] | None
_TownHall = Annotated[int, Field(ge=1, le=100), BeforeValidator(_validate_number)]


class ReminderOptions(BaseModel):
    """When a clan is reminded of unused attacks, and whom the reminders list.

    The times are durations before the end: of a war, a round of a clan war league, a raid weekend and the clan games.
    An empty list turns off the reminders of one of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    war: _BattleTimes = list(DEFAULT_REMINDERS.war)
    cwl: _BattleTimes = list(DEFAULT_REMINDERS.cwl)
    raid: _WeekendTimes = list(DEFAULT_REMINDERS.raid)
    games: _Times = list(DEFAULT_REMINDERS.games)
    min_attacks_left: Annotated[int, Field(ge=1, le=_MAX_ATTACKS), BeforeValidator(_validate_number)] = 1
    roles: Annotated[_Roles, BeforeValidator(_as_list, json_schema_input_type=_Roles)] = None
    min_town_hall: _TownHall | None = None
    max_town_hall: _TownHall | None = None

    @model_validator(mode="after")
    def _validate_town_halls(self) -> ReminderOptions:
        _check_town_halls(self.min_town_hall, self.max_town_hall)
        return self

    def reminders(self, current: Reminders = DEFAULT_REMINDERS) -> Reminders:
        """Return the reminders; keys that are missing keep the values of the ``current`` ones.

        Raises ValueError if the range of town halls is then empty.
        """
        values: dict[str, Any] = {key: getattr(self, key) for key in self.model_fields_set}
        for part in _PARTS:
            if part in values:
                values[part] = tuple(values[part])
        if values.get("roles") is not None:
            values["roles"] = frozenset(values["roles"])
        reminders = replace(current, **values)
        _check_town_halls(reminders.min_town_hall, reminders.max_town_hall)
        return reminders


def _check_town_halls(least: int | None, most: int | None) -> None:
    if least is not None and most is not None and least > most:
        raise ValueError(f"min_town_hall must not be above max_town_hall, got {least} and {most}")


def parse_reminders(value: object) -> object:
    """Expand a switch: on means the default reminders, off means none."""
    if _is_off(value) or value == []:
        return {part: [] for part in _PARTS}
    if _is_on(value):
        # Not empty: a `watch` request keeps the present values of missing keys, and the reminders may be off.
        return {part: list(getattr(DEFAULT_REMINDERS, part)) for part in _PARTS}
    if not isinstance(value, dict | ReminderOptions):
        got = "a list" if isinstance(value, list) else repr(value)[:60]
        raise ValueError(f"must be times such as {{war: [6h, 1h]}}, or true or false, got {got}")  # noqa: TRY004
    return value


def parse_inactive_after(value: object) -> object:
    """Parse a duration, or a switch that turns it off, into seconds or None."""
    if _is_off(value):
        return None
    try:
        seconds = parse_duration(value).total_seconds()
    except ValueError:
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        raise ValueError(f"must be a duration such as 7d, or false, got {shown}") from None
    if not _MIN_INACTIVE_S <= seconds <= _MAX_INACTIVE_S:
        shown = str(value.total_seconds() if isinstance(value, timedelta) else value)
        hint = _unit_hint(shown, "d") if seconds else ": write false to turn it off"
        raise ValueError(f"must be between 1h and 366d, or false, got {shown}{hint}")
    return seconds


ReminderSwitch = Annotated[
    ReminderOptions, BeforeValidator(parse_reminders, json_schema_input_type=ReminderOptions | bool)
]
InactiveAfter = Annotated[
    float | None,
    BeforeValidator(parse_inactive_after),
    WithJsonSchema({"anyOf": [*_DURATION_SCHEMA["anyOf"], {"const": False}, {"type": "null"}]}),
]
