"""The present state of a clan's clan war league, from its snapshot. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from coc2mqtt.events.compare.cwl_league import League
from coc2mqtt.events.compare.cwl_standings import Standing, clan_score, position_of, standings

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]
State = Literal["none", "searching", "preparation", "inWar", "ended"]


class CwlRound(NamedTuple):
    """A round: its number, starting at 1, and the last response about the clan's war in it."""

    number: int
    war: Json


class CwlState(NamedTuple):
    """The clan war league of a clan.

    ``state`` is ``searching`` after the sign-up, until the group is drawn. ``season`` is the API's name of the season,
    which does not identify it. ``league_id`` and ``league`` are the clan's league when the group was drawn. ``rounds``
    and ``clans`` are numbers. ``current`` is the round in battle (of two, the one that ends first), else the one in
    preparation, else the last one that ended; ``next`` is the round after the one in battle, in preparation
    or, if the battles overlap, in battle too. ``stars`` are the clan's in all rounds, with ten for each won war.
    ``position`` and ``standings`` are known only if all wars of the group are, and the position only once the first
    battle has started.
    """

    state: State
    season: str | None = None
    league_id: int | None = None
    league: str | None = None
    rounds: int | None = None
    clans: int | None = None
    current: CwlRound | None = None
    next: CwlRound | None = None
    position: int | None = None
    stars: int | None = None
    standings: tuple[Standing, ...] = ()


class LeagueResult(NamedTuple):
    """The season of the clan's last clan war league, and its position in it; None if unknown."""

    season: str | None = None
    position: int | None = None


def cwl_state(snapshot: Snapshot, tag: str) -> CwlState:
    """Return the state of the clan war league of a clan from the snapshot of its resource."""
    data = snapshot.data or {}
    league = _league(snapshot)
    group = data.get("group")
    if league is None or (league.ended and not (group or {}).get("clans")):
        return CwlState("none" if group is None else "searching")
    rounds = _own_rounds(league, tag, data.get("wars") or {})
    battles, prepared = [one for one in rounds if one.war.get("state") == "inWar"], _first(rounds, "preparation")
    battle = battles[0] if battles else None
    current = battle or prepared or (rounds[-1] if rounds else None)
    table, score = standings(league), clan_score(league, tag)
    has_started = any(one.war.get("state") != "preparation" for one in rounds)
    known = all(not league.unknown_tags(number, tag) for number in range(1, len(league.tags) + 1))
    return CwlState(
        _state(league, battle=battle is not None, prepared=prepared is not None, last=current),
        league.season,
        *_league_name(league),
        league.rounds,
        len(league.clans),
        current,
        next(iter(battles[1:]), prepared) if battle is not None else None,
        position_of(tag, table) if has_started else None,
        score.stars if score.is_known and known else None,
        table,
    )


def own_rounds(snapshot: Snapshot, tag: str) -> list[CwlRound]:
    """Return the rounds of a clan whose wars are known, from the snapshot of its clan war league."""
    league = _league(snapshot)
    return [] if league is None else _own_rounds(league, tag, (snapshot.data or {}).get("wars") or {})


def league_result(snapshot: Snapshot | None, tag: str) -> LeagueResult:
    """Return the season and the position of the clan in its last clan war league, from the snapshot of its resource.

    The position is unknown until the battle of the clan's last round is over.
    """
    league = None if snapshot is None else _league(snapshot)
    if league is None:
        return LeagueResult()
    over = any(war.round == league.rounds and war.state == "warEnded" for _, war in league.own_wars(tag))
    return LeagueResult(league.season, position_of(tag, standings(league)) if over else None)


def _league(snapshot: Snapshot) -> League | None:
    encoded = snapshot.memo.get("league")
    return None if encoded is None else League.from_json(encoded)


def _own_rounds(league: League, tag: str, bodies: Json) -> list[CwlRound]:
    return [CwlRound(war.round, bodies[war_tag]) for war_tag, war in league.own_wars(tag) if war_tag in bodies]


def _first(rounds: list[CwlRound], state: str) -> CwlRound | None:
    return next((one for one in rounds if one.war.get("state") == state), None)


def _state(league: League, *, battle: bool, prepared: bool, last: CwlRound | None) -> State:
    if battle:
        return "inWar"
    if prepared:
        return "preparation"
    if league.ended or league.state == "ended" or (last is not None and last.number >= league.rounds):
        return "ended"
    return "inWar" if league.state == "inWar" else "preparation"


def _league_name(league: League) -> tuple[int | None, str | None]:
    known = league.league or {}
    return known.get("id"), known.get("name")
