"""The metadata of the events of a clan war league. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coc2mqtt.clash.response import api_time
from coc2mqtt.events.compare.cwl_standings import (
    WIN_BONUS,
    are_results_final,
    clan_score,
    position_of,
    standings,
)

if TYPE_CHECKING:
    from coc2mqtt.events.compare.cwl_league import League, LeagueWar

Json = dict[str, Any]

_BONUS = {"win": WIN_BONUS, "lose": 0, "tie": 0}


def started(league: League, war: Json | None) -> Json:
    """Return the metadata of ``cwl_started``; ``war`` is the clan's war in the first round, None if unknown."""
    known, war = league.league or {}, war or {}
    return {
        "league_id": known.get("id"),
        "league_name": known.get("name"),
        "clans": league.clans,
        "team_size": war.get("teamSize"),
        "rounds": league.rounds,
        "roster_size": league.roster,
        "first_battle_at": api_time(war.get("startTime")),
    }


def round_terms(league: League, war: Json) -> Json:
    """Return the metadata of ``cwl_round_new``."""
    return {
        "rounds": league.rounds,
        "team_size": war.get("teamSize"),
        "preparation_start_at": api_time(war.get("preparationStartTime")),
        "start_at": api_time(war.get("startTime")),
        "end_at": api_time(war.get("endTime")),
    }


def lineup_change(before: Json, after: Json) -> Json | None:
    """Return the metadata of ``cwl_lineup_changed`` for one side, None if its line-up is the same or unknown."""
    old, new = ({one["tag"]: one for one in side.get("members") or []} for side in (before, after))
    if not old or not new or old.keys() == new.keys():
        return None
    return {
        "added": [_lineup_member(member) for tag, member in new.items() if tag not in old],
        "removed": [_lineup_member(member) for tag, member in old.items() if tag not in new],
    }


def score_after(league: League, war: LeagueWar, tag: str) -> Json:
    """Return the metadata that ``cwl_round_ended`` adds to the result of a war of the clan ``tag``."""
    score = clan_score(league, tag, rounds=war.round)
    over = all(league.is_round_over(number, tag) for number in range(1, war.round + 1))
    known = over and score.is_known and all(one.result != "unknown" for _, one in league.own_wars(tag))
    return {
        "bonus_stars": _BONUS.get(str(war.result)),
        "total_stars": score.stars if known else None,
        "position": position_of(tag, standings(league, rounds=war.round)),
    }


def add_totals(league: League, side: Json) -> None:
    """Add the attacks of the clan in an ended war to the totals of its members."""
    for member in side.get("members") or []:
        attacks = member.get("attacks") or []
        total = league.members.setdefault(
            member["tag"], {"name": None, "stars": 0, "destruction": 0, "attacks": 0, "missed": 0}
        )
        total["name"] = member.get("name") or total["name"]
        total["stars"] += sum(attack.get("stars") or 0 for attack in attacks)
        total["destruction"] += sum(attack.get("destructionPercentage") or 0 for attack in attacks)
        total["attacks"] += len(attacks)
        total["missed"] += not attacks


def ended(league: League, tag: str, *, complete: bool) -> Json:
    """Return the metadata of ``cwl_ended`` for the clan ``tag``."""
    score = clan_score(league, tag)
    results = [war.result for _, war in league.own_wars(tag)]
    table = standings(league) if complete and are_results_final(league) else ()
    members = [{"tag": one, **total} for one, total in league.members.items()]
    best = sorted(members, key=lambda one: (-one["stars"], -one["destruction"], one["tag"]))
    missed = sorted(members, key=lambda one: (-one["missed"], one["tag"]))
    return {
        "position": position_of(tag, table),
        "clans": len(league.clans),
        "won": results.count("win"),
        "lost": results.count("lose"),
        "tied": results.count("tie"),
        "stars": score.stars,
        "destruction": score.destruction,
        "attacks": sum(one["attacks"] for one in members),
        "missed": sum(one["missed"] for one in members),
        "members_missed": [{key: one[key] for key in ("tag", "name", "missed")} for one in missed if one["missed"]],
        "top_members": [
            {key: one[key] for key in ("tag", "name", "stars", "destruction", "attacks")}
            for one in best
            if one["attacks"]
        ],
        "complete": complete and "unknown" not in results,
    }


def _lineup_member(member: Json) -> Json:
    return {"tag": member["tag"], "name": member.get("name"), "town_hall": member.get("townhallLevel")}
