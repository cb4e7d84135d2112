"""The summaries of the reminders of a clan and of the events of the clan games."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coc2mqtt.events.event import Event
    from coc2mqtt.translations import Language

_MAX_MINUTES = 90
_HOUR_MINUTES = 60


def war(event: Event, language: Language) -> str:
    """Describe the attacks left in a war or in a league round."""
    metadata, values = event.metadata, _reminder(event, language)
    opponent = metadata.get("opponent_name") or metadata.get("opponent_tag") or language.text("an unknown clan")
    return language.plural(
        "{clan}: {n} attack left against {opponent}, {time} before the end",
        "{clan}: {n} attacks left against {opponent}, {time} before the end",
        metadata.get("attacks_left"),
        **values,
        opponent=opponent,
    )


def raid(event: Event, language: Language) -> str:
    """Describe the members with attacks left in a raid weekend."""
    return language.plural(
        "{clan}: {n} member has raid attacks left, {time} before the end",
        "{clan}: {n} members have raid attacks left, {time} before the end",
        event.metadata.get("members"),
        **_reminder(event, language),
    )


def games(event: Event, language: Language) -> str:
    """Describe the members who have not reached the maximum of the clan games."""
    return language.plural(
        "{clan}: {n} member has fewer than {points} points in the clan games, {time} before the end",
        "{clan}: {n} members have fewer than {points} points in the clan games, {time} before the end",
        event.metadata.get("members"),
        **_reminder(event, language),
        points=language.number(event.metadata.get("max_points")),
    )


def games_points(event: Event, language: Language) -> str:
    """Describe the points that a member earned."""
    metadata = event.metadata
    return language.plural(
        "{member} of {clan} earned {n} point in the clan games: {points} in all",
        "{member} of {clan} earned {n} points in the clan games: {points} in all",
        metadata.get("gained"),
        member=metadata.get("member_name") or metadata.get("member_tag"),
        clan=event.name or event.tag,
        points=language.number(metadata.get("points")),
    )


def games_ended(event: Event, language: Language) -> str:
    """Describe the result of the clan games."""
    return language.plural(
        "The clan games of {clan} are over: {n} point",
        "The clan games of {clan} are over: {n} points",
        event.metadata.get("total"),
        clan=event.name or event.tag,
    )


def _reminder(event: Event, language: Language) -> dict[str, Any]:
    minutes = event.metadata.get("minutes_left") or 0
    if minutes <= _MAX_MINUTES and minutes != _HOUR_MINUTES:
        time = language.plural("{n} minute", "{n} minutes", minutes)
    else:
        time = language.plural("{n} hour", "{n} hours", round(minutes / _HOUR_MINUTES))
    return {"clan": event.name or event.tag, "time": time}
