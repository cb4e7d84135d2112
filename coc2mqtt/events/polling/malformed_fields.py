"""Malformed response fields: counted, and the first of each logged."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.compare.validate import MalformedField
    from coc2mqtt.events.resource import Resource

_log = structlog.get_logger()

_MAX_LOGGED_CHARS = 80
# A field's name may come from the API, so the number of names must be limited.
_MAX_FIELDS = 200
_OTHER_FIELDS = "other"


class MalformedFields:
    """Counts the fields that do not have their documented type, and logs the first of each.

    The keys of ``counts`` are paths such as ``clan.memberList.donations``. Counting continues from ``counts``.
    """

    def __init__(self, counts: Counter[str] | None = None) -> None:
        self.counts = Counter[str]() if counts is None else counts

    def record(self, resource: Resource, fields: Iterable[MalformedField]) -> None:
        """Count the malformed fields of one response."""
        for path, value in fields:
            field = f"{resource.kind.value}.{path}"
            if field not in self.counts:
                if len(self.counts) >= _MAX_FIELDS:
                    self.counts[_OTHER_FIELDS] += 1
                    continue
                _log.warning(
                    "response field is malformed",
                    field=field,
                    tag=resource.tag,
                    value=ascii(value)[:_MAX_LOGGED_CHARS],
                    hint="only this field is ignored; if it stays malformed, the API has changed: please report it",
                )
            self.counts[field] += 1
