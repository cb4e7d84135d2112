"""The changes of clan war leagues."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from coc2mqtt.demo import catalogue
from coc2mqtt.demo.changes import ImpossibleError
from coc2mqtt.demo.league import (
    BONUS,
    TEAM_SIZES,
    League,
    LeagueClan,
    draw_roster,
    opposite,
    stars_with_bonus,
)
from coc2mqtt.demo.player import draw_player
from coc2mqtt.demo.world_base import WorldBase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from coc2mqtt.demo.changes import Changes, ExpectedEvent
    from coc2mqtt.demo.league import LeagueWar, RosterMember, Standing
    from coc2mqtt.demo.war import SideName, War

Json = dict[str, Any]

# The preparation starts with the battle of the previous round, which lasts as long.
PREPARATION = BATTLE = timedelta(hours=24)
_CLANS = 8
_SUBSTITUTES = 4


class LeagueChanges(WorldBase):
    """A world whose clans play clan war leagues.

    A league does not depend on the regular wars of its clans. Every change of a round changes all of its wars, and has
    events for each clan to watch that it affects. The default ``number`` of a change is the first round in the required
    state, because the battles of two rounds can overlap.
    """

    def league_standings(self, clan: str) -> list[Standing]:
        """Return the standings of the clan's present group, best first."""
        return self._league(clan).standings()

    def sign_up(self, clan: str) -> Changes:
        """Sign up for a league: the group is being searched. This has no event, like any change without one below."""
        if self._leagues.is_searching(clan):
            raise ImpossibleError(f"{self._population.watched_clan(clan).name} has signed up already: start the league")
        self._require_no_league(clan)
        self._leagues.search(clan)
        return self._record("cwl", clan, [])

    def start_league(
        self,
        clan: str,
        *,
        clans: int = _CLANS,
        also: Sequence[str] = (),
        team_size: int | None = None,
        preparation: timedelta = PREPARATION,
        battle: timedelta = BATTLE,
    ) -> Changes:
        """Start a league in a group of ``clans`` clans, an even number, and draw its first round.

        The clans to watch in ``also`` are in the same group. The times are those of the first round.
        ``team_size`` is one of TEAM_SIZES that leaves substitutes in each of these clans, None for the largest one.
        """
        watched = [self._population.watched_clan(tag) for tag in (clan, *also)]
        for one in watched:
            self._require_no_league(one.tag)
        smallest = min(watched, key=lambda one: len(one.members))
        sizes = [size for size in TEAM_SIZES if size < len(smallest.members) and team_size in (None, size)]
        if not sizes:
            least = TEAM_SIZES[0] if team_size is None else team_size
            raise ImpossibleError(f"{smallest.name} has no more than {least} members: let somebody join first")
        size = sizes[-1]
        rng = self._league_rng
        entered = [LeagueClan(one.tag, one.name, one.level, draw_roster(one.members, rng)) for one in watched]
        while len(entered) < clans:
            entered.append(self._draw_rival(size, names={one.name for one in entered}))
        # The first clan changes sides in each round.
        others = rng.sample(entered[1:], len(entered) - 1)
        league = League(f"{self._now():%Y-%m-%d}", [entered[0], *others], size)
        self._leagues.add(league, [one.tag for one in watched])
        changes: Changes = []
        for one in watched:
            details = {
                "season": league.season,
                "league_name": catalogue.war_league(one.war_league)["name"],
                "rounds": league.rounds,
                "team_size": size,
                "roster_size": len(one.members),
            }
            changes += self._record("cwl", one.tag, [("cwl_started", details)])
        return changes + self._draw_round(league, preparation, battle)

    def draw_round(self, clan: str, preparation: timedelta = PREPARATION, battle: timedelta = BATTLE) -> Changes:
        """Draw the wars of the next round: their preparation starts."""
        return self._draw_round(self._league(clan), preparation, battle)

    def change_lineup(self, clan: str, side: SideName = "clan", number: int | None = None) -> Changes:
        """Replace a member in the line-up of the clan or its opponent in a round in preparation."""
        league, war = self._league_war(clan, "preparation", number)
        changed = war.view(clan).clan.tag if side == "clan" else war.view(clan).opponent.tag
        team = league.clans[changed]
        fighting = {fighter.tag for fighter in war.view(changed).clan.fighters}
        old = self._league_rng.choice([member for member in team.roster if member.tag in fighting])
        new = self._league_rng.choice([member for member in team.roster if member.tag not in fighting])
        war.replace(changed, old, new)
        # The next round, which may be drawn already, keeps its own line-up.
        team.lineup = [new if member is old else member for member in team.lineup]
        return self._at_league_war(
            league,
            war,
            lambda tag, _: [("cwl_lineup_changed", _replaced(old, new, side if tag == clan else opposite(side)))],
        )

    def start_league_battle(self, clan: str, number: int | None = None) -> Changes:
        """Start the battle of a round."""
        league, own = self._league_war(clan, "preparation", number)
        wars = league.drawn[own.number - 1]
        for war in wars:
            war.war.start_battle()
        return self._at_league_wars(league, wars, lambda _, __: [_state_changed("preparation", "inWar")])

    def league_attack(self, clan: str, side: SideName | None = None, number: int | None = None) -> Changes:
        """Make an attack by the clan or its opponent (None: either), and one in each other war of the round."""
        league, own = self._league_war(clan, "inWar", number)
        changes = self._league_attack(league, own, self._on_map(own, clan, side))
        for war in league.drawn[own.number - 1]:
            if war is not own and war.war.has_attacks_left():
                changes += self._league_attack(league, war, None)
        return changes

    def shift_league_war(self, clan: str, by: timedelta, number: int | None = None) -> Changes:
        """Shift the end of a round's battle, as a maintenance does."""
        league, own = self._league_war(clan, "inWar", number)
        wars = league.drawn[own.number - 1]
        for war in wars:
            war.war.end += by
        return self._at_league_wars(league, wars, lambda _, __: [])

    def end_league_battle(self, clan: str, number: int | None = None) -> Changes:
        """End the battle of a round; the end of the last one decides the league."""
        league, own = self._league_war(clan, "inWar", number)
        wars = league.drawn[own.number - 1]
        for war in wars:
            war.war.finish()

        def events(tag: str, war: LeagueWar) -> list[ExpectedEvent]:
            return [_state_changed("inWar", "warEnded"), ("cwl_round_ended", _result(league, war, tag))]

        changes = self._at_league_wars(league, wars, events)
        if league.is_decided:
            for tag in self._watched(league):
                changes += self._record("cwl", tag, [("cwl_ended", _totals(league, tag))])
        return changes

    def end_league(self, clan: str) -> Changes:
        """End the decided league: the group shows its end."""
        league = self._league(clan)
        if not league.is_decided or league.has_ended:
            raise ImpossibleError("the league has ended already" if league.has_ended else "rounds are left: end them")
        league.has_ended = True
        return self._touch_league(league)

    def hide_league_tags(self, clan: str) -> Changes:
        """Replace the tags of all wars in the ended group by ``#0``, as the API does some time after its end."""
        league = self._ended_league(clan)
        league.lists_tags = False
        return self._touch_league(league)

    def leave_league(self, clan: str) -> Changes:
        """Leave the ended group, which the clan then no longer shows; its wars stay available."""
        self._ended_league(clan)
        self._leagues.leave(clan)
        return self._record("cwl", clan, [])

    def promote_war_league(self, clan: str, steps: int = 1) -> Changes:
        """Promote the clan by ``steps`` war leagues, or demote it by a negative number of them."""
        return self._record("clan", clan, self._population.watched_clan(clan).promote_war_league(steps))

    def _draw_rival(self, size: int, names: Collection[str]) -> LeagueClan:
        rng = self._league_rng
        players = [draw_player(rng, next(self._tags)) for _ in range(size + _SUBSTITUTES)]
        name = catalogue.clan_name(rng)
        while name in names:
            name = catalogue.clan_name(rng)
        return LeagueClan(next(self._tags), name, rng.randint(5, 25), draw_roster(players, rng))

    def _draw_round(self, league: League, preparation: timedelta, battle: timedelta) -> Changes:
        wars = league.draw_round(self._tags, self._league_rng, now=self._now(), preparation=preparation, battle=battle)
        self._leagues.add_wars(wars)
        terms = {"season": league.season, "rounds": league.rounds, "team_size": league.team_size}
        return self._at_league_wars(league, wars, lambda _, __: [("cwl_round_new", terms)])

    def _league_attack(self, league: League, war: LeagueWar, side: SideName | None) -> Changes:
        [(_, details)] = war.war.attack(side, self._league_rng)
        attacker = details["attacker_tag"]

        def events(tag: str, war: LeagueWar) -> list[ExpectedEvent]:
            view = war.view(tag)
            own = any(fighter.tag == attacker for fighter in view.clan.fighters)
            return [
                ("cwl_attack_new", {**details, **_positions(war.war, details), "side": "clan" if own else "opponent"})
            ]

        return self._at_league_war(league, war, events)

    def _on_map(self, war: LeagueWar, clan: str, side: SideName | None) -> SideName | None:
        """Return the side as in the war's body, where the clan can be either."""
        return opposite(side) if side is not None and war.war.clan.tag != clan else side

    def _league(self, clan: str) -> League:
        name = self._population.watched_clan(clan).name
        league = self._leagues.league(clan)
        if league is None:
            raise ImpossibleError(f"{name} is not in a league: start one first")
        return league

    def _ended_league(self, clan: str) -> League:
        league = self._league(clan)
        if not league.has_ended:
            raise ImpossibleError("the league has not ended: end it first")
        return league

    def _require_no_league(self, clan: str) -> None:
        name, league = self._population.watched_clan(clan).name, self._leagues.league(clan)
        if league is not None and not league.has_ended:
            raise ImpossibleError(f"{name} is in a league already: end it first")

    def _league_war(self, clan: str, state: str, number: int | None) -> tuple[League, LeagueWar]:
        league = self._league(clan)
        for war in league.wars_of(clan):
            if war.war.state == state and number in (None, war.number):
                return league, war
        which = "no round" if number is None else f"round {number} of the league is not"
        raise ImpossibleError(f"{which} in {state}: choose another round, or change its state first")

    def _watched(self, league: League) -> list[str]:
        return [tag for tag in league.clans if tag in self.clan_tags]

    def _touch_league(self, league: League) -> Changes:
        for tag in self._watched(league):
            self._record("cwl", tag, [])
        return []

    def _at_league_war(
        self, league: League, war: LeagueWar, events: Callable[[str, LeagueWar], list[ExpectedEvent]]
    ) -> Changes:
        return self._at_league_wars(league, [war], events)

    def _at_league_wars(
        self, league: League, wars: Iterable[LeagueWar], events: Callable[[str, LeagueWar], list[ExpectedEvent]]
    ) -> Changes:
        """Record the events of each war for its clans to watch, and a changed group for the others."""
        self._touch_league(league)
        changes: Changes = []
        for war in wars:
            self._log.touch("league_war", war.tag)
            for tag in (one for one in self._watched(league) if war.has(one)):
                about = {"round": war.number, "war_id": war.tag, "opponent_tag": war.view(tag).opponent.tag}
                new = [(event_type, {**about, **details}) for event_type, details in events(tag, war)]
                changes += self._record("cwl", tag, new)
        return changes


