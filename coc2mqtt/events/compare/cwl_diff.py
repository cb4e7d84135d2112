"""Compare the responses about a clan war league with the snapshot. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.clash.response import parse_unix_time
from coc2mqtt.events.compare import cwl_events
from coc2mqtt.events.compare.cwl_group import group_key, new_league, read_league, shows
from coc2mqtt.events.compare.cwl_league import STATE_ORDER, League, LeagueWar, are_attacks_used, rank_positions
from coc2mqtt.events.compare.cwl_standings import are_results_final
from coc2mqtt.events.compare.diff import CompareResult
from coc2mqtt.events.compare.war import attack_metadata, attack_orders, restore_missing_war_fields, war_sides
from coc2mqtt.events.compare.war_result import unknown_result, war_result, war_score
from coc2mqtt.events.event import Change, Event, EventType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

# Everything else about an ended league is waited for until this long after its last battle: wars of other clans, which
# end up to an hour later, and wars that the API does not return.
_MAX_WAIT_S = 7200.0
# Stale responses show the last league at most, but the one before costs nothing.
_MAX_PAST_LEAGUES = 2
_MAX_SHOWN = 3


class WarSighting(NamedTuple):
    """A validated response about a war, and the Unix time at which it was received.

    It may show the state of up to ``max_staleness`` seconds earlier.
    """

    war: Json
    at: float
    max_staleness: float = 0.0


class Sighting(NamedTuple):
    """The league group that a poll sees (None without one), and the wars that it fetched, by tag.

    ``missing`` are the tags of the wars that the API did not return. ``league`` is the clan's war league (``id`` and
    ``name``), ``standings`` whether all wars of the group are polled.
    """

    group: Json | None
    wars: dict[str, WarSighting]
    missing: frozenset[str] = frozenset()
    league: Json | None = None
    standings: bool = False


def compare_league(
    old: Snapshot | None, seen: Sighting, *, tag: str, at: float, clock_jump: float = 0.0
) -> CompareResult:
    """Compare a snapshot with the responses of a poll; without a snapshot (or its data) there are no events.

    ``at`` is the Unix time in seconds of the events. ``clock_jump`` are the seconds by which the wall clock was set
    since the snapshot. Each attack, each end of a round and the end of a league is reported once. The end of a round is
    reported once its score is final. If another league has replaced an unfinished one, that one is finished first.
    """
    memo, data = (None, None) if old is None else (old.memo, old.data)
    first_sight = data is None
    memo = {} if memo is None or first_sight else memo
    league = read_league(memo)
    past, shown = list(memo.get("past", [])), [[key, since + clock_jump] for key, since in memo.get("shown", [])]
    diff = _LeagueDiff((data or {}).get("wars", {}), seen, tag, at)
    if league is not None:
        league.shift_times(clock_jump)
        if shows(seen.group, league):
            league.update(seen.group or {})
        else:
            league.gone = True
        diff.process(league)
    new = new_league(memo, league, seen.group, tag, seen.league, first_sight=first_sight)
    if new is not None and (league is None or league.ended):
        if league is not None:
            past.append({"key": league.key, "clans": [one["tag"] for one in league.clans], "tags": league.tags[:1]})
        league = new
        diff.start(league, silent=first_sight)
    after: Json = {"past": past[-_MAX_PAST_LEAGUES:]} if past else {}
    if league is not None:
        after["league"] = league.to_json()
    before = None if first_sight else group_key(memo, (data or {}).get("group"))
    if before is not None and before != group_key(after, seen.group):
        shown.append([before, at])
    if shown:
        after["shown"] = shown[-_MAX_SHOWN:]
    wars = {} if league is None else diff.kept_wars(league)
    events = [] if first_sight else diff.events
    return CompareResult(events, {"group": seen.group, "wars": wars}, after, final=diff.is_final(league))


@dataclass(slots=True)
class _LeagueDiff:
    """Builds the events of one comparison; the leagues and ``events`` are updated in place.

    ``old_wars`` are the accepted responses about the clan's wars, ``bodies`` those after this comparison.
    """

    old_wars: dict[str, Json]
    seen: Sighting
    tag: str
    at: float
    events: list[Event] = field(default_factory=list)
    bodies: dict[str, Json] = field(default_factory=dict)

    def start(self, league: League, *, silent: bool) -> None:
        """Report a new league and its drawn rounds."""
        first = next((one for one in self._fetched(league) if one[1] == 1 and self._is_own(one[2].war)), None)
        # Of an ended league without rounds nothing can be reported: it may have ended months ago.
        league.quiet = league.quiet or (league.state == "ended" and not league.tags)
        if not silent and not league.quiet:
            self._add_of_league(EventType.CWL_STARTED, league, cwl_events.started(league, first and first[2].war))
        self.process(league)
        own = [war for _, war in league.own_wars(self.tag)]
        if silent and own and own[-1].round == league.rounds and own[-1].quiet:
            # The group may show its end later than its last war.
            league.quiet = True

    def process(self, league: League) -> None:
        """Report the news of a league."""
        league.standings = self.seen.standings
        league.set_over(self.at)
        new = set()
        for war_tag, number, sighting in self._fetched(league):
            if war_tag not in league.wars:
                league.wars[war_tag] = LeagueWar.from_body(number, sighting.war)
                new.add(war_tag)
            if not self._is_own(sighting.war):
                _update_other_war(league.wars[war_tag], sighting)
        if league.is_name_open and self.seen.league is not None:
            league.league = self.seen.league
        for war_tag, war in league.own_wars(self.tag):
            if war_tag in self.seen.wars and not war.reported.ended:
                self._report_war(league, war_tag, war, self.seen.wars[war_tag], is_new=war_tag in new)
            elif war_tag in self.old_wars:
                self.bodies[war_tag] = self.old_wars[war_tag]
            if not war.reported.ended and (war_tag in self.seen.missing or self._is_stuck(league, war)):
                self._give_up(league, war_tag, war)
        self._report_end(league)

    def kept_wars(self, league: League) -> Json:
        """Return the responses about the clan's wars to keep: of the last two drawn rounds, and without a result."""
        if league.ended and (self.seen.group is None or not self.seen.group.get("clans")):
            return {}
        return {
            war_tag: self.bodies[war_tag]
            for war_tag, war in league.own_wars(self.tag)
            if war_tag in self.bodies and (war.round > len(league.tags) - 2 or not war.reported.ended)
        }

    def is_final(self, league: League | None) -> bool:
        """Return whether only another response can bring news, and not the time."""
        if league is None or league.ended:
            return True
        polled = [war for war in league.wars.values() if league.standings or self.tag in war.clans]
        unsettled = any(war.state == "warEnded" and not war.reported.ended for war in polled)
        return not unsettled and not self.seen.missing and league.over_since is None and not self._is_over(league)

    def _fetched(self, league: League) -> Iterator[tuple[str, int, WarSighting]]:
        for war_tag, sighting in self.seen.wars.items():
            number = league.round_of(war_tag)
            if number is not None:
                yield war_tag, number, sighting

    def _is_own(self, war: Json) -> bool:
        return self.tag in (war["clan"]["tag"], war["opponent"]["tag"])

    def _report_war(self, league: League, war_tag: str, war: LeagueWar, sighting: WarSighting, *, is_new: bool) -> None:
        before = self.old_wars.get(war_tag, {})
        body = _complete_lineups(before, restore_missing_war_fields(before, sighting.war, self.tag), self.tag)
        self.bodies[war_tag] = body
        war.update(body)
        ended = body["state"] == "warEnded"
        if is_new:
            if war.round <= league.silent_rounds:
                war.quiet, war.reported.orders = ended, attack_orders(body)
            else:
                war.state = "preparation"
                self._add(EventType.CWL_ROUND_NEW, league, war_tag, body, cwl_events.round_terms(league, body))
        elif war.state == "preparation":
            self._report_lineups(league, war_tag, war, before, body)
        # Attacks happen after a war has started and before it has ended, so their place among the events differs.
        if ended:
            self._report_attacks(league, war_tag, war, body)
        self._report_state(league, war_tag, war, body)
        if not ended:
            self._report_attacks(league, war_tag, war, body)
        elif _record_score(war, body, war_score(body, self.tag), sighting):
            self._report_result(league, war_tag, war, body, war_result(body, self.tag, observed=True))

    def _report_lineups(self, league: League, war_tag: str, war: LeagueWar, before: Json, after: Json) -> None:
        sides = zip(("clan", "opponent"), war_sides(before, self.tag), war_sides(after, self.tag), strict=True)
        for side, was, now in sides:
            metadata = cwl_events.lineup_change(was, now)
            if metadata is not None:
                war.remember_lineup(was, self.at)
                self._add(EventType.CWL_LINEUP_CHANGED, league, war_tag, after, {"side": side, **metadata})
        war.forget_lineups(war_sides(after, self.tag))

    def _report_state(self, league: League, war_tag: str, war: LeagueWar, body: Json) -> None:
        before, after = war.state, body["state"]
        if STATE_ORDER.get(after, 0) <= STATE_ORDER.get(before, 0):
            return  # the state of a war never goes back
        war.state = after
        self._add(
            EventType.CWL_ROUND_STATE_CHANGED,
            league,
            war_tag,
            body,
            {"war_state_from": before, "war_state_to": after},
            changes=(Change("state", before, after),),
        )

    def _report_attacks(self, league: League, war_tag: str, war: LeagueWar, body: Json) -> None:
        orders = attack_orders(body)
        if orders <= war.reported.orders:
            return
        ranked = rank_positions(body)
        for metadata in attack_metadata(ranked, own=war_sides(ranked, self.tag)[0]):
            if metadata["order"] not in war.reported.orders:
                self._add(EventType.CWL_ATTACK_NEW, league, war_tag, body, metadata)
        war.reported.orders |= orders

    def _is_stuck(self, league: League, war: LeagueWar) -> bool:
        """Return whether the API has not shown the end of a war, although the league has been over for long."""
        return war.state != "warEnded" and league.over_since is not None and self.at - league.over_since >= _MAX_WAIT_S

    def _give_up(self, league: League, war_tag: str, war: LeagueWar) -> None:
        """Report the end of a war that the API no longer returns, or whose end it never shows, without a result."""
        end = parse_unix_time(war.end)
        if end is not None and self.at - end < _MAX_WAIT_S:
            return
        clans = dict(zip(("clan", "opponent"), ({"tag": one} for one in war.clans), strict=True))
        body = self.old_wars.get(war_tag, clans)
        war.state = "warEnded"
        # It shows a war that is not over.
        self.bodies.pop(war_tag, None)
        self._report_result(league, war_tag, war, body, unknown_result(body, self.tag))

    def _report_result(self, league: League, war_tag: str, war: LeagueWar, body: Json, result: Json) -> None:
        war.reported.ended, war.result = True, result["result"]
        if result["result"] != "unknown":
            cwl_events.add_totals(league, war_sides(body, self.tag)[0])
        if not war.quiet:
            metadata = {**result, **cwl_events.score_after(league, war, self.tag)}
            self._add(EventType.CWL_ROUND_ENDED, league, war_tag, body, metadata)

    def _report_end(self, league: League) -> None:
        if league.ended or not self._is_over(league):
            return
        unknown = self._unknown_wars(league)
        if unknown - self.seen.missing:
            return  # they are fetched by a later poll
        complete = self._is_complete(league)
        awaited = not complete or (league.standings and not are_results_final(league))
        ends = [parse_unix_time(war.end) for _, war in league.own_wars(self.tag)]
        last_end = max((end for end in ends if end is not None), default=0.0)
        if not complete and league.over_since is not None and not self._is_replaced(league):
            # The group may be shown again, with the rounds that are left.
            last_end = max(last_end, league.over_since)
        if awaited and 0 <= self.at - last_end < _MAX_WAIT_S:
            return
        league.ended = True
        if not league.quiet:
            self._add_of_league(EventType.CWL_ENDED, league, cwl_events.ended(league, self.tag, complete=complete))

    def _is_replaced(self, league: League) -> bool:
        """Return whether the API shows another group."""
        return league.gone and self.seen.group is not None and bool(self.seen.group.get("clans"))

    def _unknown_wars(self, league: League) -> set[str]:
        """Return the tags of the drawn wars that are needed and were never seen."""
        if league.standings:
            return {war_tag for tags in league.tags for war_tag in tags if war_tag not in league.wars}
        numbers = range(1, len(league.tags) + 1)
        return {war_tag for number in numbers for war_tag in league.unknown_tags(number, self.tag)}

    def _is_complete(self, league: League) -> bool:
        numbers = range(1, league.rounds + 1)
        return bool(numbers) and all(league.is_round_over(number, self.tag) for number in numbers)

    def _is_over(self, league: League) -> bool:
        """Return whether no more rounds of the clan can end."""
        if self._is_complete(league):
            return True
        own = [war for _, war in league.own_wars(self.tag)]
        return (league.gone or league.state == "ended") and all(war.reported.ended for war in own)

    def _add(
        self,
        event_type: EventType,
        league: League,
        war_tag: str,
        war: Json,
        metadata: Json,
        *,
        changes: tuple[Change, ...] = (),
    ) -> None:
        own, other = war_sides(war, self.tag)
        identity = {
            "season": league.season,
            "round": league.wars[war_tag].round,
            "war_id": war_tag,
            "opponent_tag": other.get("tag"),
            "opponent_name": other.get("name"),
        }
        self.events.append(
            Event(
                event_type,
                self.tag,
                timestamp=self.at,
                old_data=self.old_wars.get(war_tag),
                new_data=war,
                changes=changes,
                metadata={**identity, **metadata},
                name=own.get("name"),
            )
        )

    def _add_of_league(self, event_type: EventType, league: League, metadata: Json) -> None:
        name = next((one["name"] for one in league.clans if one["tag"] == self.tag), None)
        metadata = {"season": league.season, **metadata}
        new = self.seen.group
        self.events.append(Event(event_type, self.tag, timestamp=self.at, new_data=new, metadata=metadata, name=name))


