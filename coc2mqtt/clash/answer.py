"""An answer: what the API said, not yet looked into."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from coc2mqtt.clash.errors import BadAnswerError


@dataclass(frozen=True)
class Answer:
    """A good answer of the API.

    ``body`` is the JSON as it came, so that an unchanged answer is known by its digest and costs no decoding.
    ``max_age`` is for how many seconds the API will go on saying the same, 0 if it did not say; at most 15 minutes.
    """

    status: int
    body: bytes = field(repr=False)
    max_age: float

    @cached_property
    def data(self) -> dict[str, Any]:
        """The JSON object of the body, decoded once when first asked for; BadAnswerError when it is none."""
        try:
            data = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise self._bad(f"no JSON ({error})") from error
        if not isinstance(data, dict):
            raise self._bad("JSON, but no object")
        return data

    def _bad(self, found: str) -> BadAnswerError:
        return BadAnswerError(
            f"the API's answer is {found}: look again later, and check api.base_url if it stays so",
            status=self.status,
        )
