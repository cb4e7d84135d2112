"""The summary of an event: one English sentence to show to people, with readable names of fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coc2mqtt.events.event import Change, Event

# Returns the summary of an event; the text is the name of its clan or player, or the tag if there is none.
Sentence = Callable[["Event", str], str]

# The game calls the role `admin` Elder, and writes `coLeader` with a hyphen.
_ROLES = {"member": "member", "admin": "elder", "coLeader": "co-leader", "leader": "leader"}
_WAR_STATES = {
    "notInWar": "is not in a war",
    "preparation": "is preparing for war",
    "inWar": "is in battle",
    "warEnded": "has finished its war",
}
_WAR_RESULTS = {"win": "won", "lose": "lost", "tie": "tied"}
# Fields whose values are keys of the API instead of texts for people.
_FIELDS_WITH_KEYS = frozenset({"type", "warFrequency", "warPreference"})
# Only field names that splitting the key does not make readable.
_FIELD_NAMES = {
    "badgeUrls": "badge",
    "clanBuilderBasePoints": "builder base points",
    "clanCapitalContributions": "capital contributions",
    "clanCapitalPoints": "capital points",
    "donationsReceived": "received donations",
    "expLevel": "experience level",
    "isFamilyFriendly": "family friendly",
    "isWarLogPublic": "public war log",
    "leagueTier": "league",
    "memberList": "members",
    "members": "member count",
    "playerHouse": "clan house",
    "requiredTownhallLevel": "required town hall level",
}
# Keys inside an object that identify, name or depict it: the path then has the name of the object.
_PARTS_OF_OBJECTS = frozenset(
    {
        *("countryCode", "elements", "iconUrls", "id", "isCountry", "languageCode", "name"),
        *("tiny", "small", "medium", "large"),
    }
)
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MAX_FIELDS = 3
_MAX_SECONDS = 90


def summarize(event: Event) -> str:
    """Return one English sentence, without a full stop, that describes the event."""
    return event.event_type.sentence(event, event.name or event.tag)


def template(text: str) -> Sentence:
    """Return a sentence with placeholders for metadata and for the name of the clan or player, ``{subject}``."""
    return lambda event, subject: text.format_map({**event.metadata, "subject": subject})


def fields_changed(event: Event, subject: str) -> str:
    """Describe a single change with its values, and name the fields of several."""
    changes: dict[str, Change] = {}
    for change in (one for one in event.changes if one.field not in event.metadata.get("explained_fields", ())):
        name = _field_name(change.field)
        # An object is described by its name.
        if name not in changes or change.field.endswith(".name"):
            changes[name] = change
    if len(changes) == 1:
        ((name, change),) = changes.items()
        if description := _single_change(name, change):
            return f"{subject}: {description}"
    names = list(changes) or ["something"]
    more = len(names) - _MAX_FIELDS
    listed = _join([*names[:_MAX_FIELDS], f"{more} more"] if more > 0 else names)
    return f"{subject}: {listed} changed"


def member_fields_changed(event: Event, subject: str) -> str:
    """Describe the changes of a member."""
    return fields_changed(event, _member(event, subject))


def role_changed(event: Event, subject: str) -> str:
    """Describe a promotion or demotion."""
    role = str(event.metadata.get("new_role"))
    shown = _ROLES.get(role, role)
    direction = event.metadata.get("direction")
    return f"{_member(event, subject)} {f'was {direction} to' if direction else 'now has the role'} {shown}"


def donated(event: Event, subject: str) -> str:
    """Describe the donated and received troops."""
    verbs = {"donations": "donated", "donationsReceived": "received"}
    parts = [(verb, event.metadata[key]) for key, verb in verbs.items() if event.metadata.get(key)]
    texts = [f"{verb} {_number(amount)}" for verb, amount in parts[:-1]]
    texts += [f"{verb} {_count(amount, 'troop')}" for verb, amount in parts[-1:]]
    return f"{_member(event, subject)} {_join(texts)}"


def season_reset(event: Event, subject: str) -> str:
    """Describe the end of a season."""
    troops = _count(event.metadata.get("season_donations"), "troop")
    return f"A new season started: {subject} donated {troops} in the last one"


def war_declared(event: Event, subject: str) -> str:
    """Describe a new war."""
    return f"{subject} is at war with {_opponent(event.metadata)}"


def war_state_changed(event: Event, subject: str) -> str:
    """Describe the new state of a war."""
    state = str(event.metadata.get("war_state_to"))
    against = "" if state == "notInWar" else _against(event.metadata)
    return f"{subject} {_WAR_STATES.get(state, f'is in the war state {_split_words(state)}')}{against}"


def attacked(event: Event, subject: str) -> str:
    """Describe an attack in a war."""
    metadata = event.metadata
    clan = subject if metadata.get("side") == "clan" else _opponent(metadata)
    stars, destruction = metadata.get("stars"), metadata.get("destruction")
    result = [] if stars is None else [_count(stars, "star")]
    result += [] if destruction is None else [f"{_percent(destruction)}%"]
    return (
        f"{metadata.get('attacker_name') or metadata.get('attacker_tag')} of {clan} attacked "
        f"{metadata.get('defender_name') or metadata.get('defender_tag')}{': ' if result else ''}{', '.join(result)}"
    )


def war_ended(event: Event, subject: str) -> str:
    """Describe the result of a war."""
    metadata = event.metadata
    against = _against(metadata)
    if metadata.get("result") == "cancelled":
        return f"{subject}'s war{against} was cancelled before the battle"
    verb = _WAR_RESULTS.get(str(metadata.get("result")))
    if verb is None:
        return f"{subject}'s war{against} ended, but its result is unknown"
    stars, opponent_stars = metadata.get("stars"), metadata.get("opponent_stars")
    if stars is None or opponent_stars is None:
        return f"{subject} {verb} its war{against}"
    score = f"{_count(stars, 'star')} to {opponent_stars}"
    if stars == opponent_stars and verb != "tied":
        own, other = _percent(metadata.get("destruction")), _percent(metadata.get("opponent_destruction"))
        score += f" and {own}% to {other}% destruction"
    return f"{subject} {verb} its war{against}, {score}"


def unit_upgraded(event: Event, subject: str) -> str:
    """Describe an upgraded or unlocked unit."""
    verb, to = ("unlocked", "at") if event.metadata.get("old_level") is None else ("upgraded", "to")
    return f"{subject} {verb} {event.metadata.get('name')} {to} level {event.metadata.get('new_level')}"


def equipment_changed(event: Event, subject: str) -> str:
    """Describe the changed equipment of a hero."""
    verbs = {"added": "equipped", "removed": "unequipped"}
    parts = [f"{verb} {_join(event.metadata[key])}" for key, verb in verbs.items() if event.metadata.get(key)]
    return f"{subject}'s {event.metadata.get('name')} {_join(parts)}"


def league_changed(event: Event, subject: str) -> str:
    """Describe a player's new league."""
    old, new = event.metadata.get("old_value"), event.metadata.get("new_value")
    if old is None or new is None:
        return f"{subject} is now in {new}" if new else f"{subject} is no longer in a league"
    return f"{subject} moved from {old} to {new}"


