"""The league group that a response shows, compared with the snapshot. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.events.compare.cwl_league import League, is_same_group

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

# The rounds before the last two drawn ones are over. If they are unknown, about this many requests for them are made in
# one poll, so that a first poll does not delay the polls of other resources.
_MAX_LATE_REQUESTS = 12


class Plan(NamedTuple):
    """The tags of the wars to fetch.

    ``refresh`` are those of known wars whose score is not final. Each entry of ``search`` are the wars of one round to
    fetch in order, until the clan's own one is found or, for the standings, all of them. ``is_complete`` is whether no
    round was left for a later poll.
    """

    refresh: list[str]
    search: list[list[str]]
    is_complete: bool


def plan_requests(league: League, tag: str, *, standings: bool) -> Plan:
    """Return which wars of a league have to be fetched. A war whose score is final never changes again."""
    refresh = [
        war_tag for war_tag, war in league.wars.items() if not war.reported.ended and (standings or tag in war.clans)
    ]
    search, left, is_complete = [], _MAX_LATE_REQUESTS, True
    for number in range(len(league.tags), 0, -1):
        unknown = league.unknown_tags(number, tag)
        if standings:
            unknown = [war_tag for war_tag in league.tags[number - 1] if war_tag not in league.wars]
        if number <= len(league.tags) - 2:
            left -= len(unknown)
        if left < 0:
            is_complete = False
        elif unknown:
            search.append(unknown)
    return Plan(refresh, search, is_complete)


def group_looks_older(old: Snapshot, group: Json | None, *, at: float, max_staleness: float) -> bool:
    """Return whether a group may be older than the snapshot's.

    An unfinished league does not disappear, and a group that was replaced less than ``max_staleness`` seconds before
    ``at`` (Unix time) may come from an old cache entry. A league that is seen for the first time cannot be old.
    """
    before, after = group_key(old.memo, (old.data or {}).get("group")), group_key(old.memo, group)
    if after in (before, None):
        return False
    league = read_league(old.memo)
    if league is not None and league.key == before and not league.ended:
        return True
    return any(key == after and at - since < max_staleness for key, since in old.memo.get("shown", []))


def read_league(memo: Json) -> League | None:
    """Return the league in a snapshot's memo."""
    return League.from_json(memo["league"]) if "league" in memo else None


def leagues_to_poll(
    memo: Json, group: Json | None, tag: str, *, first_sight: bool
) -> tuple[League | None, League | None]:
    """Return the league in the memo and the new league that a group shows, each if some of its wars may be news."""
    league = read_league(memo)
    if league is not None and shows(group, league):
        league.update(group or {})
    new = new_league(memo, league, group, tag, None, first_sight=first_sight)
    return (None if league is None or league.ended else league), new


def shows(group: Json | None, league: League) -> bool:
    """Return whether a group is the one of a league."""
    return group is not None and bool(group.get("clans")) and league.is_shown_by(group)


def new_league(
    memo: Json, league: League | None, group: Json | None, tag: str, name: Json | None, *, first_sight: bool
) -> League | None:
    """Return the league of a group that was never seen before, else None."""
    if group is None or not group.get("clans") or (league is not None and league.is_shown_by(group)):
        return None
    if any(is_same_group(one["clans"], one["tags"], group) for one in memo.get("past", [])):
        return None
    # After the end the clan may be in its next league already.
    return League.from_group(group, tag, league=None if group["state"] == "ended" else name, first_sight=first_sight)


def group_key(memo: Json, group: Json | None) -> str | None:
    """Return a key for no league, for the search for one, or for a known league; None for an unknown league."""
    if group is None or not group.get("clans"):
        return "none" if group is None else "searching"
    league = read_league(memo)
    if league is not None and league.is_shown_by(group):
        return league.key
    return next((one["key"] for one in memo.get("past", []) if is_same_group(one["clans"], one["tags"], group)), None)


def is_unfinished(league: League, group: Json | None) -> bool:
    """Return whether a group shows another league than one that has not ended."""
    return not league.ended and group is not None and bool(group.get("clans")) and not league.is_shown_by(group)
