"""The metadata of each event type as a pydantic model, for JSON schemas and tests.

A program that only produces events need not import them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.metadata import calendar, clan, common, cwl, games, player, raid, ranked, reminder
from coc2mqtt.events.metadata.common import Metadata

if TYPE_CHECKING:
    from coc2mqtt.events.event import EventType

__all__ = ["Metadata", "metadata_model"]

_MODELS: dict[str, type[Metadata]] = {
    name: model
    for module in (clan, cwl, raid, games, reminder, player, ranked, calendar, common)
    for name, model in vars(module).items()
    if isinstance(model, type) and issubclass(model, Metadata)
}


def metadata_model(event_type: EventType) -> type[Metadata]:
    """Return the model of an event type's metadata: ``MemberJoined`` for ``member_joined``."""
    return _MODELS["".join(word.capitalize() for word in event_type.value.split("_"))]
