"""The metadata that every event can have, and that of the events about the API and about watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

if TYPE_CHECKING:
    from pydantic import ModelWrapValidatorHandler

Direction = Literal["promoted", "demoted"]
# In ISO 8601 with milliseconds and an offset, always in UTC.
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


def optional(schema: dict[str, Any]) -> None:
    """Remove the default from the schema of a key that may be missing but is never null."""
    schema.pop("default", None)


def _allow_left_out_keys(schema: dict[str, Any]) -> None:
    """Allow required keys to be missing if the metadata has ``left_out``."""
    if required := schema.pop("required", None):
        schema["anyOf"] = [{"required": required}, {"required": ["left_out"]}]


class Metadata(BaseModel):
    """The ``metadata`` of an event."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, json_schema_extra=_allow_left_out_keys
    )

    catch_up: Literal[True] = Field(default=True, json_schema_extra=optional)
    """Present if the change was not observed when it happened, for example because the bridge was not running."""
    snapshot_age_seconds: float = Field(default=0.0, json_schema_extra=optional)
    """Present with `catch_up`: the change happened at most this many seconds before `timestamp`."""
    left_out: int = Field(default=0, json_schema_extra=optional)
    """Present if the event would otherwise exceed 2 kB: the number of changes, keys and list entries left out."""

    @model_validator(mode="wrap")
    @classmethod
    def _accept_left_out_keys(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            if "left_out" in data and all(one["type"] == "missing" for one in error.errors()):
                return cast("Self", cls.model_construct(**data))
            raise


class Secondary(Metadata):
    """The ``metadata`` of an event that may only repeat what other events of the same response report."""

    caused_by: str = Field(default="", json_schema_extra=optional)
    """Present if other events of the same response explain every change in it: the `event_type` of one of these."""


class Updated(Secondary):
    """The ``metadata`` of an event about fields without an event type of their own."""

    explained_fields: list[str] = Field(default=[], json_schema_extra=optional)
    """Present if other events of the same response explain some of the changes, but not all: the fields of these."""


class _Failure(Metadata):
    error: str
    """The kind of failure, such as `not_found`, `maintenance`, `unreachable` or `bad_answer`."""
    message: str
    """The failure and its remedy, for display."""


class PollError(_Failure):
    """A clan, a war, a player or the API cannot be polled; published once, and again only when the failure changes."""

    endpoint: str = Field(default="", json_schema_extra=optional)
    """`clan`, `currentwar`, `leaguegroup`, `capitalraidseasons` or `player`; missing for the API itself."""


class WatchUnavailable(_Failure):
    """The API cannot find the watched clan or player."""

    endpoint: str
    """`clan` or `player`."""


class WatchAvailable(Metadata):
    """The API found the watched clan or player again."""

    endpoint: str
    """`clan` or `player`."""


class MaintenanceStart(_Failure):
    """Game maintenance started."""


class ApiDenied(_Failure):
    """The API rejected the token."""

    address: str | None
    """The bridge's IP address as the API sees it, if the token is bound to another one."""


class _Recovery(Metadata):
    duration_seconds: float
    """The duration of the maintenance or failure."""


class MaintenanceEnd(_Recovery):
    """Game maintenance ended."""


class ApiRestored(_Recovery):
    """The API is available again."""
