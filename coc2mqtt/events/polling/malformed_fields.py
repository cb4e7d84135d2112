"""Fields of responses that are not of the type that the API documents: counted, and each kind logged once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.compare.validate import MalformedField
    from coc2mqtt.events.resource import Resource

_log = structlog.get_logger()

_LONGEST_VALUE = 80
# Field names can be the API's own, so their number must be limited.
_MOST_FIELDS = 200
_OTHER = "other"


class MalformedFields:
    """Counts malformed fields, as ``clan.memberList.donations``, from ``counts`` on, and logs the first of each."""

    def __init__(self, counts: Counter[str] | None = None) -> None:
        self.counts = Counter[str]() if counts is None else counts

    def note(self, resource: Resource, found: Iterable[MalformedField]) -> None:
        """Count the malformed fields of one response."""
        for path, value in found:
            field = f"{resource.kind.value}.{path}"
            if field not in self.counts:
                if len(self.counts) >= _MOST_FIELDS:
                    self.counts[_OTHER] += 1
                    continue
                _log.warning(
                    "response field is malformed",
                    field=field,
                    tag=resource.tag,
                    value=ascii(value)[:_LONGEST_VALUE],
                    hint="only this field is ignored; if it stays malformed, the API has changed: please report it",
                )
            self.counts[field] += 1
