"""A clan war league: the clans of a group, their rounds and wars, and the standings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.demo.catalogue import badge_urls
from coc2mqtt.demo.changes import ImpossibleError
from coc2mqtt.demo.war import Fighter, Side, War

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime, timedelta

    from coc2mqtt.demo.player import Player
    from coc2mqtt.demo.war import Result, SideName

Json = dict[str, Any]

TEAM_SIZES = (5, 15, 30)
# The stars for a won war.
BONUS = 10
_ATTACKS_PER_MEMBER = 1
# The tag of a war that has not been drawn yet.
_NO_TAG = "#0"


class RosterMember(NamedTuple):
    """A member who can fight in the league; name and town hall are those at its start.

    ``position`` is the place in the roster, which is also the position in every war. So the positions of a war have
    holes.
    """

    tag: str
    name: str
    town_hall: int
    position: int

    def body(self) -> Json:
        """Return the member as in a league group."""
        return {"tag": self.tag, "name": self.name, "townHallLevel": self.town_hall}

    def card(self) -> Json:
        """Return the member as in the event of a changed line-up."""
        return {"tag": self.tag, "name": self.name, "town_hall": self.town_hall}


@dataclass(slots=True, eq=False)
class LeagueClan:
    """A clan of a league with its roster and its last line-up, which the next round starts with."""

    tag: str
    name: str
    level: int
    roster: list[RosterMember]
    lineup: list[RosterMember] = field(default_factory=list)

    def body(self) -> Json:
        """Return the clan as in a league group."""
        return {
            "tag": self.tag,
            "name": self.name,
            "clanLevel": self.level,
            "badgeUrls": badge_urls(self.tag),
            "members": [member.body() for member in self.roster],
        }

    def side(self) -> Side:
        """Return the clan with its line-up as a side of a war."""
        return Side(self.tag, self.name, self.level, [_fighter(member) for member in self.lineup])


@dataclass(slots=True, eq=False)
class LeagueWar:
    """A war of a round; ``number`` is the number of the round, starting at 1."""

    tag: str
    number: int
    war: War

    def body(self) -> Json:
        """Return the war as in the API, which has other terms than a regular war."""
        body = self.war.body()
        del body["attacksPerMember"], body["battleModifier"]
        return {**body, "warStartTime": body["startTime"]}

    def view(self, clan: str) -> War:
        """Return the war with the clan as ``clan``, on whichever side it is."""
        return self.war if self.war.clan.tag == clan else self.war.seen_by_opponent()

    def has(self, clan: str) -> bool:
        """Whether the clan fights in this war."""
        return clan in (self.war.clan.tag, self.war.opponent.tag)

    def replace(self, clan: str, old: RosterMember, new: RosterMember) -> None:
        """Replace a member of the clan's line-up."""
        fighters = self.view(clan).clan.fighters
        [place] = [index for index, fighter in enumerate(fighters) if fighter.tag == old.tag]
        fighters[place] = _fighter(new)


class Standing(NamedTuple):
    """The place of a clan in the group; ``stars`` include the bonus for each won war that has ended.

    ``destruction`` is the total of the best attack on each base, in percent.
    """

    position: int
    tag: str
    name: str
    stars: int
    destruction: int
    wins: int
    losses: int
    ties: int


