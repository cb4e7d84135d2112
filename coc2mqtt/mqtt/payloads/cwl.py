"""The retained state of a clan's clan war league. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from coc2mqtt.clash.response import api_time
from coc2mqtt.events.compare.cwl_league import rank_positions
from coc2mqtt.events.compare.cwl_state import cwl_state
from coc2mqtt.events.compare.war import war_id, war_sides
from coc2mqtt.mqtt.payloads.models import Payload, Time, iso_time
from coc2mqtt.mqtt.payloads.values import integer, json_object, json_objects, short_text, text
from coc2mqtt.mqtt.payloads.war import (
    WarMemberPayload,
    WarSidePayload,
    WarStatus,
    members_with_attacks_left,
    side_payload,
    war_status,
)

if TYPE_CHECKING:
    from coc2mqtt.events.compare.cwl_standings import Standing
    from coc2mqtt.events.compare.cwl_state import CwlRound
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]
CwlPhase = Literal["none", "searching", "preparation", "inWar", "ended"]

# More clans than a group has.
_MAX_STANDINGS = 16


class CwlWarPayload(Payload):
    """The clan's war of one round, in which each member has one attack."""

    round: int
    """The number of the round, starting at 1."""
    war_id: str | None
    """The tag of the war: the same value as in the events of this round."""
    state: str | None
    """The API's value: `preparation`, `inWar` or `warEnded`."""
    preparation_start_time: Time | None
    start_time: Time | None
    end_time: Time | None
    team_size: int | None
    """The number of members on each side."""
    status: WarStatus | None
    """The watched clan's status, by stars, then by destruction; null before the battle."""
    clan: WarSidePayload
    """The watched clan."""
    opponent: WarSidePayload
    members_with_attacks_left: list[WarMemberPayload]
    """Members of the watched clan in the line-up with their attack left, in the order of the war map; empty before the
    battle. ``position`` is the place in the line-up, without the gaps of the API's numbers."""


class CwlStandingPayload(Payload):
    """One clan in the table of the group."""

    position: int
    tag: str | None
    name: str | None
    """The tag if the API returns no name."""
    stars: int
    """With the bonus of 10 for each won war."""
    destruction: float
    """The percentages of all attacked bases added up, the best attack on each."""
    wins: int
    losses: int
    ties: int


class CwlPayload(Payload):
    """The clan war league of a clan; without one, most keys are null."""

    state: CwlPhase
    """`none` without a league; `searching` while the group is searched; `preparation` before a battle, `inWar` during
    one; `ended` until the clan starts another war."""
    season: str | None
    """The API's name of the season, such as `2026-10-02`; its format varies."""
    league: str | None
    """The league in which the clan plays."""
    rounds: int | None
    """The number of rounds."""
    clans: int | None
    """The number of clans in the group."""
    round: int | None
    """The number of the current round: that of ``war``."""
    war: CwlWarPayload | None
    """The war in battle; without one, that in preparation; after the last round, the last war."""
    next_war: CwlWarPayload | None
    """The war of the next round, if it is known during the battle of the current one."""
    position: int | None
    """The clan's position in the table; null unless `cwl_standings` is on."""
    stars: int | None
    """The clan's stars in all rounds so far, with the bonus of 10 for each won war."""
    standings: list[CwlStandingPayload]
    """The table of the group; empty unless `cwl_standings` is on."""
    updated_at: Time


def cwl_payload(tag: str, snapshot: Snapshot) -> CwlPayload:
    """Return the clan war league of the clan ``tag``."""
    state = cwl_state(snapshot, tag)
    # A body does not contain the tag of its war.
    wars = json_object(json_object(snapshot.data).get("wars"))
    tags = {war_id(body): war_tag for war_tag, body in wars.items()}
    return CwlPayload(
        state=state.state,
        season=text(state.season),
        league=text(state.league),
        rounds=state.rounds,
        clans=state.clans,
        round=None if state.current is None else state.current.number,
        war=None if state.current is None else _war_payload(tag, state.current, tags),
        next_war=None if state.next is None else _war_payload(tag, state.next, tags),
        position=state.position,
        stars=state.stars,
        standings=[_standing(one) for one in state.standings[:_MAX_STANDINGS]],
        updated_at=iso_time(snapshot.taken_at),
    )


def _war_payload(tag: str, current: CwlRound, tags: dict[str | None, str]) -> CwlWarPayload:
    war = current.war
    own, opponent = war_sides(war, tag)
    state = text(war.get("state"))
    left = [] if state == "preparation" else members_with_attacks_left(war, _lineup(war, tag))
    return CwlWarPayload(
        round=current.number,
        war_id=text(tags.get(war_id(war))),
        state=state,
        preparation_start_time=api_time(war.get("preparationStartTime")),
        start_time=api_time(war.get("startTime")),
        end_time=api_time(war.get("endTime")),
        team_size=integer(war.get("teamSize")),
        status=war_status(war, own, opponent),
        clan=side_payload(war, own),
        opponent=side_payload(war, opponent),
        members_with_attacks_left=left,
    )


def _lineup(war: Json, tag: str) -> Json:
    """Return the clan's side of a war with positions without gaps and short names."""
    side, _ = war_sides(rank_positions(war), tag)
    members = [{**one, "name": short_text(one.get("name"))} for one in json_objects(side.get("members"))]
    return {**side, "members": members}


def _standing(standing: Standing) -> CwlStandingPayload:
    return CwlStandingPayload(
        position=standing.position,
        tag=text(standing.tag),
        name=short_text(standing.name) or text(standing.tag),
        stars=standing.stars,
        destruction=round(standing.destruction, 2),
        wins=standing.wins,
        losses=standing.losses,
        ties=standing.ties,
    )
