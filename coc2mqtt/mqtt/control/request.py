"""The base of all requests, and the error of one that cannot be executed."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from coc2mqtt.clash.tags import normalize_tag
from coc2mqtt.mqtt.control import sentences
from coc2mqtt.mqtt.control.sentences import Sentence

Json = dict[str, Any]

_MAX_TRANSACTION_LENGTH = 256


class CommandError(Exception):
    """A request cannot be executed. The message is the error sentence of the response."""

    def __init__(self, error: str | Sentence) -> None:
        super().__init__(str(error))
        self.sentence = error if isinstance(error, Sentence) else sentences.of_text(error)


def check_transaction(value: object) -> str | int | None:
    """Return a transaction id unchanged; raises ValueError if it is invalid."""
    # type() instead of isinstance(): a bool is an int in Python.
    if value is None or type(value) is int or (isinstance(value, str) and len(value) <= _MAX_TRANSACTION_LENGTH):
        return value
    raise ValueError(f"must be a string of at most {_MAX_TRANSACTION_LENGTH} characters or an integer")


Transaction = Annotated[
    str | int | None,
    BeforeValidator(check_transaction),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "maxLength": _MAX_TRANSACTION_LENGTH}, {"type": "integer"}, {"type": "null"}]}
    ),
]
Tag = Annotated[str, AfterValidator(normalize_tag)]
WatchedKind = Literal["clan", "player"]


class Request(BaseModel):
    """The base of all requests."""

    # Strict: otherwise `"interval": true` would mean one second, and `"war": "off"` would be guessed.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    # The key that a plain-text payload sets.
    main_key: ClassVar[str] = "tag"

    transaction: Transaction = Field(
        default=None, description="Returned in the response, to match it with the request."
    )

    @classmethod
    def from_text(cls, text: str) -> Json:
        """Return the keys that a plain-text payload sets."""
        return {cls.main_key: text}
