"""What is polled, and what is remembered of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """The kinds of resources; a clan's war is a resource of its own."""

    CLAN = "clan"
    WAR = "war"
    PLAYER = "player"
    API = "api"


class Resource(NamedTuple):
    """One thing that is polled: a kind and the normalised tag (``api`` for the API itself)."""

    kind: Kind
    tag: str


API = Resource(Kind.API, "api")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was last believed of a resource.

    ``data`` is the answer's JSON object, None before the first good one. ``memo`` is what the engine must remember
    beside it (JSON as well): the current trouble, whether the watch is available, a war's reported attacks.
    ``taken_at`` is the Unix time in seconds of the answer.
    """

    data: dict[str, Any] | None
    memo: dict[str, Any] = field(default_factory=dict)
    taken_at: float = 0.0
