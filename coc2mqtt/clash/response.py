"""An answer: what the API said, not yet looked into."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from coc2mqtt.clash.errors import InvalidResponseError

REPLACEMENT = "\ufffd"

# An escape sequence of JSON: a surrogate pair, else a surrogate on its own, else any other. Backslashes occur nowhere
# else in JSON.
_ESCAPE = re.compile(
    r"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\.",
    re.DOTALL,
)


@dataclass(frozen=True)
class ApiResponse:
    """A good answer of the API.

    ``body`` is the JSON as it came, so that an unchanged answer is known by its digest and costs no decoding.
    ``max_age`` is for how many seconds the API will go on saying the same, 0 if it did not say; at most 15 minutes.
    """

    status: int
    body: bytes = field(repr=False)
    max_age: float

    @cached_property
    def data(self) -> dict[str, Any]:
        """The JSON object of the body, decoded once when first asked for; BadAnswerError when it is none.

        Every text in it can be encoded: what is not valid Unicode is replaced by U+FFFD.
        """
        return self._decoded[0]

    @property
    def repaired(self) -> bool:
        """Whether something in the body was not valid Unicode and had to be replaced; raises as ``data`` does."""
        return self._decoded[1]

    @cached_property
    def _decoded(self) -> tuple[dict[str, Any], bool]:
        data, repaired = self._parse()
        if not isinstance(data, dict):
            raise self._bad("JSON, but no object")
        return data, repaired

    def _parse(self) -> tuple[Any, bool]:
        try:
            return orjson.loads(self.body), False
        except orjson.JSONDecodeError as error:
            trouble = error
        repaired = repair_text(self.body)
        if repaired != self.body:
            try:
                return orjson.loads(repaired), True
            except orjson.JSONDecodeError as error:
                trouble = error
        raise self._bad(f"no JSON ({trouble})") from trouble

    def _bad(self, found: str) -> InvalidResponseError:
        return InvalidResponseError(
            f"the API's answer is {found}: look again later, and check api.base_url if it stays so",
            status=self.status,
        )


def repair_text(body: bytes) -> bytes:
    """Return JSON in which invalid UTF-8 and surrogates without their other half are replaced by U+FFFD."""
    return _ESCAPE.sub(_repaired_escape, body.decode(errors="replace")).encode()


def _repaired_escape(found: re.Match[str]) -> str:
    return "\\ufffd" if found["lone"] else found[0]
