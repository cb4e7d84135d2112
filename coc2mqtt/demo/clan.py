"""A clan: its state and its changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coc2mqtt.demo import catalogue
from coc2mqtt.demo.changes import ImpossibleError
from coc2mqtt.demo.player import ROLES, Player, draw_player
from coc2mqtt.demo.raid import Weekends
from coc2mqtt.demo.war import Side, War, WarLog, line_up, state_changed

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta

    from coc2mqtt.demo.changes import ExpectedEvent
    from coc2mqtt.demo.war import Result

Json = dict[str, Any]

_TEAM_SIZES = (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)
_HIGHEST_DRAWN_LEAGUE = 15
_DRAWN_CAPITAL_LEAGUE = 15
_HIGHEST_DRAWN_CAPITAL_HALL = 9
_CO_LEADER = ROLES.index("coLeader")


@dataclass(slots=True, eq=False)
class Clan:
    """A clan with its members, its current war, its war log and its raid weekends.

    Each change returns the events that must be published for it: those of the clan, then those of members. Without the
    tag of a member, a member for whom the change is possible is chosen at random. Raises ImpossibleError if there is
    none.
    """

    tag: str
    name: str
    level: int
    points: int
    builder_base_points: int
    capital_points: int
    capital_hall: int
    war_league: int
    win_streak: int
    wins: int
    ties: int
    losses: int
    labels: tuple[str, ...]
    war_log_public: bool
    members: list[Player]
    capital_league: int = _DRAWN_CAPITAL_LEAGUE
    war: War | None = None
    war_log: WarLog = field(default_factory=WarLog)
    raids: Weekends = field(default_factory=Weekends)

    def card(self) -> Json:
        """Return the clan as in a player of the API."""
        return {
            "tag": self.tag,
            "name": self.name,
            "clanLevel": self.level,
            "badgeUrls": catalogue.badge_urls(self.tag),
        }

    def body(self) -> Json:
        """Return the clan as in the API."""
        # The API omits lost and tied wars while the war log is private.
        record = {"warTies": self.ties, "warLosses": self.losses} if self.war_log_public else {}
        ranked = sorted(self.members, key=lambda member: -member.trophies)
        return {
            "tag": self.tag,
            "name": self.name,
            "type": "inviteOnly",
            "description": f"{self.name}: a clan that exists in this demo only.",
            "location": {"id": 32000006, "name": "International", "isCountry": False},
            "isFamilyFriendly": True,
            "badgeUrls": catalogue.badge_urls(self.tag),
            "clanLevel": self.level,
            "clanPoints": self.points,
            "clanBuilderBasePoints": self.builder_base_points,
            "clanCapitalPoints": self.capital_points,
            "capitalLeague": catalogue.capital_league(self.capital_league),
            "requiredTrophies": 1000,
            "warFrequency": "always",
            "warWinStreak": self.win_streak,
            "warWins": self.wins,
            **record,
            "isWarLogPublic": self.war_log_public,
            "warLeague": catalogue.war_league(self.war_league),
            "members": len(self.members),
            "memberList": [member.member_body(rank) for rank, member in enumerate(ranked, 1)],
            "labels": [catalogue.clan_label(name) for name in self.labels],
            "requiredBuilderBaseTrophies": 0,
            "requiredTownhallLevel": 10,
            "clanCapital": catalogue.capital(self.capital_hall),
            "chatLanguage": {"id": 75000000, "name": "English", "languageCode": "EN"},
        }

    def join(self, player: Player) -> list[ExpectedEvent]:
        """Add a player."""
        if len(self.members) >= catalogue.LARGEST_CLAN:
            raise ImpossibleError(f"{self.name} is full: let somebody leave first")
        self.members.append(player)
        return [_updated("members"), ("member_joined", {"member_tag": player.tag})]

    def leave(self, tag: str | None, rng: random.Random) -> list[ExpectedEvent]:
        """Remove a member, except the leader."""
        member = self._choose(tag, rng, "leave", lambda one: one.role != "leader")
        self.members.remove(member)
        return [_updated("members"), ("member_left", {"member_tag": member.tag})]

    def promote(self, tag: str | None, rng: random.Random) -> list[ExpectedEvent]:
        """Promote a member by one role, up to co-leader."""
        member = self._choose(tag, rng, "be promoted", lambda one: ROLES.index(one.role) < _CO_LEADER)
        return [_change_role(member, +1)]

    def demote(self, tag: str | None, rng: random.Random) -> list[ExpectedEvent]:
        """Demote a member by one role, except the leader."""
        member = self._choose(tag, rng, "be demoted", lambda one: one.role in ("admin", "coLeader"))
        return [_change_role(member, -1)]

    def donate(self, tag: str | None, amount: int, rng: random.Random) -> list[ExpectedEvent]:
        """Donate ``amount`` troops from one member to another."""
        if len(self.members) == 1:
            raise ImpossibleError(f"nobody in {self.name} can receive a donation: let somebody join first")
        giver = self._choose(tag, rng, "donate", lambda _: True)
        receiver = rng.choice([member for member in self.members if member is not giver])
        giver.donations += amount
        receiver.donations_received += amount
        given = {"member_tag": giver.tag, "donations": amount, "donationsReceived": 0}
        received = {"member_tag": receiver.tag, "donations": 0, "donationsReceived": amount}
        return [("member_donations", given), ("member_donations", received)]

    def reset_season(self) -> list[ExpectedEvent]:
        """Reset all donations to 0."""
        if not any(member.donations or member.donations_received for member in self.members):
            raise ImpossibleError(f"nobody in {self.name} has donated in this season: let somebody donate first")
        for member in self.members:
            member.donations = member.donations_received = 0
        return [("season_reset", {})]

    def rename_member(self, tag: str | None, rng: random.Random) -> list[ExpectedEvent]:
        """Give a member another name."""
        member = self._choose(tag, rng, "be renamed", lambda _: True)
        old = member.name
        while member.name == old:
            member.name = catalogue.player_name(rng)
        return [_member_updated(member, "name")]

    def upgrade_member_town_hall(self, tag: str | None, rng: random.Random) -> list[ExpectedEvent]:
        """Raise a member's town hall by one level."""
        member = self._choose(
            tag, rng, "upgrade the town hall", lambda one: one.town_hall < catalogue.HIGHEST_TOWN_HALL
        )
        member.upgrade_town_hall()
        return [_member_updated(member, "townHallLevel")]

    def gain_points(self, amount: int) -> list[ExpectedEvent]:
        """Add to ``clanPoints``."""
        self.points += amount
        return [_updated("clanPoints")]

    def set_war_log_public(self, public: bool) -> list[ExpectedEvent]:
        """Make the war log public or private, which also shows or hides lost and tied wars."""
        if self.war_log_public == public:
            raise ImpossibleError(f"the war log of {self.name} is {'public' if public else 'private'} already")
        self.war_log_public = public
        return [_updated("isWarLogPublic", "warLosses", "warTies")]

    def count_war(self, result: Result) -> list[ExpectedEvent]:
        """Count an ended war."""
        old_streak = self.win_streak
        self.win_streak = old_streak + 1 if result == "win" else 0
        if result == "win":
            self.wins += 1
            return [_updated("warWinStreak", "warWins")]
        streak = ["warWinStreak"] if old_streak else []
        if result == "tie":
            self.ties += 1
            return [_updated("warTies", *streak)]
        self.losses += 1
        return [_updated("warLosses", *streak)]

    def declare_war(
        self, rng: random.Random, tags: Iterator[str], *, now: datetime, preparation: timedelta, battle: timedelta
    ) -> list[ExpectedEvent]:
        """Start a war against a new opponent, as large as the members allow; a previous war counts as ended."""
        size = max((size for size in _TEAM_SIZES if size <= len(self.members)), default=0)
        if not size:
            raise ImpossibleError(f"{self.name} has fewer than {_TEAM_SIZES[0]} members: let somebody join first")
        opponents = [draw_player(rng, next(tags)) for _ in range(size)]
        old_state = "notInWar" if self.war is None else "warEnded"
        self.war = War(
            preparation_start=now,
            start=now + preparation,
            end=now + preparation + battle,
            clan=Side(self.tag, self.name, self.level, line_up(rng.sample(self.members, size), rng)),
            opponent=Side(next(tags), catalogue.clan_name(rng), rng.randint(5, 25), line_up(opponents, rng)),
        )
        return [("war_new", {"opponent_tag": self.war.opponent.tag}), state_changed(old_state, "preparation")]

    def level_up(self) -> list[ExpectedEvent]:
        """Reach the next level."""
        self.level += 1
        return [_updated("clanLevel"), ("clan_level_up", {"old_value": self.level - 1, "new_value": self.level})]

    def upgrade_capital_hall(self) -> list[ExpectedEvent]:
        """Upgrade the capital hall by one level."""
        if self.capital_hall >= catalogue.HIGHEST_CAPITAL_HALL:
            raise ImpossibleError(f"{self.name} has the highest capital hall already: choose another clan")
        self.capital_hall += 1
        values = {"old_value": self.capital_hall - 1, "new_value": self.capital_hall}
        return [_updated("clanCapital"), ("capital_hall_upgraded", values)]

    def change_capital_league(self, rng: random.Random) -> list[ExpectedEvent]:
        """Move one capital league up or down."""
        old = self.capital_league
        steps = rng.choice([step for step in (-1, 1) if 0 <= old + step < len(catalogue.CAPITAL_LEAGUES)])
        self.capital_league += steps
        details = _league_change(catalogue.capital_league(old), catalogue.capital_league(self.capital_league), steps)
        return [_updated("capitalLeague"), ("clan_capital_league_changed", details)]

    def promote_war_league(self, steps: int) -> list[ExpectedEvent]:
        """Move ``steps`` war leagues up, or down if negative; a clan without a league is seeded."""
        old, new = self.war_league, self.war_league + steps
        if not steps or not 0 <= new < len(catalogue.WAR_LEAGUES):
            league = catalogue.WAR_LEAGUES[old]
            raise ImpossibleError(f"{self.name} cannot move by {steps} from {league}: choose another number")
        self.war_league = new
        details = _league_change(catalogue.war_league(old), catalogue.war_league(new), steps)
        if old == 0:
            details["direction"] = "seeded"
        return [_updated("warLeague"), ("clan_war_league_changed", details)]

    def _choose(self, tag: str | None, rng: random.Random, deed: str, can: Callable[[Player], bool]) -> Player:
        candidates = [member for member in self.members if can(member) and tag in (None, member.tag)]
        if not candidates:
            who = "nobody" if tag is None else f"no member {tag}"
            raise ImpossibleError(f"{who} of {self.name} can {deed}: choose another member or clan")
        return rng.choice(candidates)


