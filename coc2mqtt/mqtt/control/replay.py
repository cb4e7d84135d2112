"""The command ``replay``: events that were delivered before, page by page."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from coc2mqtt.events.event import EventType
from coc2mqtt.events.resource import CLAN_PARTS, PLAYER_PARTS, Kind
from coc2mqtt.journal.protocol import Selection
from coc2mqtt.mqtt.control.commands import MAX_RESPONSE_BYTES, CommandContext, Outcome
from coc2mqtt.mqtt.control.request import CommandError, Request, Tag
from coc2mqtt.mqtt.payloads.models import EventPayload, Payload
from coc2mqtt.util.clocks import parse_duration
from coc2mqtt.util.containment import propagate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from coc2mqtt.journal.protocol import Journal, JournalEntry
    from coc2mqtt.util.containment import Contain

_MAX_EVENTS = 500
# SQLite's largest integer.
_MAX_SEQ = 2**63 - 1
_MAX_SEQ_DIGITS = 19
# The part of a response that is not events, mostly the longest transaction with every character escaped.
_ENVELOPE_BYTES = 2048
_EVENT_TYPES = [event_type.value for event_type in EventType]


def _check_event_type(value: str) -> str:
    if value not in _EVENT_TYPES:
        raise ValueError(f"unknown event type {value[:64]!r}: use one such as {EventType.MEMBER_JOINED.value}")
    return value


def _parse_since(value: object) -> object:
    """Return a text as a time with an offset or as an age."""
    if value is None:
        return None
    text = str(value).strip()[:64] if isinstance(value, str) else ""
    try:
        # A number without a unit is more likely a seq under the wrong key than an age in seconds.
        return parse_duration(text if not text.replace(".", "").isdigit() else "")
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("must be a time with its offset, such as 2026-11-24T12:00:00+00:00, or an age, such as 1h")
    return moment


Since = Annotated[
    datetime | timedelta | None,
    BeforeValidator(_parse_since),
    WithJsonSchema({"anyOf": [{"type": "string", "examples": ["2026-11-24T12:00:00+00:00", "1h"]}, {"type": "null"}]}),
]


class ReplayRequest(Request):
    """Return events that were published before. Plain text is read as a seq, a time or an age.

    Exactly one of ``since_seq`` and ``since`` is required. Events that the broker rejected are included. Events that
    are still queued are not: they will be published.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["since_seq"], "properties": {"since_seq": {"type": "integer"}}},
                {"required": ["since"], "properties": {"since": {"type": "string"}}},
            ]
        }
    )
    main_key = "since"

    since_seq: Annotated[int, Field(ge=0, le=_MAX_SEQ)] | None = Field(
        default=None, description="Return the events after this seq, such as the 'next_seq' of the last response."
    )
    since: Since = Field(
        default=None,
        description="Return the events since a time in ISO 8601 with its offset, or since an age: a number followed by"
        " s, m, h or d.",
    )
    kind: Literal["clan", "player", "api"] | None = Field(
        default=None, description="Clan events include those of the clan's war; null: any."
    )
    tag: Tag | None = Field(default=None, description="The clan's or player's tag; null: any.")
    event_type: Annotated[str, AfterValidator(_check_event_type)] | None = Field(
        default=None, description="Null: any.", json_schema_extra={"enum": [*_EVENT_TYPES, None]}
    )
    limit: Annotated[int, Field(ge=1, le=_MAX_EVENTS)] = Field(
        default=100, description="The maximum number of events to return."
    )

    @classmethod
    def from_text(cls, text: str) -> dict[str, Any]:
        """Return the seq if the text is an integer, else the time or the age."""
        if text.isascii() and text.isdigit() and len(text) <= _MAX_SEQ_DIGITS:
            return {"since_seq": int(text)}
        return {cls.main_key: text}

    def start(self, now: float) -> tuple[int, float | None]:
        """Return the seq after which to start, and the first Unix time, None for any; ``now`` is the current time.

        Raises CommandError unless exactly one of the two is given.
        """
        if (self.since_seq is None) == (self.since is None):
            raise CommandError("give exactly one of since_seq and since")
        if self.since_seq is not None:
            return self.since_seq, None
        if isinstance(self.since, timedelta):
            return 0, now - self.since.total_seconds()
        return 0, (self.since or datetime.now(UTC)).timestamp()

    def selection(self) -> Selection:
        """Return the filter for the journal; raises CommandError for a tag together with the API, which has none."""
        if self.kind == "api" and self.tag is not None:
            raise CommandError("events of the API have no tag: remove it")
        kinds = {
            None: None,
            "clan": {Kind.CLAN, *CLAN_PARTS},
            "player": {Kind.PLAYER, *PLAYER_PARTS},
            "api": {Kind.API, Kind.CALENDAR},
        }[self.kind]
        return Selection(None if kinds is None else frozenset(kinds), self.tag, self.event_type)


class ReplayData(Payload):
    """Events as they were published, in order of ``seq``."""

    events: list[EventPayload]
    next_seq: int | None = Field(description="Send it as 'since_seq' to get the next page; null: no more pages.")


class Replay:
    """Reads pages of delivered events from the journal.

    ``flush_acks`` returns once the journal has stored every acknowledgement of the broker. Without it, an event that
    was published just before the requester subscribed could be missing. ``clock`` returns Unix time in seconds.
    ``contain`` guards the encoding of each event: one that cannot be encoded because of a bug is skipped.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        flush_acks: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.time,
        contain: Contain = propagate,
    ) -> None:
        self._contain = contain
        self._journal = journal
        self._flush_acks = flush_acks
        self._clock = clock

    async def page(self, request: ReplayRequest, *, max_bytes: int = MAX_RESPONSE_BYTES) -> ReplayData:
        """Return the requested events, as many as fit into ``max_bytes`` but at least one.

        Raises CommandError if the request is contradictory.
        """
        after, since = request.start(self._clock())
        selection = request.selection()
        await self._flush_acks()
        # One entry more than requested shows whether there is another page.
        entries = await self._journal.delivered(after=after, since=since, selection=selection, limit=request.limit + 1)
        events: list[EventPayload] = []
        bytes_left = min(max_bytes, MAX_RESPONSE_BYTES) - _ENVELOPE_BYTES
        last: JournalEntry | None = None
        for entry in entries[: request.limit]:
            with self._contain("replay", id=entry.id, seq=entry.seq):
                event = EventPayload.of(entry)
                size = len(event.encode()) + 1
                if events and bytes_left < size:
                    break
                events.append(event)
                bytes_left -= size
            last = entry
        more = last is not None and last is not entries[-1]
        return ReplayData(events=events, next_seq=last.seq if last is not None and more else None)


async def replay(context: CommandContext, request: ReplayRequest) -> Outcome:
    """Return a page of events that fits the response."""
    return Outcome(await context.replay.page(request, max_bytes=context.max_response_bytes))
