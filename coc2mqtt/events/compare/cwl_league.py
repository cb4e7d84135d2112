"""A clan war league: its clans, rounds and wars, and which of their changes were reported. Pure: no clock, no I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from coc2mqtt.events.compare.clan import UNRANKED_WAR_LEAGUE
from coc2mqtt.events.compare.war import attack_orders
from coc2mqtt.events.compare.war_history import ReportedWar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Json = dict[str, Any]

# The tag of a war that is not drawn yet.
_NOT_DRAWN = "#0"
STATE_ORDER = {"preparation": 0, "inWar": 1, "warEnded": 2}
# A leader changes a line-up a few times at most before a stale response can no longer show the earlier ones.
_MAX_LINEUPS = 6


class Side(NamedTuple):
    """The score of one clan in a war; None is unknown."""

    stars: int | None
    destruction: float | None


@dataclass(slots=True)
class LeagueWar:
    """A war of the group.

    ``clans`` are the tags of both clans and ``sides`` their scores in the same order. ``state`` is the last reported
    one. ``attacks`` counts those of both clans. ``end`` is the end of the battle in the API's format.
    ``reported.ended`` is whether the score is final. The last three fields are those of the clan's own war: its
    ``result`` once it is final, whether its end is not to be reported because it was over at first sight (``quiet``),
    and the digests of replaced line-ups, each with the Unix time at which it was replaced.
    """

    round: int
    clans: tuple[str, str]
    sides: tuple[Side, Side]
    state: str
    size: int | None
    attacks: int
    end: str | None
    reported: ReportedWar = field(default_factory=ReportedWar)
    result: str | None = None
    quiet: bool = False
    lineups: list[tuple[str, float]] = field(default_factory=list)

    @classmethod
    def from_body(cls, number: int, war: Json) -> Self:
        """Return the war of round ``number`` that a validated response shows."""
        state = war["state"] if war["state"] in STATE_ORDER else "preparation"
        new = cls(number, (war["clan"]["tag"], war["opponent"]["tag"]), _sides(war), state, None, 0, None)
        new.update(war)
        return new

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Return the war that ``to_json`` encoded."""
        reported = data["reported"]
        return cls(
            data["round"],
            (data["clans"][0], data["clans"][1]),
            (Side(*data["sides"][0]), Side(*data["sides"][1])),
            data["state"],
            data["size"],
            data["attacks"],
            data["end"],
            ReportedWar(set(reported["orders"]), reported["score"], reported["since"], reported["ended"]),
            data["result"],
            data["quiet"],
            [(digest, at) for digest, at in data["lineups"]],
        )

    def to_json(self) -> Json:
        """Return the war as JSON values."""
        reported = self.reported
        return {
            "round": self.round,
            "clans": list(self.clans),
            "sides": [list(side) for side in self.sides],
            "state": self.state,
            "size": self.size,
            "attacks": self.attacks,
            "end": self.end,
            "reported": {
                "orders": sorted(reported.orders),
                "score": reported.score,
                "since": reported.since,
                "ended": reported.ended,
            },
            "result": self.result,
            "quiet": self.quiet,
            "lineups": [list(entry) for entry in self.lineups],
        }

    def update(self, war: Json) -> None:
        """Take over the score and the end from a response about the war, but not its state."""
        by_tag = dict(zip((war["clan"]["tag"], war["opponent"]["tag"]), _sides(war), strict=True))
        self.sides = (by_tag.get(self.clans[0], self.sides[0]), by_tag.get(self.clans[1], self.sides[1]))
        self.size = war.get("teamSize", self.size)
        self.attacks = _count_attacks(war)
        self.end = war.get("endTime", self.end)

    def looks_older(self, war: Json, *, at: float, max_staleness: float) -> bool:
        """Return whether a response is older than an earlier one about the war.

        The state never goes back and attacks never disappear. A line-up that was replaced less than ``max_staleness``
        seconds before ``at`` (Unix time) may come from an old cache entry.
        """
        before, after = STATE_ORDER.get(self.state, 0), STATE_ORDER.get(war["state"], 0)
        if after < before or _count_attacks(war) < self.attacks or not attack_orders(war) >= self.reported.orders:
            return True
        shown = {lineup_digest(war[side]) for side in ("clan", "opponent")}
        return before == 0 and any(digest in shown and at - since < max_staleness for digest, since in self.lineups)

    def remember_lineup(self, side: Json, at: float) -> None:
        """Remember the line-up of a clan that was replaced ``at`` (Unix time)."""
        self.lineups = [*self.lineups, (lineup_digest(side), at)][-_MAX_LINEUPS:]

    def forget_lineups(self, sides: Iterable[Json]) -> None:
        """Forget the present line-ups of both clans, which are not replaced ones."""
        if self.lineups:
            present = {lineup_digest(side) for side in sides}
            self.lineups = [entry for entry in self.lineups if entry[0] not in present]

    def side_of(self, tag: str) -> Side:
        """Return the score of a clan."""
        return self.sides[self.clans.index(tag)]

    def result_of(self, tag: str) -> str | None:
        """Return win, lose or tie for a clan in an ended war, None before the end or if the final score is unknown."""
        own = self.clans.index(tag)
        ours, theirs = self.sides[own], self.sides[1 - own]
        if self.state != "warEnded" or self.result == "unknown" or None in ours or None in theirs:
            return None
        if ours == theirs:
            return "tie"
        return "win" if tuple(ours) > tuple(theirs) else "lose"