class League:
    """A group of an even number of clans; each meets every other one.

    A round is drawn with ``draw_round``; the next one can be drawn and fought before its predecessor has ended.
    """

    def __init__(self, season: str, clans: Sequence[LeagueClan], team_size: int) -> None:
        self.clans = {clan.tag: clan for clan in clans}
        self.team_size = team_size
        self.season = season
        self.has_ended = False
        self.lists_tags = True
        self.drawn: list[list[LeagueWar]] = []
        self._pairs = _pairings([clan.tag for clan in clans])
        for clan in clans:
            clan.lineup = clan.roster[:team_size]

    @property
    def rounds(self) -> int:
        """The number of rounds."""
        return len(self._pairs)

    @property
    def is_decided(self) -> bool:
        """Whether all wars of all rounds have ended."""
        return len(self.drawn) == self.rounds and all(war.war.state == "warEnded" for war in self.wars())

    def wars(self) -> Iterator[LeagueWar]:
        """Yield the wars of all drawn rounds."""
        for wars in self.drawn:
            yield from wars

    def wars_of(self, clan: str) -> list[LeagueWar]:
        """Return the clan's own wars of the drawn rounds."""
        return [war for war in self.wars() if war.has(clan)]

    def body(self) -> Json:
        """Return the group as in the API."""
        tags = [[war.tag for war in wars] for wars in self.drawn] if self.lists_tags else []
        tags += [[_NO_TAG] * (len(self.clans) // 2)] * (self.rounds - len(tags))
        return {
            "state": self._state(),
            "season": self.season,
            "clans": [clan.body() for clan in self.clans.values()],
            "rounds": [{"warTags": names} for names in tags],
        }

    def draw_round(
        self, tags: Iterator[str], rng: random.Random, *, now: datetime, preparation: timedelta, battle: timedelta
    ) -> list[LeagueWar]:
        """Draw the wars of the next round, with the line-ups of the previous one."""
        if len(self.drawn) == self.rounds:
            raise ImpossibleError(f"all {self.rounds} rounds of the league are drawn: end them")
        start = now + preparation
        wars = [
            LeagueWar(
                next(tags),
                len(self.drawn) + 1,
                War(
                    preparation_start=now,
                    start=start,
                    end=start + battle,
                    clan=self.clans[clan].side(),
                    opponent=self.clans[opponent].side(),
                    attacks_per_member=_ATTACKS_PER_MEMBER,
                ),
            )
            for clan, opponent in self._pairs[len(self.drawn)]
        ]
        for war in wars:
            for side in (war.war.clan, war.war.opponent):
                rng.shuffle(side.fighters)
        self.drawn.append(wars)
        return wars

    def standings(self) -> list[Standing]:
        """Return the clans by stars, then destruction."""
        scores = sorted((self._score(tag) for tag in self.clans), key=lambda one: (-one.stars, -one.destruction))
        return [score._replace(position=position) for position, score in enumerate(scores, 1)]

    def stars_until(self, clan: str, number: int) -> int:
        """Return the clan's stars of the rounds up to ``number``, with the bonus for each won war that has ended."""
        return sum(stars_with_bonus(war.view(clan)) for war in self.wars_of(clan) if war.number <= number)

    def _score(self, clan: str) -> Standing:
        views = [war.view(clan) for war in self.wars_of(clan)]
        results: list[Result] = [view.result() for view in views if view.state == "warEnded"]
        return Standing(
            position=0,
            tag=clan,
            name=self.clans[clan].name,
            stars=sum(map(stars_with_bonus, views)),
            destruction=sum(view.clan.total_destruction(view.opponent) for view in views),
            wins=results.count("win"),
            losses=results.count("lose"),
            ties=results.count("tie"),
        )

    def _state(self) -> str:
        """Return the state in the API, which is ``preparation`` again in a gap between two battles."""
        if self.has_ended:
            return "ended"
        fights = any(war.war.state == "inWar" for war in self.wars())
        return "inWar" if fights or self.is_decided else "preparation"


def stars_with_bonus(view: War) -> int:
    """Return the stars of the side ``clan`` of a war, with the bonus if it has won."""
    stars, _ = view.clan.score(view.opponent)
    return stars + (BONUS if view.state == "warEnded" and view.result() == "win" else 0)


def draw_roster(players: Iterable[Player], rng: random.Random) -> list[RosterMember]:
    """Return players as a roster: the order is random, the positions are by town hall."""
    ranked = sorted(players, key=lambda player: -player.town_hall)
    roster = [
        RosterMember(player.tag, player.name, player.town_hall, position) for position, player in enumerate(ranked, 1)
    ]
    rng.shuffle(roster)
    return roster


def opposite(side: SideName) -> SideName:
    """Return the other side."""
    return "opponent" if side == "clan" else "clan"


def _pairings(tags: Sequence[str]) -> list[list[tuple[str, str]]]:
    """Return the pairs of each round, so that each clan meets every other one; the first one changes sides."""
    fixed, *others = tags
    rounds = []
    for number in range(len(others)):
        circle = [fixed, *others[number:], *others[:number]]
        pairs = [(circle[place], circle[-1 - place]) for place in range(len(circle) // 2)]
        rounds.append([pair[::-1] for pair in pairs] if number % 2 else pairs)
    return rounds


def _fighter(member: RosterMember) -> Fighter:
    return Fighter(member.tag, member.name, member.town_hall, member.position)
