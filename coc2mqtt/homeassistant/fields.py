"""The values that Home Assistant's MQTT integration takes, each with the form that it must have there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Items = TypeVar("Items", bound=Iterable[Hashable])

UNSAID = Field(exclude_if=lambda value: value is None)


def distinct(items: Items) -> Items:
    """Return what was given; raises ValueError if one of them stands there twice."""
    for item, times in Counter(items).items():
        if times > 1:
            raise ValueError(f"{item!r} stands there twice: Home Assistant would take only one of them")
    return items


Text = Annotated[str, Field(min_length=1)]
Icon = Annotated[str, Field(pattern=r"^mdi:[a-z0-9-]+$")]
Url = Annotated[str, Field(pattern=r"^https?://[!-~]+$")]
ComponentId = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Identifier = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
Topic = Annotated[str, Field(pattern=r"^[^+#/\x00]+(/[^+#/\x00]+)*$")]
TopicFilter = Annotated[str, Field(pattern=r"^(\+|[^+#/\x00]+)(/(\+|[^+#/\x00]+))*$")]
# Everything that we publish is a JSON object: a template that reads it otherwise is a mistake.
Template = Annotated[str, Field(pattern=r"^\{[{%] .*value_json.* \}\}$")]
# What must render a JSON object.
ObjectTemplate = Annotated[str, Field(pattern=r"^\{[{%] .*value_json.* \| tojson \}\}$")]
# What a user typed or chose is no JSON before it went through `tojson`.
CommandTemplate = Annotated[str, Field(pattern=r"^\{\{ \{.*: value\} \| tojson \}\}$")]
Options = Annotated[tuple[Text, ...], Field(min_length=1), AfterValidator(distinct)]


class Model(BaseModel):
    """A JSON object of a discovery payload: every key is named, and no other can be sent."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