@dataclass(slots=True)
class League:
    """A clan war league of a clan.

    The league is identified by the tags of its clans and wars, because the name of a season occurs twice in a month and
    differs between groups. ``key`` stands for them. ``clans`` have ``tag``, ``name`` and ``level``. ``league`` is the
    clan's war league (``id`` and ``name``) when the group was first seen. ``rounds`` is the number of rounds, ``tags``
    the war tags of each drawn round, ``state`` that of the group. ``wars`` are the known wars by tag, ``members`` the
    totals of the clan's members in the final wars. Rounds up to ``silent_rounds`` were drawn at first sight. ``quiet``
    is whether the end is not to be reported, ``ended`` whether it was. ``gone`` is whether the API no longer shows the
    group, ``standings`` whether all wars of the group are polled. ``over_since`` is the Unix time in seconds since when
    the API shows that the league is over, or no longer shows the group; None before that.
    """

    key: str
    clans: list[Json]
    season: str | None
    league: Json | None
    rounds: int
    roster: int | None = None
    state: str = "preparation"
    tags: list[list[str]] = field(default_factory=list)
    wars: dict[str, LeagueWar] = field(default_factory=dict)
    members: dict[str, Json] = field(default_factory=dict)
    silent_rounds: int = 0
    quiet: bool = False
    ended: bool = False
    gone: bool = False
    standings: bool = False
    over_since: float | None = None

    @classmethod
    def from_group(cls, group: Json, tag: str, *, league: Json | None, first_sight: bool) -> Self:
        """Return the league that a group shows; at ``first_sight`` its rounds are not news."""
        clans = [{"tag": one["tag"], "name": one.get("name"), "level": one.get("clanLevel")} for one in group["clans"]]
        drawn = drawn_tags(group)
        identity = "-".join([*sorted(one["tag"] for one in clans), *sorted(next(iter(drawn), []))])
        roster = next((one.get("members") for one in group["clans"] if one["tag"] == tag), None)
        new = cls(
            hashlib.blake2b(identity.encode(), digest_size=8).hexdigest(),
            clans,
            group.get("season"),
            league,
            len(clans) - 1,
            None if roster is None else len(roster),
        )
        new.update(group)
        if first_sight:
            new.silent_rounds, new.quiet = len(new.tags), new.state == "ended"
        return new

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """Return the league that ``to_json`` encoded."""
        fields = {
            **data,
            # Copies, because the snapshot must not change.
            "tags": [list(tags) for tags in data["tags"]],
            "wars": {tag: LeagueWar.from_json(war) for tag, war in data["wars"].items()},
            "members": {tag: dict(total) for tag, total in data["members"].items()},
        }
        return cls(**fields)

    def to_json(self) -> Json:
        """Return the league as JSON values."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {**fields, "wars": {tag: war.to_json() for tag, war in self.wars.items()}}

    def update(self, group: Json) -> None:
        """Take over the state and newly drawn rounds. Known tags stay, because the API removes them after the end."""
        self.state, self.gone = group["state"], False
        self.season = group.get("season", self.season)
        for number, shown in enumerate(drawn_tags(group)):
            if number == len(self.tags):
                self.tags.append([])
            self.tags[number] += [tag for tag in shown if tag not in self.tags[number]]
        self.rounds = max(self.rounds, len(group["clans"]) - 1, len(self.tags))

    def is_shown_by(self, group: Json) -> bool:
        """Return whether a group is the one of this league: it has a war of it, or no other wars and its clans."""
        return is_same_group({one["tag"] for one in self.clans}, self.tags, group)

    def own_wars(self, tag: str) -> Iterator[tuple[str, LeagueWar]]:
        """Yield the tag of each known war of a clan and the war, by round."""
        found = [(war_tag, war) for war_tag, war in self.wars.items() if tag in war.clans]
        yield from sorted(found, key=lambda pair: pair[1].round)

    def round_of(self, war_tag: str) -> int | None:
        """Return the number of the round of a war, None if the war is not one of this league."""
        return next((number for number, tags in enumerate(self.tags, 1) if war_tag in tags), None)

    def unknown_tags(self, number: int, tag: str) -> list[str]:
        """Return the tags of a drawn round among which the clan's war must be; none if that war is known."""
        tags = self.tags[number - 1] if number <= len(self.tags) else []
        if any(tag in self.wars[one].clans for one in tags if one in self.wars):
            return []
        return [one for one in tags if one not in self.wars]

    def is_round_over(self, number: int, tag: str) -> bool:
        """Return whether the clan's result in a round is final, or the clan has no war in it."""
        own = next((war for _, war in self.own_wars(tag) if war.round == number), None)
        if own is not None:
            return own.reported.ended
        drawn = number <= len(self.tags) and bool(self.tags[number - 1])
        return drawn and not self.unknown_tags(number, tag)

    def set_over(self, at: float) -> None:
        """Remember at which Unix time the API showed first that the league is over; it may show it again later."""
        over = self.gone or self.state == "ended"
        # After a wall clock was set back, the time starts again.
        if not over or self.over_since is None or at < self.over_since:
            self.over_since = at if over else None

    @property
    def is_name_open(self) -> bool:
        """Whether the clan's league is not known yet.

        A clan without one gets it at its sign-up, but may show it later than the group. After the end, the clan may be
        in its next league.
        """
        if self.ended or self.state == "ended":
            return False
        unranked = self.league is not None and self.league.get("id") == UNRANKED_WAR_LEAGUE
        return self.league is None or (unranked and not any(war.reported.ended for war in self.wars.values()))

    def shift_times(self, jump: float) -> None:
        """Shift the stored times by the seconds by which the wall clock was set."""
        if jump:
            self.over_since = None if self.over_since is None else self.over_since + jump
            for war in self.wars.values():
                war.reported.since += jump
                war.lineups = [(digest, at + jump) for digest, at in war.lineups]