def labels_changed(event: Event, subject: str) -> str:
    """Describe a player's new labels."""
    labels = event.metadata.get("new_value")
    if not labels:
        return f"{subject} no longer has any labels"
    return f"{subject} now has the label{'s' if len(labels) > 1 else ''} {_join(labels)}"


def war_preference_changed(event: Event, subject: str) -> str:
    """Describe a player's new war preference."""
    value = event.metadata.get("new_value")
    verb = {"in": "opted in to", "out": "opted out of"}.get(str(value))
    return f"{subject} {verb} clan wars" if verb else f"{subject} now has the war preference {value}"


def joined_clan(event: Event, subject: str) -> str:
    """Describe a player who joined a clan."""
    return f"{subject} joined {event.metadata.get('clan_name') or event.metadata.get('clan_tag')}"


def left_clan(event: Event, subject: str) -> str:
    """Describe a player who left a clan."""
    return f"{subject} left {event.metadata.get('clan_name') or event.metadata.get('clan_tag')}"


def maintenance_ended(event: Event, _: str) -> str:
    """Describe the end of a maintenance."""
    seconds = event.metadata.get("duration_seconds") or 0
    duration = _count(round(seconds), "second") if seconds < _MAX_SECONDS else _count(round(seconds / 60), "minute")
    return f"Clash of Clans maintenance ended after {duration}"


def _single_change(name: str, change: Change) -> str | None:
    """Return the change with its values, None if they mean nothing to people."""
    old, new = (_display(change.field, value) for value in (change.old_value, change.new_value))
    if not _is_displayable(change.field) or old is None or new is None or old == new:
        return None
    if not old:
        return f"{name} is now {new}"
    if not new:
        return f"{name} is no longer {old}"
    verb = "changed"
    if _is_number(change.old_value) and _is_number(change.new_value):
        verb = "rose" if change.new_value > change.old_value else "fell"
    return f"{name} {verb} from {old} to {new}"


def _display(field: str, value: object) -> str | None:
    """Return a value as text, empty if there is no value, None if it is a list or an object without a name."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if _is_number(value):
        return _number(value)
    if isinstance(value, dict):
        value = value.get("name")
    if not isinstance(value, str):
        return None
    if field == "role":
        return _ROLES.get(value, value)
    return _split_words(value) if field in _FIELDS_WITH_KEYS else value


def _field_name(path: str) -> str:
    """Return a readable name: ``clan points`` for ``clanPoints``, ``war league`` for ``warLeague.name``."""
    key = path
    for part in path.split("."):
        if part not in _PARTS_OF_OBJECTS:
            key = part
    return _FIELD_NAMES.get(key) or _split_words(key)


def _split_words(key: str) -> str:
    """Return the words of a key in camel case: ``clan points`` for ``clanPoints``."""
    return _WORD_START.sub(" ", key).lower()


def _is_displayable(path: str) -> bool:
    """Return whether the value of a field means something to people, unlike an ID or a URL."""
    last = path.rpartition(".")[2]
    return last == "name" or last not in _PARTS_OF_OBJECTS


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _percent(value: object) -> str:
    return str(round(value, 2) if isinstance(value, float) else value)


def _count(number: object, noun: str) -> str:
    return f"{_number(number)} {noun}" if number == 1 else f"{_number(number)} {noun}s"


def _join(texts: Iterable[str]) -> str:
    """Return the texts as ``A, B and C``."""
    *first, last = (*texts,) or ("",)
    return f"{', '.join(first)} and {last}" if first else last


def _member(event: Event, subject: str) -> str:
    return f"{event.metadata.get('member_name') or event.metadata.get('member_tag')} of {subject}"


def _opponent(metadata: dict[str, Any]) -> str:
    return metadata.get("opponent_name") or metadata.get("opponent_tag") or "an unknown clan"


def _against(metadata: dict[str, Any]) -> str:
    return f" against {_opponent(metadata)}" if metadata.get("opponent_name") or metadata.get("opponent_tag") else ""
