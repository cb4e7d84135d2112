"""The summaries of events about changed fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.field_names import field_name, object_field, value_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from coc2mqtt.events.event import Change, Event
    from coc2mqtt.translations import Language

    # Returns the sentence for a single change of a field, None if the values are not the expected ones.
    FieldSentence = Callable[[str, Change, Language], str | None]

# A private war log hides these.
_IN_WAR_LOG = {"warLosses", "warTies"}
_MAX_FIELDS = 3
_MAX_LABELS = 3
# A longer text would make the sentence unreadable.
_MAX_TEXT_LENGTH = 40


def fields_changed(event: Event, language: Language) -> str:
    """Describe the changed fields of a clan or a player."""
    return _describe(event.name or event.tag, _own_changes(event), language)


def member_fields_changed(event: Event, language: Language) -> str:
    """Describe the changed fields of a member."""
    clan, changes = event.name or event.tag, _own_changes(event)
    if [change.field for change in changes] == ["name"]:
        (change,) = changes
        return language.text(
            "{old} of {clan} is now called {new}", old=change.old_value, clan=clan, new=change.new_value
        )
    member = event.metadata.get("member_name") or event.metadata.get("member_tag")
    return _describe(language.text("{member} of {clan}", member=member, clan=clan), changes, language)


def town_hall_upgraded(player: str, old: object, new: object, language: Language) -> str:
    """Describe an upgraded town hall; ``old`` is None if the level was unknown."""
    if old is None:
        return language.text("{player} upgraded the town hall to level {new}", player=player, new=new)
    return language.text("{player} upgraded the town hall from level {old} to {new}", player=player, old=old, new=new)


def labels_changed(subject: str, labels: Sequence[str], language: Language) -> str:
    """Describe the new labels of a clan or a player."""
    if not labels:
        return language.text("{subject} removed all labels", subject=subject)
    joined = language.join(labels)
    return language.plural(
        "{subject} now has the label {labels}",
        "{subject} now has the labels {labels}",
        len(labels),
        subject=subject,
        labels=joined,
    )


def _own_changes(event: Event) -> list[Change]:
    """Return the changes that neither another event of the same response nor another change explains."""
    explained = set(event.metadata.get("explained_fields", ()))
    if any(change.field == "isWarLogPublic" for change in event.changes):
        explained |= _IN_WAR_LOG
    return [change for change in event.changes if change.field not in explained]


def _describe(subject: str, changes: Iterable[Change], language: Language) -> str:
    """Describe a single change in a sentence, several in a list with their values."""
    by_field: dict[str, Change] = {}
    for change in changes:
        field = object_field(change.field)
        # An object is described by its name.
        if field not in by_field or change.field.endswith(".name"):
            by_field[field] = change
    if len(by_field) == 1:
        ((field, change),) = by_field.items()
        sentence = _SENTENCES[field](subject, change, language) if field in _SENTENCES else None
        return sentence or _single(subject, field_name(field, language), change, language)
    return _several(subject, by_field, language)


def _single(subject: str, field: str, change: Change, language: Language) -> str:
    old, new = _short_values(change, language)
    values = {"subject": subject, "field": field, "old": old, "new": new}
    if old is None or new is None or old == new:
        return language.text("{subject}: {field} changed", **values)
    if not old:
        return language.text("{subject}: {field} is now {new}", **values)
    if not new:
        return language.text("{subject}: {field} removed (was {old})", **values)
    if not (_is_number(change.old_value) and _is_number(change.new_value)):
        return language.text("{subject}: {field} changed from {old} to {new}", **values)
    if change.new_value > change.old_value:
        return language.text("{subject}: {field} rose from {old} to {new}", **values)
    return language.text("{subject}: {field} fell from {old} to {new}", **values)


def _several(subject: str, changes: dict[str, Change], language: Language) -> str:
    """Return the fields with values first, then the names of the other ones."""
    with_values, names = [], []
    for field, change in changes.items():
        name = field_name(field, language)
        old, new = _short_values(change, language)
        if old is None or new is None or old == new:
            names.append(name)
        elif not old:
            with_values.append(language.text("{field} now {new}", field=name, new=new))
        elif not new:
            with_values.append(language.text("{field} removed (was {old})", field=name, old=old))
        else:
            with_values.append(f"{name} {old} → {new}")
    left_out = len(with_values) + len(names) - _MAX_FIELDS
    with_values, names = with_values[:_MAX_FIELDS], names[: max(0, _MAX_FIELDS - len(with_values))]
    if left_out > 0:
        names.append(language.plural("{n} more", "{n} more", left_out))
    parts = [", ".join(with_values)] if with_values else []
    if names or not parts:
        fields = language.join(names) or language.text("something")
        parts.append(language.text("{fields} changed", fields=fields))
    return language.text("{subject}: {changes}", subject=subject, changes="; ".join(parts))


def _short_values(change: Change, language: Language) -> tuple[str | None, str | None]:
    """Return both values as texts, None if they mean nothing to people or are too long."""
    old, new = (value_text(change.field, value, language) for value in (change.old_value, change.new_value))
    if old is None or new is None or max(len(old), len(new)) > _MAX_TEXT_LENGTH:
        return None, None
    return old, new


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _renamed(_: str, change: Change, language: Language) -> str | None:
    if not change.old_value or not change.new_value:
        return None
    return language.text(
        "{old_value} is now called {new_value}", old_value=change.old_value, new_value=change.new_value
    )


def _join_policy(subject: str, change: Change, language: Language) -> str | None:
    match change.new_value:
        case "open":
            return language.text("Anyone can join {clan} now", clan=subject)
        case "inviteOnly":
            return language.text("{clan} can now be joined by invitation only", clan=subject)
        case "closed":
            return language.text("{clan} is now closed to new members", clan=subject)
    return None


def _war_log(subject: str, change: Change, language: Language) -> str | None:
    if change.new_value is True:
        return language.text("The war log of {subject} is now public", subject=subject)
    return (
        language.text("The war log of {subject} is now private", subject=subject) if change.new_value is False else None
    )


def _family_friendly(subject: str, change: Change, language: Language) -> str | None:
    if change.new_value is True:
        return language.text("{clan} is now family-friendly", clan=subject)
    return language.text("{clan} is no longer family-friendly", clan=subject) if change.new_value is False else None


def _description(subject: str, change: Change, language: Language) -> str | None:
    if not change.new_value:
        return language.text("{clan} removed its description", clan=subject)
    return language.text("{clan} has a new description", clan=subject)


def _badge(subject: str, _: Change, language: Language) -> str | None:
    return language.text("{clan} has a new badge", clan=subject)


def _labels(subject: str, change: Change, language: Language) -> str | None:
    labels = change.new_value or []
    names = [label.get("name") if isinstance(label, dict) else None for label in labels]
    known = [name for name in names if isinstance(name, str)]
    return labels_changed(subject, known, language) if len(known) == len(names) <= _MAX_LABELS else None


def _achievements(subject: str, _: Change, language: Language) -> str | None:
    return language.text("{player} made progress with achievements", player=subject)


def _town_hall(subject: str, change: Change, language: Language) -> str | None:
    old, new = change.old_value, change.new_value
    is_higher = isinstance(new, int) and (old is None or (isinstance(old, int) and new > old))
    return town_hall_upgraded(subject, old, new, language) if is_higher else None


_SENTENCES: dict[str, FieldSentence] = {
    "achievements": _achievements,
    "badgeUrls": _badge,
    "description": _description,
    "isFamilyFriendly": _family_friendly,
    "isWarLogPublic": _war_log,
    "labels": _labels,
    "name": _renamed,
    "townHallLevel": _town_hall,
    "type": _join_policy,
}
