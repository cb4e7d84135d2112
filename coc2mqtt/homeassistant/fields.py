"""Types of the values in discovery payloads, with the format that Home Assistant requires."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Items = TypeVar("Items", bound=Iterable[Hashable])

OMIT_NONE = Field(exclude_if=lambda value: value is None)


def unique(items: Items) -> Items:
    """Return the items unchanged; raise ValueError if one occurs twice."""
    for item, times in Counter(items).items():
        if times > 1:
            raise ValueError(f"{item!r} occurs twice: Home Assistant would use only one of them")
    return items


Text = Annotated[str, Field(min_length=1)]
Icon = Annotated[str, Field(pattern=r"^mdi:[a-z0-9-]+$")]
Url = Annotated[str, Field(pattern=r"^https?://[!-~]+$")]
ComponentId = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Identifier = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
Topic = Annotated[str, Field(pattern=r"^[^+#/\x00]+(/[^+#/\x00]+)*$")]
TopicFilter = Annotated[str, Field(pattern=r"^(\+|[^+#/\x00]+)(/(\+|[^+#/\x00]+))*$")]
# Every published state is a JSON object, so each template must read `value_json`.
Template = Annotated[str, Field(pattern=r"^\{[{%] .*value_json.* \}\}$")]
# Must render a JSON object.
ObjectTemplate = Annotated[str, Field(pattern=r"^\{[{%] .*value_json.* \| tojson \}\}$")]
# The user's input must pass through `tojson` to become valid JSON.
CommandTemplate = Annotated[str, Field(pattern=r"^\{\{ \{.*: value\} \| tojson \}\}$")]
Options = Annotated[tuple[Text, ...], Field(min_length=1), AfterValidator(unique)]


class Model(BaseModel):
    """A JSON object of a discovery payload; unknown keys are forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
