"""The retained state of the clan games. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from coc2mqtt.clash.response import iso_time
from coc2mqtt.events.compare.games import games_state
from coc2mqtt.mqtt.payloads.models import Payload, Time
from coc2mqtt.mqtt.payloads.values import short_text

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Snapshot

# The largest clan in the game, and as many who have left it.
_MAX_MEMBERS = 100
_MAX_TAG_BYTES = 18


class GamesMemberPayload(Payload):
    """The points of a member, who may have left the clan since."""

    tag: str | None
    name: str | None
    points: int
    partial: bool
    """Whether points may be missing, because the bridge first saw the member after the start."""


class GamesPayload(Payload):
    """The present clan games, or the last ones; published only if `games` is on."""

    state: Literal["none", "ongoing", "ended"]
    """`none` until the first clan games that the bridge sees."""
    start_at: Time | None
    end_at: Time | None
    total: int | None
    """The points of all members."""
    max_points: int | None
    """The most points that a member can earn, as configured."""
    partial: bool | None
    """Whether points of some members may be missing."""
    members: list[GamesMemberPayload]
    """Those with the most points first; at most 100."""
    updated_at: Time


def games_payload(snapshot: Snapshot) -> GamesPayload:
    """Return the state of the clan games from the snapshot of their resource."""
    state = games_state(snapshot)
    known = state.state != "none"
    members = [
        GamesMemberPayload(
            tag=short_text(one.tag, _MAX_TAG_BYTES),
            name=short_text(one.name or one.tag),
            points=one.points,
            partial=one.partial,
        )
        for one in state.members[:_MAX_MEMBERS]
    ]
    return GamesPayload(
        state=state.state,
        start_at=None if state.start is None else iso_time(state.start),
        end_at=None if state.end is None else iso_time(state.end),
        total=state.total if known else None,
        max_points=state.max_points if known else None,
        partial=state.partial if known else None,
        members=members,
        updated_at=iso_time(snapshot.taken_at),
    )
