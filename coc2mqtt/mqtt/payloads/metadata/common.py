"""What the metadata of every event can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

if TYPE_CHECKING:
    from pydantic import ModelWrapValidatorHandler

Direction = Literal["promoted", "demoted"]


def optional(schema: dict[str, Any]) -> None:
    """Have a key that can be missing, and is never null, described without a default."""
    schema.pop("default", None)


def _may_be_cut(schema: dict[str, Any]) -> None:
    """Say in a schema that any key may be missing where something was left out."""
    if required := schema.pop("required", None):
        schema["anyOf"] = [{"required": required}, {"required": ["left_out"]}]


class Metadata(BaseModel):
    """What an event's ``metadata`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, json_schema_extra=_may_be_cut)

    catch_up: Literal[True] = Field(default=True, json_schema_extra=optional)
    """There where the change was made while nobody looked: while the bridge was not running, say."""
    snapshot_age_seconds: float = Field(default=0.0, json_schema_extra=optional)
    """There with `catch_up`: the change was made within so many seconds before `timestamp`."""
    left_out: int = Field(default=0, json_schema_extra=optional)
    """There where an event would be larger than 2 kB: how many changes, keys and entries of lists are left out."""

    @model_validator(mode="wrap")
    @classmethod
    def _take_what_was_cut(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            if "left_out" in data and all(one["type"] == "missing" for one in error.errors()):
                return cast("Self", cls.model_construct(**data))
            raise
