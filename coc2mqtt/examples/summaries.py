"""The page of the documentation with the summaries of all events in each language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.event import EventType
from coc2mqtt.events.summary import summarize
from coc2mqtt.translations import CODES, language_of
from coc2mqtt.translations.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coc2mqtt.events.event import Event

_INTRODUCTION = """\
# Summaries

The `summary` of an event of each type in every [language](configuration.md#language), from a simulated game. An event
type with several sentences has several rows. `make schemas` generates this page.
"""
# More rows would be variants of the same sentence.
_MAX_ROWS = 4


def summaries_page(events: Iterable[Event]) -> str:
    """Return the page with the summaries of these events."""
    languages = [language_of(code) for code in CODES]
    rows = [
        [f"`{event.event_type.value}`", *(summarize(event, language).replace("|", "\\|") for language in languages)]
        for event in _examples(list(events))
    ]
    head = ["event type", *(language.name for language in languages)]
    lines = [f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *rows)]
    return f"{_INTRODUCTION}\n{''.join(lines)}"


def _examples(events: list[Event]) -> Iterator[Event]:
    """Yield events whose summaries consist of different messages, in the order of the event types."""
    for event_type in EventType:
        seen: list[set[str]] = []
        for event in (one for one in events if one.event_type is event_type and "caused_by" not in one.metadata):
            recorder = Recorder()
            summarize(event, recorder)
            if recorder.messages not in seen and len(seen) < _MAX_ROWS:
                seen.append(recorder.messages)
                yield event
