"""Mark events that only repeat what other events of the same response report. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from coc2mqtt.events.event import Change, Event, EventType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Json = dict[str, Any]
    # Returns the type of the event that explains a change, None if none of the events does.
    Explain = Callable[[Event, Change, Sequence[Event]], EventType | None]

_DONATIONS = ("donations", "donationsReceived")
_HALLS = (EventType.TOWNHALL_UPGRADED, EventType.BUILDERHALL_UPGRADED)
_CAPITAL_PEAK_ID = 70_000_000
_LEAGUE_GROUP = frozenset(
    {"currentLeagueGroupTag", "currentLeagueSeasonId", "previousLeagueGroupTag", "previousLeagueSeasonId"}
)


def mark_secondary(events: list[Event], *, follow_up: EventType | None = None) -> list[Event]:
    """Return the events of one response in the same order, with the secondary ones marked.

    An event is secondary if other events explain all of its changes. ``caused_by`` in its metadata is then the type of
    the event that explains the first one. If other events explain only some of the changes, the event is not secondary,
    and ``explained_fields`` in its metadata lists the fields of these changes. ``follow_up`` is the type of an event
    that another poll will cause, about the player's league group.
    """
    # Most responses that change anything cause a single event.
    return events if len(events) == 1 and follow_up is None else [_mark(event, events, follow_up) for event in events]


def _mark(event: Event, events: Sequence[Event], follow_up: EventType | None) -> Event:
    explain = _EXPLANATIONS.get(event.event_type)
    if explain is None:
        return event
    causes = {
        change.field: follow_up if change.field in _LEAGUE_GROUP else explain(event, change, events)
        for change in event.changes
    }
    explained = {field: cause for field, cause in causes.items() if cause is not None}
    if not explained:
        return event
    mark: Json = {"explained_fields": list(explained)}
    if len(explained) == len(causes):
        mark = {"caused_by": next(iter(explained.values())).value}
    return replace(event, metadata={**event.metadata, **mark})


def _explain_clan(_: Event, change: Change, events: Sequence[Event]) -> EventType | None:
    """Explain a new member count by the members who joined and left, and other changes by their own events."""
    old, new = change.old_value, change.new_value
    own = {event.event_type: event for event in events}
    cause = _CLAN_CAUSES.get(change.field)
    if cause is not None:
        return cause if cause in own else None
    hall = own.get(EventType.CAPITAL_HALL_UPGRADED)
    if change.field == "clanCapital.districts" and hall is not None and _is_peak_of(hall, change):
        return hall.event_type
    if change.field != "members" or not isinstance(old, int) or not isinstance(new, int):
        return None
    joined, left = (
        sum(event.event_type is one for event in events) for one in (EventType.MEMBER_JOINED, EventType.MEMBER_LEFT)
    )
    if new - old != joined - left:
        return None
    return EventType.MEMBER_JOINED if new > old else EventType.MEMBER_LEFT


def _is_peak_of(hall: Event, change: Change) -> bool:
    """Return whether the only changed district is the capital peak, now with the level of this capital hall."""
    old, new = change.old_value, change.new_value
    if not isinstance(old, list) or not isinstance(new, list):
        return False
    level = hall.metadata["new_value"]
    return new == [
        {**one, "districtHallLevel": level} if isinstance(one, dict) and one.get("id") == _CAPITAL_PEAK_ID else one
        for one in old
    ]


def _explain_war_state(event: Event, change: Change, events: Sequence[Event]) -> EventType | None:
    """Explain the preparation by the declaration of the same war, and a war that is over by its end."""
    causes = {"preparation": EventType.WAR_NEW, "warEnded": EventType.WAR_ENDED, "notInWar": EventType.WAR_ENDED}
    cause, war = causes.get(str(change.new_value)), event.metadata.get("war_id")
    return next((cause for one in events if one.event_type is cause and one.metadata.get("war_id") == war), None)


def _explain_round_state(event: Event, change: Change, events: Sequence[Event]) -> EventType | None:
    """Explain a round that is over by its end."""
    cause, war = EventType.CWL_ROUND_ENDED, event.metadata.get("war_id")
    ended = any(one.event_type is cause and one.metadata.get("war_id") == war for one in events)
    return cause if ended and change.new_value == "warEnded" else None


def _explain_player(_: Event, change: Change, events: Sequence[Event]) -> EventType | None:
    """Explain the role and donations by a new clan, and other changes by the events about the same progress."""
    types = {event.event_type for event in events}
    joined, left = EventType.PLAYER_CLAN_JOINED in types, EventType.PLAYER_CLAN_LEFT in types
    if (joined or left) and (
        (change.field == "role" and change.new_value == ("member" if joined else None))
        or (change.field in _DONATIONS and change.new_value == 0)
    ):
        return EventType.PLAYER_CLAN_JOINED if joined else EventType.PLAYER_CLAN_LEFT
    if change.field == "clanCapitalContributions":
        return EventType.CAPITAL_CONTRIBUTION if EventType.CAPITAL_CONTRIBUTION in types else None
    if change.field != "achievements":
        return None
    return next((one.event_type for one in events if _is_progress_of(one, change)), None)


def _is_progress_of(cause: Event, change: Change) -> bool:
    """Return whether the only changes of achievements are values that are this hall's level, or contributions."""
    if cause.event_type not in (*_HALLS, EventType.CAPITAL_CONTRIBUTION):
        return False
    old, new = change.old_value, change.new_value
    if not isinstance(old, list) or not isinstance(new, list) or len(old) != len(new):
        return False
    before, after = ([one for one in own if one not in other] for own, other in ((old, new), (new, old)))
    (reported,) = cause.changes
    return len(before) == len(after) > 0 and all(
        (was.get("value"), now.get("value")) == (reported.old_value, reported.new_value)
        and _without_value(was) == _without_value(now)
        for was, now in zip(before, after, strict=True)
    )


def _without_value(achievement: Json) -> Json:
    return {key: value for key, value in achievement.items() if key not in ("value", "completionInfo")}


_CLAN_CAUSES = {
    "clanLevel": EventType.CLAN_LEVEL_UP,
    "clanCapital.capitalHallLevel": EventType.CAPITAL_HALL_UPGRADED,
    "capitalLeague.id": EventType.CLAN_CAPITAL_LEAGUE_CHANGED,
    "capitalLeague.name": EventType.CLAN_CAPITAL_LEAGUE_CHANGED,
    "warLeague.id": EventType.CLAN_WAR_LEAGUE_CHANGED,
    "warLeague.name": EventType.CLAN_WAR_LEAGUE_CHANGED,
}
_EXPLANATIONS: dict[EventType, Explain] = {
    EventType.CLAN_UPDATED: _explain_clan,
    EventType.WAR_STATE_CHANGED: _explain_war_state,
    EventType.CWL_ROUND_STATE_CHANGED: _explain_round_state,
    EventType.PLAYER_UPDATED: _explain_player,
}
