"""An example of every payload, for the documentation. The examples are the same in each run."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from coc2mqtt.examples.bridge import bridge_examples
from coc2mqtt.examples.game import play_game
from coc2mqtt.mqtt.payloads.models import EventPayload
from coc2mqtt.mqtt.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coc2mqtt.examples.game import Game
    from coc2mqtt.journal.protocol import JournalEntry

_TOPICS = Topics()
# Such metadata would distract from the event itself.
_MARKS = ("catch_up", "caused_by", "explained_fields", "left_out")


@functools.cache
def examples() -> Mapping[str, bytes]:
    """Return an example of the payload of each topic, by a topic with a real tag."""
    game = example_game()
    events = {topic: EventPayload.of(entry) for topic, entry in _first_events(game).items()}
    published = {topic: payload.encode() for topic, payload in {**events, **game.states}.items()}
    return {**published, **bridge_examples(game, list(events.values()))}


@functools.cache
def example_game() -> Game:
    """Return a game that was played to its end, with every event."""
    # The failures of the simulated API are not worth a log line.
    with capture_logs():
        return asyncio.run(play_game())


def _first_events(game: Game) -> dict[str, JournalEntry]:
    """Return the first event of each kind and type, if possible one without marks."""
    unmarked = [entry for entry in game.entries if not any(mark in entry.record.metadata for mark in _MARKS)]
    found: dict[tuple[str, str], tuple[str, JournalEntry]] = {}
    for entry in (*unmarked, *game.entries):
        record = entry.record
        topic = _TOPICS.event(entry.kind, record.tag, record.event_type)
        found.setdefault((topic.split("/")[1], record.event_type), (topic, entry))
    return dict(found.values())