def drawn_tags(group: Json) -> list[list[str]]:
    """Return the war tags of each round of a group up to the last drawn one."""
    rounds = [[tag for tag in entry.get("warTags") or [] if tag != _NOT_DRAWN] for entry in group.get("rounds") or []]
    while rounds and not rounds[-1]:
        rounds.pop()
    return rounds


def is_same_group(clans: Iterable[str], tags: list[list[str]], group: Json) -> bool:
    """Return whether a group with these ``clans``, and with these war ``tags`` by round, is the one in a response."""
    pairs = [(known, shown) for known, shown in zip(tags, drawn_tags(group), strict=False) if known and shown]
    if pairs:
        return any(not set(known).isdisjoint(shown) for known, shown in pairs)
    return set(clans) == {one["tag"] for one in group["clans"]}


def lineup_digest(side: Json) -> str:
    """Return a digest of the members in a clan's line-up."""
    tags = sorted(member["tag"] for member in side.get("members") or [])
    return hashlib.blake2b("-".join(tags).encode(), digest_size=6).hexdigest()


def rank_positions(war: Json) -> Json:
    """Return a war in which each member's ``mapPosition`` is the place in the line-up, from 1 without gaps.

    In a clan war league the API's ``mapPosition`` is the place in the clan's roster.
    """
    ranked = dict(war)
    for name in ("clan", "opponent"):
        side = war.get(name) or {}
        members = side.get("members") or []
        placed = sorted(
            (member for member in members if member.get("mapPosition") is not None),
            key=lambda member: int(member["mapPosition"]),
        )
        places = {member["tag"]: place for place, member in enumerate(placed, 1)}
        ranked[name] = {
            **side,
            "members": [
                {**member, "mapPosition": places[member["tag"]]} if member["tag"] in places else member
                for member in members
            ],
        }
    return ranked


def are_attacks_used(war: Json) -> bool:
    """Return whether a response lists all attacks that the members of both clans can make: one each."""
    size: int | None = war.get("teamSize")
    return bool(size) and len(attack_orders(war)) >= 2 * (size or 0)


def _sides(war: Json) -> tuple[Side, Side]:
    first, second = (
        Side(war[side].get("stars"), war[side].get("destructionPercentage")) for side in ("clan", "opponent")
    )
    return first, second


def _count_attacks(war: Json) -> int:
    return max(len(attack_orders(war)), sum(war[side].get("attacks") or 0 for side in ("clan", "opponent")))