def _state_changed(old: str, new: str) -> ExpectedEvent:
    return "cwl_round_state_changed", {"war_state_from": old, "war_state_to": new}


def _replaced(old: RosterMember, new: RosterMember, side: SideName) -> Json:
    return {"side": side, "added": [new.card()], "removed": [old.card()]}


def _positions(war: War, attack: Json) -> Json:
    """Return the positions on the war map: the ranks of the attacker and the defender in their line-ups."""
    ranks = {}
    for side in (war.clan, war.opponent):
        ranked = sorted(side.fighters, key=lambda fighter: fighter.position)
        ranks.update({fighter.tag: rank for rank, fighter in enumerate(ranked, 1)})
    return {f"{who}_position": ranks[attack[f"{who}_tag"]] for who in ("attacker", "defender")}


def _result(league: League, war: LeagueWar, clan: str) -> Json:
    view = war.view(clan)
    (stars, _), (against, _) = view.clan.score(view.opponent), view.opponent.score(view.clan)
    attacks = view.clan.attack_count
    return {
        "result": view.result(),
        "observed": True,
        "stars": stars,
        "opponent_stars": against,
        "attacks": attacks,
        "attacks_left": league.team_size - attacks,
        "bonus_stars": BONUS if view.result() == "win" else 0,
        "total_stars": league.stars_until(clan, war.number),
    }


def _totals(league: League, clan: str) -> Json:
    views = [war.view(clan) for war in league.wars_of(clan)]
    results = [view.result() for view in views]
    attacks = sum(view.clan.attack_count for view in views)
    return {
        "season": league.season,
        "clans": len(league.clans),
        "won": results.count("win"),
        "lost": results.count("lose"),
        "tied": results.count("tie"),
        "stars": sum(map(stars_with_bonus, views)),
        "attacks": attacks,
        "missed": league.team_size * league.rounds - attacks,
        "complete": True,
    }
