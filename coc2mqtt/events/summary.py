"""One sentence for each event, to be shown to a person as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coc2mqtt.events.event import EventType

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.events.event import Event

# The game shows the role `admin` as Elder (and `coLeader` with a hyphen).
_ROLES = {"member": "member", "admin": "elder", "coLeader": "co-leader", "leader": "leader"}
_WAR_STATES = {
    "notInWar": "is not in a war",
    "preparation": "is preparing for war",
    "inWar": "is in battle",
    "warEnded": "has finished its war",
}
_RESULTS = {"win": "won", "lose": "lost", "tie": "tied"}


def summarize(event: Event) -> str:
    """Return one English sentence, without a full stop, that says what happened to whom."""
    return _SENTENCES[event.event_type](event, event.name or event.tag, event.metadata)


def _member(_: Event, name: str, meta: dict[str, Any]) -> str:
    return f"{meta.get('member_name') or meta.get('member_tag')} of {name}"


def _fields(event: Event) -> str:
    names = [change.field for change in event.changes]
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown  # noqa: PLR2004 - what fits a sentence


def _updated(event: Event, name: str, _: dict[str, Any]) -> str:
    if len(event.changes) == 1:
        change = event.changes[0]
        if not isinstance(change.old_value, dict | list) and not isinstance(change.new_value, dict | list):
            if change.old_value is None:
                return f"{name}: {change.field} is {change.new_value} now"
            if change.new_value is None:
                return f"{name}: {change.field} is no longer {change.old_value}"
            return f"{name}: {change.field} changed from {change.old_value} to {change.new_value}"
    return f"{name}: {_fields(event)} changed"


def _member_updated(event: Event, name: str, meta: dict[str, Any]) -> str:
    return _updated(event, _member(event, name, meta), meta)


def _role(event: Event, name: str, meta: dict[str, Any]) -> str:
    role = str(meta.get("new_role"))
    shown = _ROLES.get(role, role)
    if meta.get("direction") is None:
        return f"{_member(event, name, meta)} has the role {shown} now"
    return f"{_member(event, name, meta)} was {meta['direction']} to {shown}"


def _donations(event: Event, name: str, meta: dict[str, Any]) -> str:
    verbs = {"donations": "donated", "donationsReceived": "received"}
    parts = [(verb, meta[key]) for key, verb in verbs.items() if meta.get(key)]
    figures = [f"{verb} {amount}" for verb, amount in parts[:-1]]
    figures += [f"{verb} {_count(amount, 'troop')}" for verb, amount in parts[-1:]]
    return f"{_member(event, name, meta)} {' and '.join(figures)}"


def _opponent(meta: dict[str, Any]) -> str:
    return meta.get("opponent_name") or meta.get("opponent_tag") or "an unknown clan"


def _against(meta: dict[str, Any]) -> str:
    return f" against {_opponent(meta)}" if meta.get("opponent_name") or meta.get("opponent_tag") else ""


def _war_new(_: Event, name: str, meta: dict[str, Any]) -> str:
    return f"{name} is at war with {_opponent(meta)}"


def _war_state(_: Event, name: str, meta: dict[str, Any]) -> str:
    state = str(meta.get("war_state_to"))
    against = "" if state == "notInWar" else _against(meta)
    return f"{name} {_WAR_STATES.get(state, f'is in the war state {state}')}{against}"


def _attack(_: Event, name: str, meta: dict[str, Any]) -> str:
    whose = name if meta.get("side") == "clan" else _opponent(meta)
    stars, destruction = meta.get("stars"), meta.get("destruction")
    figures = [] if stars is None else [_count(stars, "star")]
    figures += [] if destruction is None else [f"{destruction} %"]
    return (
        f"{meta.get('attacker_name') or meta.get('attacker_tag')} of {whose} attacked "
        f"{meta.get('defender_name') or meta.get('defender_tag')}{': ' if figures else ''}{', '.join(figures)}"
    )


def _war_ended(_: Event, name: str, meta: dict[str, Any]) -> str:
    against = _against(meta)
    if meta.get("result") == "cancelled":
        return f"{name}'s war{against} was cancelled before the battle"
    verb = _RESULTS.get(str(meta.get("result")))
    if verb is None:
        return f"{name}'s war{against} has ended, its result was not seen"
    stars, others = meta.get("stars"), meta.get("opponent_stars")
    if stars is None or others is None:
        return f"{name} {verb} its war{against}"
    score = f"{_count(stars, 'star')} to {others}"
    if stars == others and verb != "tied":
        score += (
            f" and {_percent(meta.get('destruction'))} to {_percent(meta.get('opponent_destruction'))} % destruction"
        )
    return f"{name} {verb} its war{against}, {score}"


def _percent(value: object) -> object:
    return round(value, 2) if isinstance(value, float) else value


def _unit(_: Event, name: str, meta: dict[str, Any]) -> str:
    if meta.get("old_level") is None:
        return f"{name} unlocked {meta.get('name')} at level {meta.get('new_level')}"
    return f"{name} upgraded {meta.get('name')} to level {meta.get('new_level')}"


def _season(_: Event, name: str, meta: dict[str, Any]) -> str:
    return f"A new season has begun: {name} donated {_count(meta.get('season_donations'), 'troop')} in the last one"


def _worn(_: Event, name: str, meta: dict[str, Any]) -> str:
    verbs = {"added": "wears", "removed": "put away"}
    parts = [f"{verb} {' and '.join(meta[key])}" for key, verb in verbs.items() if meta.get(key)]
    return f"{meta.get('name')} of {name} {' and '.join(parts)}"


def _war_preference(_: Event, name: str, meta: dict[str, Any]) -> str:
    wish = {"in": "wants to fight", "out": "does not want to fight"}.get(str(meta.get("new_value")))
    return f"{name} {wish} in wars now" if wish else f"{name} has the war preference {meta.get('new_value')} now"


def _moved(verb: str) -> Callable[[Event, str, dict[str, Any]], str]:
    return lambda _, name, meta: f"{name} {verb} {meta.get('clan_name') or meta.get('clan_tag')}"


def _league(_: Event, name: str, meta: dict[str, Any]) -> str:
    old, new = meta.get("old_value"), meta.get("new_value")
    if old is None or new is None:
        return f"{name} is in {new or 'no league'} now"
    return f"{name} moved from {old} to {new}"


def _labels(_: Event, name: str, meta: dict[str, Any]) -> str:
    labels = ", ".join(meta.get("new_value") or [])
    return f"{name} is labelled {labels} now" if labels else f"{name} has no labels now"


def _maintenance_end(_: Event, __: str, meta: dict[str, Any]) -> str:
    seconds = meta.get("duration_seconds") or 0
    amount, unit = (round(seconds), "second") if seconds < 90 else (round(seconds / 60), "minute")  # noqa: PLR2004
    return f"The maintenance of Clash of Clans is over after {_count(amount, unit)}"


def _count(number: object, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _said(text: str) -> Callable[[Event, str, dict[str, Any]], str]:
    return lambda _, name, meta: text.format_map({"name": name, **{f"m_{key}": value for key, value in meta.items()}})


_SENTENCES: dict[EventType, Callable[[Event, str, dict[str, Any]], str]] = {
    EventType.CLAN_UPDATED: _updated,
    EventType.MEMBER_JOINED: _said("{m_member_name} joined {name}"),
    EventType.MEMBER_LEFT: _said("{m_member_name} left {name}"),
    EventType.MEMBER_UPDATED: _member_updated,
    EventType.MEMBER_ROLE_CHANGED: _role,
    EventType.MEMBER_DONATIONS: _donations,
    EventType.WAR_STATE_CHANGED: _war_state,
    EventType.WAR_ATTACK_NEW: _attack,
    EventType.PLAYER_UPDATED: _updated,
    EventType.TROOP_UPGRADED: _unit,
    EventType.SPELL_UPGRADED: _unit,
    EventType.HERO_UPGRADED: _unit,
    EventType.HERO_EQUIPMENT_UPGRADED: _unit,
    EventType.TOWNHALL_UPGRADED: _said("{name} upgraded the town hall to level {m_new_value}"),
    EventType.BUILDERHALL_UPGRADED: _said("{name} upgraded the builder hall to level {m_new_value}"),
    EventType.PLAYER_NAME_CHANGED: _said("{m_old_value} is called {m_new_value} now"),
    EventType.PLAYER_LEAGUE_CHANGED: _league,
    EventType.PLAYER_LABEL_CHANGED: _labels,
    EventType.MAINTENANCE_START: _said("Clash of Clans is in maintenance"),
    EventType.MAINTENANCE_END: _maintenance_end,
    EventType.POLL_ERROR: _said("{name} cannot be polled: {m_message}"),
    EventType.WAR_NEW: _war_new,
    EventType.WAR_ENDED: _war_ended,
    EventType.WAR_LOG_PRIVATE: _said("The war log of {name} is private now"),
    EventType.WAR_LOG_PUBLIC: _said("The war log of {name} is public now"),
    EventType.WATCH_UNAVAILABLE: _said("{name} cannot be found"),
    EventType.WATCH_AVAILABLE: _said("{name} can be found again"),
    EventType.API_DENIED: _said("The Clash of Clans API refuses the token: {m_message}"),
    EventType.API_RESTORED: _said("The Clash of Clans API answers again"),
    EventType.SEASON_RESET: _season,
    EventType.TOWNHALL_WEAPON_UPGRADED: _said("{name} upgraded the town hall's weapon to level {m_new_value}"),
    EventType.SUPER_TROOP_STARTED: _said("{name} boosted {m_name}"),
    EventType.SUPER_TROOP_ENDED: _said("{m_name} of {name} is not boosted any more"),
    EventType.HERO_EQUIPMENT_CHANGED: _worn,
    EventType.PLAYER_WAR_PREFERENCE_CHANGED: _war_preference,
    EventType.PLAYER_CLAN_JOINED: _moved("joined"),
    EventType.PLAYER_CLAN_LEFT: _moved("left"),
    EventType.ACHIEVEMENT_COMPLETED: _said("{name} completed {m_name}"),
}