def draw_clan(rng: random.Random, tags: Iterator[str], members: list[Player], size: int) -> Clan:
    """Create a clan of these members and new ones, one of whom is the leader, up to ``size``."""
    everybody = members + [draw_player(rng, next(tags)) for _ in range(size - len(members))]
    everybody.sort(key=lambda member: -member.trophies)
    for rank, member in enumerate(everybody, 1):
        member.previous_rank = rank
    order = rng.sample(everybody, len(everybody))
    leader = next((one for one in order if one not in members), order[0])
    others = [one for one in order if one is not leader]
    leader.role = "leader"
    for number, member in enumerate(others):
        member.role = "coLeader" if number % 10 == 0 else "admin" if number % 3 == 0 else "member"
    return Clan(
        tag=next(tags),
        name=catalogue.clan_name(rng),
        level=rng.randint(5, 25),
        points=rng.randint(10_000, 45_000),
        builder_base_points=rng.randint(10_000, 40_000),
        capital_points=rng.randint(500, 3500),
        capital_hall=min(rng.randint(5, 10), _HIGHEST_DRAWN_CAPITAL_HALL),
        # A league allows a promotion and a demotion.
        war_league=rng.randint(1, _HIGHEST_DRAWN_LEAGUE),
        win_streak=rng.randint(0, 4),
        wins=rng.randint(20, 250),
        ties=rng.randint(0, 5),
        losses=rng.randint(20, 200),
        labels=tuple(rng.sample(catalogue.CLAN_LABELS, 3)),
        war_log_public=True,
        members=everybody,
    )


def _change_role(member: Player, step: int) -> ExpectedEvent:
    old = member.role
    member.role = ROLES[ROLES.index(old) + step]
    return "member_role_changed", {"member_tag": member.tag, "old_role": old, "new_role": member.role}


def _updated(*fields: str) -> ExpectedEvent:
    return "clan_updated", {"fields": sorted(fields)}


def _member_updated(member: Player, *fields: str) -> ExpectedEvent:
    return "member_updated", {"member_tag": member.tag, "fields": sorted(fields)}


def _league_change(old: Json, new: Json, steps: int) -> Json:
    return {
        **{f"old_{key}": old[key] for key in ("id", "name")},
        **{f"new_{key}": new[key] for key in ("id", "name")},
        "direction": "promoted" if steps > 0 else "demoted",
    }
