"""The metadata of the events of a clan's clan war leagues."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from coc2mqtt.events.metadata.clan import WarAttackNew, WarEnded
from coc2mqtt.events.metadata.common import Metadata, Secondary, Time


class LeagueClan(BaseModel):
    """A clan of the group."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    name: str | None
    level: int | None


class LineupMember(BaseModel):
    """A member in the line-up of a war."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    name: str | None
    town_hall: int | None


class MemberMissed(BaseModel):
    """A member with missed attacks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    name: str | None
    missed: int


class TopMember(BaseModel):
    """The total of a member's attacks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    name: str | None
    stars: int
    destruction: float
    """The sum over the attacks, in percent."""
    attacks: int


class _Season(Metadata):
    season: str | None
    """The API's name of the season, such as `2026-10-02`; its format varies, and it does not identify the league."""


class _Round(Metadata):
    season: str | None
    """The API's name of the season, such as `2026-10-02`; its format varies, and it does not identify the league."""
    round: int
    """The number of the round, starting at 1."""
    war_id: str | None
    """The tag of the war, which identifies it in all of its events."""
    opponent_tag: str | None
    opponent_name: str | None


class CwlStarted(_Season):
    """A clan war league started: the group of the clan is known."""

    league_id: int | None
    """The API's id of the clan's league, null if it is unknown."""
    league_name: str | None
    clans: list[LeagueClan]
    """The clans of the group, the watched one included."""
    team_size: int | None
    """The number of members on each side of a war."""
    rounds: int
    """The number of rounds."""
    roster_size: int | None
    """The number of the clan's members who can be in a line-up."""
    first_battle_at: Time | None
    """The start of the first battle."""


class CwlRoundNew(_Round):
    """The opponent of a round is known, and its preparation has started."""

    rounds: int
    """The number of rounds."""
    team_size: int | None
    preparation_start_at: Time | None
    start_at: Time | None
    """The start of the battle."""
    end_at: Time | None
    """The end of the battle."""


class CwlRoundStateChanged(_Round, Secondary):
    """The state of the clan's war in a round changed."""

    war_state_from: str
    """`preparation` or `inWar`."""
    war_state_to: str
    """`inWar` or `warEnded`."""


class CwlLineupChanged(_Round):
    """The line-up of a war changed before its battle."""

    side: Literal["clan", "opponent"]
    """The side that changed: the watched clan or its opponent."""
    added: list[LineupMember]
    removed: list[LineupMember]


class CwlAttackNew(WarAttackNew):
    """A member of one of the two clans attacked in a war of a clan war league."""

    season: str | None
    """The API's name of the season."""
    round: int
    """The number of the round, starting at 1."""


class CwlRoundEnded(WarEnded):
    """The clan's war of a round ended and its result is final."""

    season: str | None
    """The API's name of the season."""
    round: int
    """The number of the round, starting at 1."""
    bonus_stars: int | None
    """The stars for the result: 10 for a win, otherwise 0; null if the result is unknown."""
    total_stars: int | None
    """The clan's stars in all rounds so far, with the bonus for each won war; null if one of them is unknown."""
    position: int | None
    """The clan's position in the group; null unless `cwl_standings` is on."""


class CwlEnded(_Season):
    """A clan war league ended: all rounds of the clan have ended."""

    position: int | None
    """The clan's final position in the group; null unless `cwl_standings` is on."""
    clans: int
    """The number of clans in the group."""
    won: int
    lost: int
    tied: int
    stars: int
    """The clan's stars in all rounds, with the bonus of 10 for each won war."""
    destruction: float
    """The clan's total destruction: the percentages of all attacked bases added up, the best attack on each."""
    attacks: int
    """The number of the clan's attacks."""
    missed: int
    """The number of attacks that the clan did not use."""
    members_missed: list[MemberMissed]
    """The members with missed attacks, those with the most first; as many as fit."""
    top_members: list[TopMember]
    """The members with the most stars, then destruction; as many as fit."""
    complete: bool
    """Whether the results of all rounds are known."""
