"""The metadata of the reminders of a clan."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from coc2mqtt.events.metadata.common import Metadata, Time
from coc2mqtt.events.metadata.raid import RaidMember  # noqa: TC001 - pydantic reads it


class MemberReminded(BaseModel):
    """A member with unused attacks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    name: str | None
    town_hall: int | None
    attacks_left: int


class MemberBelow(BaseModel):
    """A member who has not reached the maximum of the clan games."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    name: str | None
    points: int
    partial: bool
    """Whether the member may have earned more points before the bridge first saw them."""


class _Reminder(Metadata):
    hours_left: float
    """The time of this reminder before the end, as configured."""
    minutes_left: int
    """The time left until the end; less than `hours_left` if the reminder is late."""
    end_at: Time
    """The end that this reminder refers to."""
    polled_at: Time
    """When the list of members was fetched."""


class WarReminder(_Reminder):
    """Attacks are left in a war or in a round of a clan war league, some hours before its end."""

    war_id: str | None
    war_type: Literal["regular", "cwl"]
    round: int | None
    """The number of the league's round; null for a regular war."""
    opponent_tag: str | None
    opponent_name: str | None
    attacks_left: int
    """The attacks left of all members whom the filters include."""
    members: int
    """The number of these members."""
    members_attacks_left: list[MemberReminded]
    """These members, those with the most attacks left first; as many as fit."""
    stars: int | None
    opponent_stars: int | None


class RaidReminder(_Reminder):
    """Attacks are left in a raid weekend, some hours before its end."""

    attacks_left: int
    """The attacks left of all members whom the filters include and who have attacked."""
    members: int
    """The number of members with attacks left, including those who have not started."""
    members_attacks_left: list[MemberReminded]
    """The members who have attacked and have attacks left, those with the most left first; as many as fit."""
    members_not_started: list[RaidMember] | None
    """The members who have not attacked, as many as fit; null if the clan's members are unknown."""


class ClanGamesReminder(_Reminder):
    """Members have not reached the maximum of the clan games, some hours before their end."""

    total: int
    """The clan's points."""
    max_points: int
    """The most points that a member can earn, as configured."""
    members: int
    """The number of members below the maximum."""
    members_below: list[MemberBelow]
    """These members, those with the fewest points first; as many as fit."""
