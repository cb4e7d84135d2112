"""The metadata of a clan's events."""

from __future__ import annotations

from coc2mqtt.events.metadata.common import Direction, Metadata


class ClanUpdated(Metadata):
    """Fields of the clan itself changed; `changes` lists them."""


class _Member(Metadata):
    member_tag: str
    member_name: str
    """The name, or the tag if the API has no name."""


class MemberJoined(_Member):
    """A member joined the clan."""

    role: str | None
    """`member`, `admin` (an elder), `coLeader` or `leader`."""
    town_hall_level: int | None


class MemberLeft(_Member):
    """A member left the clan."""

    role: str | None
    """The last role: `member`, `admin` (an elder), `coLeader` or `leader`."""


class MemberUpdated(_Member):
    """A member's name, town hall, league or clan house changed; `changes` lists the fields."""


class MemberRoleChanged(_Member):
    """A member was promoted or demoted."""

    old_role: str | None
    """`member`, `admin` (an elder), `coLeader` or `leader`."""
    new_role: str | None
    direction: Direction | None
    """Null if one of the roles is unknown."""


class MemberDonations(_Member):
    """A member donated or received troops."""

    donations: int
    """The increase in donated troops since the last poll."""
    donationsReceived: int  # noqa: N815 - published with this name since the first version
    """The increase in received troops since the last poll."""


class SeasonReset(Metadata):
    """A season ended: the donations of all members were reset to 0."""

    members: int
    """The number of members who had donated or received troops."""
    season_donations: int
    """The troops donated by all members in the season that ended."""
    season_donations_received: int
    """The troops received by all members in the season that ended."""
    top_donor_tag: str
    """The member with the most donations."""
    top_donor_name: str | None
    top_donations: int
