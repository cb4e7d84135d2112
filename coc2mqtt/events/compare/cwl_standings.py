"""The standings of a clan war league, which the API does not have. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from coc2mqtt.events.compare.cwl_league import League, LeagueWar

WIN_BONUS = 10
# An attack's destruction is a whole percentage, but the API divides their sum by the size of the team.
_DESTRUCTION_DIGITS = 2


class Standing(NamedTuple):
    """A clan's place in its group.

    ``stars`` are those of all wars, with ten more for each war that was won and is over. ``destruction`` is the sum of
    the destruction of all attacked bases in percent, which decides between clans with the same stars.
    """

    position: int
    tag: str
    name: str | None
    stars: int
    destruction: float
    wins: int
    losses: int
    ties: int


class Score(NamedTuple):
    """The stars (with the bonus) and the destruction of a clan in its known wars, and how those that are over ended.

    ``is_known`` is whether the score of each of these wars is known.
    """

    stars: int
    destruction: float
    wins: int
    losses: int
    ties: int
    is_known: bool


def clan_score(league: League, tag: str, *, rounds: int | None = None) -> Score:
    """Return the score of a clan in its known wars up to a round."""
    wars = [war for _, war in league.own_wars(tag) if rounds is None or war.round <= rounds]
    sides = [(war.side_of(tag), war.size) for war in wars]
    results = [war.result_of(tag) for war in wars]
    wins = results.count("win")
    destruction = sum((side.destruction or 0.0) * (size or 0) for side, size in sides)
    return Score(
        sum(side.stars or 0 for side, _ in sides) + WIN_BONUS * wins,
        round(destruction, _DESTRUCTION_DIGITS),
        wins,
        results.count("lose"),
        results.count("tie"),
        all(side.stars is not None and side.destruction is not None and size is not None for side, size in sides),
    )


def standings(league: League, *, rounds: int | None = None) -> tuple[Standing, ...]:
    """Return the standings of a group after a round, empty if the score of a war that has started is unknown.

    They are known only if all wars of the group are polled. Clans with the same stars and destruction keep the order of
    the group.
    """
    numbers = range(1, (len(league.tags) if rounds is None else min(rounds, len(league.tags))) + 1)
    if not (league.standings and all(_is_round_known(league, number) for number in numbers)):
        return ()
    scores = [(one, clan_score(league, one["tag"], rounds=rounds)) for one in league.clans]
    if not all(score.is_known for _, score in scores):
        return ()
    scores.sort(key=lambda pair: (pair[1].stars, pair[1].destruction), reverse=True)
    return tuple(
        Standing(position, clan["tag"], clan["name"], *score[:-1]) for position, (clan, score) in enumerate(scores, 1)
    )


def position_of(tag: str, table: tuple[Standing, ...]) -> int | None:
    """Return the position of a clan, None if it is unknown."""
    return next((standing.position for standing in table if standing.tag == tag), None)


def are_results_final(league: League) -> bool:
    """Return whether the results of all drawn wars of the group are final."""
    wars = [league.wars.get(tag) for tags in league.tags for tag in tags]
    return all(war is not None and war.reported.ended for war in wars)


def _is_round_known(league: League, number: int) -> bool:
    wars: list[LeagueWar | None] = [league.wars.get(tag) for tag in league.tags[number - 1]]
    known = [war for war in wars if war is not None]
    # A round in preparation does not count, and its wars become known one after the other.
    return len(known) == len(wars) or (bool(known) and all(war.state == "preparation" for war in known))
