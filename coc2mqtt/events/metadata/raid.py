"""The metadata of the events of a clan's raid weekends."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from coc2mqtt.events.metadata.common import Metadata, Time


class RaidMemberLeft(BaseModel):
    """A member with unused attacks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    name: str | None
    attacks_left: int


class RaidMember(BaseModel):
    """A member of the clan."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    name: str | None


class TopRaider(BaseModel):
    """The total of a member's attacks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    name: str | None
    loot: int
    attacks: int


class RaidStarted(Metadata):
    """A raid weekend started; a clan that does not raid has this event only if the API lists the weekend."""

    start_at: Time | None
    """The start of the weekend."""
    end_at: Time | None
    """The end of the weekend."""


class _Raid(Metadata):
    raid_index: int
    """The number of the raid in the weekend, starting at 1: the same clan can be raided twice."""
    defender_tag: str | None
    """The raided clan."""
    defender_name: str | None


class RaidOpponentNew(_Raid):
    """The clan started to raid another clan."""

    defender_level: int | None
    districts: int | None
    """The number of the clan's districts."""


class _District(_Raid):
    district_id: int
    district_name: str | None
    district_hall: int | None
    """The level of the district hall, or of the capital hall."""


class RaidAttackNew(_District):
    """A member attacked a district."""

    attacker_tag: str | None
    attacker_name: str | None
    order: int
    """The number of the attack on this district, starting at 1."""
    destruction: float
    """The destruction of the district after the attack, in percent."""
    gained: float
    """The destruction that the attack added, in percent."""
    stars: int | None
    finished: bool
    """Whether the attack destroyed the district."""
    attacks_used: int | None
    """The number of the attacker's attacks in this weekend, in this response."""
    attacks_left: int | None
    """The number of the attacker's attacks left in this response."""


class RaidDistrictDestroyed(_District):
    """A district was destroyed."""

    attacks: int | None
    """The number of attacks that it took."""
    loot: int | None
    """The capital gold looted from it."""
    last_attacker_tag: str | None
    last_attacker_name: str | None


class RaidClanDestroyed(_Raid):
    """All districts of a raided clan were destroyed."""

    attacks: int | None
    """The number of attacks that it took."""
    loot: int | None
    """The capital gold looted from the clan."""
    districts: int | None


class RaidDefenseEnded(Metadata):
    """Another clan destroyed all districts of the clan; published only if `raid_defenses` is on."""

    attacker_tag: str | None
    """The raiding clan."""
    attacker_name: str | None
    attacks: int | None
    districts_destroyed: int | None


class RaidEnded(Metadata):
    """A raid weekend ended."""

    start_at: Time | None
    end_at: Time | None
    attacks: int | None
    """The number of the clan's attacks."""
    loot: int | None
    """The capital gold looted by the clan."""
    districts_destroyed: int | None
    raids_completed: int
    """The number of clans that the clan destroyed; unlike the API's number without the raids on the clan."""
    offensive_reward: int | None
    """Raid medals for each attack used; null if the API does not show it."""
    defensive_reward: int | None
    """Raid medals for the defence; null if the API does not show it."""
    max_medals: int | None
    """The raid medals of a member with six attacks."""
    members: int
    """The number of members who attacked."""
    attacks_left: int | None
    """The number of attacks that the members who attacked did not use."""
    members_attacks_left: list[RaidMemberLeft]
    """The members who attacked and did not use all attacks, those with the most left first; as many as fit."""
    members_not_started: list[RaidMember] | None
    """The members of the clan who did not attack, as many as fit; null if the clan's members are unknown."""
    top_members: list[TopRaider]
    """The members who looted the most; as many as fit."""
    partial: bool
    """Whether the end was not observed, so that the last attacks may be missing."""
