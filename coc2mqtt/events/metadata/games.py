"""The metadata of the events of the clan games."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from coc2mqtt.events.metadata.common import Metadata, Time


class GamesMember(BaseModel):
    """The points of a member in the clan games."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    name: str | None
    points: int


class _Games(Metadata):
    start_at: Time
    """The start of the clan games, as configured."""
    end_at: Time
    """The end of the clan games, as configured."""


class ClanGamesStarted(_Games):
    """The clan games started."""

    max_points: int
    """The most points that a member can earn, as configured."""


class ClanGamesPoints(Metadata):
    """A member earned points in the clan games."""

    member_tag: str
    member_name: str
    gained: int
    """The points earned since the member was last polled."""
    points: int
    """The member's points in these clan games."""
    total: int
    """The points of all members, also of those who have left the clan, as last polled."""
    partial: bool
    """Whether the member may have earned more points before the bridge first saw them."""


class ClanGamesEnded(_Games):
    """The clan games ended, and the points of the members are final."""

    total: int
    """The points of all members."""
    members: int
    """The number of members with points."""
    top_members: list[GamesMember]
    """The members with the most points; as many as fit."""
    partial: bool
    """Whether the bridge did not see the start for some members, so that points may be missing."""
