"""Events once more, for whoever was not there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from coc2mqtt.mqtt.payloads.event import event_payload
from coc2mqtt.mqtt.payloads.responses import ReplayData
from coc2mqtt.util.containment import propagate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.journal.protocol import JournalEntry, Selection
    from coc2mqtt.mqtt.payloads.models import EventPayload
    from coc2mqtt.mqtt.payloads.requests import ReplayRequest
    from coc2mqtt.util.containment import Contain

# What every broker and client takes.
LARGEST_ANSWER = 128 * 1024
# Of an answer, what is not the events (bytes): the longest transaction, all escaped, is most of it.
_AROUND = 2048


class DeliveredEvents(Protocol):
    """What a replay reads of a journal."""

    async def delivered(
        self, *, after: int, since: float | None, selection: Selection, limit: int
    ) -> list[JournalEntry]:
        """Return the first events that are delivered; see ``Journal``."""


class Replay:
    """Gives pages of the events that were delivered.

    ``noted`` returns when the journal knows of all that the broker has acknowledged: an event that was published just
    before somebody subscribed is among the delivered ones when they ask. ``clock`` gives Unix time in seconds.
    ``contain`` guards the encoding of each event: one that cannot be encoded because of a bug is left out.
    """

    def __init__(
        self,
        journal: DeliveredEvents,
        *,
        noted: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.time,
        contain: Contain = propagate,
    ) -> None:
        self._contain = contain
        self._journal = journal
        self._noted = noted
        self._clock = clock

    async def page(self, request: ReplayRequest, *, room: int = LARGEST_ANSWER) -> ReplayData:
        """Return what is asked for as far as ``room`` (bytes) lasts, and one event at least.

        Raises CommandError where the request does not say where to begin.
        """
        after, since = request.begin(self._clock())
        selection = request.selection()
        await self._noted()
        # One more than asked for tells whether there is more.
        entries = await self._journal.delivered(after=after, since=since, selection=selection, limit=request.limit + 1)
        events: list[EventPayload] = []
        left = min(room, LARGEST_ANSWER) - _AROUND
        last: JournalEntry | None = None
        for entry in entries[: request.limit]:
            with self._contain("replay", id=entry.id, seq=entry.seq):
                event = event_payload(entry)
                size = len(event.encode()) + 1
                if events and left < size:
                    break
                events.append(event)
                left -= size
            last = entry
        more = last is not None and last is not entries[-1]
        return ReplayData(events=events, next_seq=last.seq if last is not None and more else None)
