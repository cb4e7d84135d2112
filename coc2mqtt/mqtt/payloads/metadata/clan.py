"""The metadata of a clan's events."""

from __future__ import annotations

from coc2mqtt.mqtt.payloads.metadata.common import Direction, Metadata


class ClanUpdated(Metadata):
    """Something about a clan itself has changed; `changes` says what."""


class _Member(Metadata):
    member_tag: str
    member_name: str
    """The name, or the tag where the API names none."""


class MemberJoined(_Member):
    """Somebody has joined a clan."""

    role: str | None
    """As the API says it: `member`, `admin` (an elder), `coLeader` or `leader`."""
    town_hall_level: int | None


class MemberLeft(_Member):
    """Somebody has left a clan."""

    role: str | None
    """The last one, as the API says it: `member`, `admin` (an elder), `coLeader` or `leader`."""


class MemberUpdated(_Member):
    """A member's name, town hall, league or house has changed; `changes` says what."""


class MemberRoleChanged(_Member):
    """A member was promoted or demoted."""

    old_role: str | None
    """As the API says it: `member`, `admin` (an elder), `coLeader` or `leader`."""
    new_role: str | None
    direction: Direction | None
    """Null where one of the roles is not known."""


class MemberDonations(_Member):
    """A member has donated or received troops."""

    donations: int
    """How many more than before were donated."""
    donationsReceived: int  # noqa: N815 - as it has been published from the beginning
    """How many more than before were received."""


class SeasonReset(Metadata):
    """A season has ended: the donations of all members begin again at nothing."""

    members: int
    """How many had donated or received anything."""
    season_donations: int
    """What all of them have donated in the season that ended."""
    season_donations_received: int
    """What all of them have received in the season that ended."""
    top_donor_tag: str
    """The member who has donated most."""
    top_donor_name: str | None
    top_donations: int
