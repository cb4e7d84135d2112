"""The metadata of the events of a clan and its wars."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from coc2mqtt.events.metadata.common import Direction, Metadata, Secondary, Time, Updated


class ClanUpdated(Updated):
    """Fields of the clan itself changed; `changes` lists them."""


class _Member(Metadata):
    member_tag: str
    member_name: str
    """The name, or the tag if the API has no name."""


class MemberJoined(_Member):
    """A member joined the clan."""

    role: str | None
    """`member`, `admin` (the game's Elder), `coLeader` or `leader`."""
    town_hall_level: int | None


class MemberLeft(_Member):
    """A member left the clan."""

    role: str | None
    """The last role: `member`, `admin` (the game's Elder), `coLeader` or `leader`."""


class MemberUpdated(_Member):
    """A member's name, town hall, league or clan house changed; `changes` lists the fields."""


class MemberRoleChanged(_Member):
    """A member was promoted or demoted."""

    old_role: str | None
    """`member`, `admin` (the game's Elder), `coLeader` or `leader`."""
    new_role: str | None
    """`member`, `admin` (the game's Elder), `coLeader` or `leader`."""
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


class _War(Metadata):
    war_id: str | None
    """Identifies the war in all of its events."""
    opponent_tag: str | None
    opponent_name: str | None


class WarNew(_War):
    """A war was declared."""

    team_size: int | None
    attacks_per_member: int
    preparation_start_at: Time | None
    """The start of the preparation."""
    start_at: Time | None
    """The start of the battle."""
    end_at: Time | None
    """The end of the battle."""
    preparation_start_time: str | None
    """As `preparation_start_at`, but in the API's format, in UTC: `20261101T080000.000Z`."""
    start_time: str | None
    """As `start_at`, but in the API's format, in UTC."""
    end_time: str | None
    """As `end_at`, but in the API's format, in UTC."""


class WarStateChanged(_War, Secondary):
    """The state of a war changed."""

    war_state_from: str
    """`notInWar`, `preparation`, `inWar` or `warEnded`."""
    war_state_to: str
    """`notInWar`, `preparation`, `inWar` or `warEnded`."""


class WarAttackNew(_War):
    """A member of one of the two clans attacked."""

    attacker_tag: str
    attacker_name: str | None
    attacker_position: int | None
    """The position on the war map, starting at 1."""
    attacker_town_hall: int | None
    defender_tag: str
    defender_name: str | None
    defender_position: int | None
    """The position on the war map, starting at 1."""
    defender_town_hall: int | None
    stars: int | None
    """0 to 3; null if the API does not return it."""
    new_stars: int | None
    """The stars that the attack adds to the score: only the best attack on each base counts."""
    destruction: float | None
    """Percent."""
    order: int
    """The number of the attack within the war, across both sides, starting at 1."""
    duration: int | None
    """Seconds."""
    side: Literal["clan", "opponent"]
    """The attacking side: the watched clan or its opponent."""


class MemberAttacksLeft(BaseModel):
    """A member with unused attacks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    name: str | None
    attacks_left: int


class WarEnded(_War):
    """A war ended and its result is final."""

    result: Literal["win", "lose", "tie", "unknown", "cancelled"]
    """The clan's result; `cancelled` if the war disappeared before its battle started."""
    observed: bool
    """Whether a poll observed the end of the war; if not, `source` is where the result comes from."""
    source: Literal["war", "opponent", "war_log", "last_seen"]
    """The clan's own war, the opponent's war, the clan's war log, or the last response before the end."""
    stars: int | None
    opponent_stars: int | None
    destruction: float | None
    """Percent."""
    opponent_destruction: float | None
    """Percent."""
    attacks: int | None
    opponent_attacks: int | None
    attacks_left: int | None
    """The number of attacks that the clan did not use; null if unknown."""
    members_attacks_left: list[MemberAttacksLeft] | None
    """The members with unused attacks, sorted by unused attacks in descending order; as many as fit."""


class WarLogPrivate(Metadata):
    """The clan made its war log private, so its war is hidden."""


class WarLogPublic(Metadata):
    """The clan made its war log public again."""


class _Number(Metadata):
    old_value: int | None
    new_value: int


class ClanLevelUp(_Number):
    """The clan reached a higher level."""


class CapitalHallUpgraded(_Number):
    """The capital hall of the clan was upgraded."""


class _League(Metadata):
    old_id: int | None
    """The API's id of the league."""
    old_name: str | None
    new_id: int | None
    new_name: str | None


class ClanCapitalLeagueChanged(_League):
    """The clan moved to another capital league."""

    direction: Direction | None
    """Null if it is unknown."""


class ClanWarLeagueChanged(_League):
    """The clan moved to another war league."""

    direction: Literal["promoted", "demoted", "seeded"] | None
    """`seeded` for a clan without a league, which gets one when it signs up; null if it is unknown."""
    season: str | None
    """The season of the last clan war league, null if it is unknown."""
    position: int | None
    """The clan's position in it, null if it is unknown."""


class MemberInactive(_Member):
    """A member has changed nothing for the configured number of days; published once until they change something."""

    role: str | None
    days: float
    """The configured number of days."""
    last_seen_at: Time
    """When the last change was seen that only the player can make, or when the bridge first saw the member."""


class MemberMoved(_Member):
    """A member moved between this clan and another one, which is published after `member_left` or `member_joined`.

    It is known if both clans are watched, or if the player is.
    """

    from_clan: str
    """The tag of the clan that the player left."""
    from_clan_name: str | None
    to_clan: str
    """The tag of the clan that the player joined."""
    to_clan_name: str | None