def _record_score(war: LeagueWar, body: Json, score: list[Any], sighting: WarSighting) -> bool:
    """Record the score of an ended war and return whether it is final: at once if no attack is left."""
    end = parse_unix_time(war.end)
    is_final = war.reported.record_score(score, end=end, at=sighting.at, max_staleness=sighting.max_staleness)
    return is_final or are_attacks_used(body)


def _update_other_war(war: LeagueWar, sighting: WarSighting) -> None:
    """Take over the score of a war of other clans."""
    if war.reported.ended:
        return
    body = sighting.war
    war.update(body)
    if STATE_ORDER.get(body["state"], 0) > STATE_ORDER.get(war.state, 0):
        war.state = body["state"]
    if war.state == "warEnded":
        score = [*(list(side) for side in war.sides), war.attacks]
        war.reported.ended = _record_score(war, body, score, sighting)


def _complete_lineups(before: Json, after: Json, tag: str) -> Json:
    """Return a war in preparation with the last known line-up of a clan of which a response lacks members."""
    if before.get("state") != "preparation":
        return after
    for side in ("clan", "opponent"):
        members = (after.get(side) or {}).get("members") or []
        known = next((one for one in war_sides(before, tag) if one.get("tag") == after[side]["tag"]), {})
        if len(members) < len(known.get("members") or []):
            after = {**after, side: {**after[side], "members": known["members"]}}
    return after
