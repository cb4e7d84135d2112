"""The retained state of a clan's last war. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from coc2mqtt.clash.response import api_time
from coc2mqtt.mqtt.payloads.models import Payload, Time, iso_time
from coc2mqtt.mqtt.payloads.values import integer, number, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coc2mqtt.events.resource import Snapshot

Result = Literal["won", "lost", "tied", "cancelled", "unknown"]

# By the result in the metadata of `war_ended`.
_RESULTS: Mapping[str, Result] = {"win": "won", "lose": "lost", "tie": "tied", "cancelled": "cancelled"}


class LastWarSidePayload(Payload):
    """The score of one side of a war. ``destruction`` is in percent."""

    stars: int | None
    destruction: float | None


class LastWarOpponentPayload(LastWarSidePayload):
    """The opponent in a war, and its score."""

    tag: str | None
    name: str | None
    """The tag if the API returns no name."""


class LastWarPayload(Payload):
    """The result of a clan's last war, as in its `war_ended`; kept after the next war has started."""

    war_id: str | None
    """The same value as in the events of this war."""
    result: Result
    """`cancelled` if the battle never started; `unknown` if no source shows the end."""
    team_size: int | None
    """The number of members on each side."""
    end_time: Time | None
    """Null for a cancelled war."""
    clan: LastWarSidePayload
    """The watched clan."""
    opponent: LastWarOpponentPayload
    updated_at: Time
    """When the bridge published `war_ended`."""


def last_war_payload(war: Snapshot) -> LastWarPayload | None:
    """Return the last result in the memo of a war's snapshot, None if no end of a war has been reported."""
    ended: dict[str, Any] | None = war.memo.get("last_result")
    if ended is None:
        return None
    return LastWarPayload(
        war_id=text(ended["war_id"]),
        result=_RESULTS.get(ended["result"], "unknown"),
        team_size=integer(ended["team_size"]),
        end_time=api_time(ended["end_time"]),
        clan=LastWarSidePayload(stars=integer(ended["stars"]), destruction=number(ended["destruction"])),
        opponent=LastWarOpponentPayload(
            tag=text(ended["opponent_tag"]),
            name=text(ended["opponent_name"]) or text(ended["opponent_tag"]),
            stars=integer(ended["opponent_stars"]),
            destruction=number(ended["opponent_destruction"]),
        ),
        updated_at=iso_time(ended["at"]),
    )
