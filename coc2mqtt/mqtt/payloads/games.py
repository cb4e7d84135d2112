"""The retained state of the clan games. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from coc2mqtt.events.compare.games import games_state, members_below
from coc2mqtt.mqtt.payloads.models import Payload, Time, iso_time
from coc2mqtt.mqtt.payloads.values import short_text

if TYPE_CHECKING:
    from coc2mqtt.events.compare.games import GamesMember
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

# The largest clan in the game, and as many who have left it.
_MAX_MEMBERS, _MAX_PRESENT = 100, 50
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
    members_below: list[GamesMemberPayload]
    """The present members below the maximum, those with the fewest points first; at most 50."""
    updated_at: Time


def games_payload(snapshot: Snapshot, roster: list[Json] | None = None) -> GamesPayload:
    """Return the state of the clan games from the snapshot of their resource.

    ``roster`` is the clan's member list, None if it is unknown: then all members count as present.
    """
    state = games_state(snapshot)
    known = state.state != "none"
    present = None if roster is None else {member["tag"]: member for member in roster}
    return GamesPayload(
        state=state.state,
        start_at=None if state.start is None else iso_time(state.start),
        end_at=None if state.end is None else iso_time(state.end),
        total=state.total if known else None,
        max_points=state.max_points if known else None,
        partial=state.partial if known else None,
        members=[_member(one) for one in state.members[:_MAX_MEMBERS]],
        members_below=[_member(one) for one in members_below(state, present)[:_MAX_PRESENT]],
        updated_at=iso_time(snapshot.taken_at),
    )


def _member(member: GamesMember) -> GamesMemberPayload:
    return GamesMemberPayload(
        tag=short_text(member.tag, _MAX_TAG_BYTES),
        name=short_text(member.name or member.tag),
        points=member.points,
        partial=member.partial,
    )
