"""Compare two responses about a player. Pure: no clock, no I/O."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from coc2mqtt.events.compare.diff import any_decreased, diff_fields
from coc2mqtt.events.compare.player_lists import (
    UNIT_FIELDS,
    align_entries,
    completed_achievements,
    keep_shared_fields,
    merge_highest_achievements,
    merge_highest_units,
    unit_category,
    unit_key,
    without_completed,
)
from coc2mqtt.events.event import Change, Event, EventType

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

Json = dict[str, Any]

_UNIT_EVENTS = {
    "troops": EventType.TROOP_UPGRADED,
    "spells": EventType.SPELL_UPGRADED,
    "heroes": EventType.HERO_UPGRADED,
    "heroEquipment": EventType.HERO_EQUIPMENT_UPGRADED,
}
_HALL_EVENTS = {"townHallLevel": EventType.TOWNHALL_UPGRADED, "builderHallLevel": EventType.BUILDERHALL_UPGRADED}
_WEAPON_FIELD = "townHallWeaponLevel"
_CONTRIBUTIONS_FIELD = "clanCapitalContributions"
_LEAGUE_FIELDS = frozenset({"league", "leagueTier"})
# The fields that `player_updated` does not report, because they have events of their own.
_FIELDS_WITH_OWN_EVENT = frozenset(
    {*_UNIT_EVENTS, *_HALL_EVENTS, *_LEAGUE_FIELDS, _WEAPON_FIELD, "name", "labels", "tag", "warPreference"}
)
# These only grow (donations until the end of the season), so a response with a lower value is stale. Levels are not
# among them, because the highest known level is kept anyway.
_NON_DECREASING = (
    *("expLevel", "bestTrophies", "bestBuilderBaseTrophies", "warStars", "clanCapitalContributions"),
    *("donations", "donationsReceived", "attackWins", "defenseWins"),
)
# A response lacks these by mistake only; other fields are optional.
_PERMANENT_FIELDS = (
    *("expLevel", "bestTrophies", "warStars", "achievements", "labels", "heroes", "spells", "heroEquipment", "troops"),
    *("leagueTier", "warPreference", "builderHallLevel", "name", "townHallLevel", "trophies", "attackWins"),
    *("defenseWins", "donations", "donationsReceived", "clanCapitalContributions"),
)
# Nothing in these is ever lost, so `restore_progress` keeps it if a response lacks it.
_PROGRESS_LISTS = (*UNIT_FIELDS, "achievements")
_RESTORED_FIELDS = frozenset({*_PROGRESS_LISTS, "builderHallLevel"})


class _EventDraft(NamedTuple):
    """The contents of one event of a player."""

    event_type: EventType
    change: Change
    metadata: Json


def is_permanent_player_field(field: str) -> bool:
    """Return whether every player has this field, and ``restore_progress`` does not keep it anyway."""
    return field in _PERMANENT_FIELDS and field not in _RESTORED_FIELDS


def player_looks_stale(old: Json, new: Json, *, malformed: Collection[str] = ()) -> bool:
    """Return whether ``new`` may be older than ``old``, or incomplete.

    It may be if a value that only grows is lower than before, or if a field of every player is missing that was not
    removed as ``malformed``.
    """
    if any_decreased(old, new, _NON_DECREASING):
        return True
    return any(field in old and field not in new and field not in malformed for field in _PERMANENT_FIELDS)


def align_player_lists(old: Json, new: Json) -> tuple[Json, Json]:
    """Return both responses with the missing identity fields of units and achievements filled in from each other."""
    sides = dict(old), dict(new)
    for field in _PROGRESS_LISTS:
        lists = old.get(field), new.get(field)
        if lists[0] and lists[1]:
            identity = ("village", "info") if field == "achievements" else ("village",)
            for side, aligned in zip(sides, align_entries(lists[0], lists[1], identity=identity), strict=True):
                side[field] = aligned
    return sides


def restore_progress(old: Json, new: Json) -> Json:
    """Return ``new`` with the highest known level of each unit and hall and the most stars of each achievement.

    None of these is ever lost: a lower or missing value comes from a stale response or the end of a seasonal troop.
    Fields that every player has are kept if the response lacks them.
    """
    completed = {**{field: old[field] for field in _PERMANENT_FIELDS if field in old}, **new}
    for field in UNIT_FIELDS:
        if units := merge_highest_units(old.get(field) or [], new.get(field) or []):
            completed[field] = units
    if achievements := merge_highest_achievements(old.get("achievements") or [], new.get("achievements") or []):
        completed["achievements"] = achievements
    return completed | _highest_halls(old, new)


def compare_player(
    old: Json,
    new: Json,
    *,
    at: float,
    include_fields: frozenset[str] | None = None,
    exclude_fields: frozenset[str] | None = None,
) -> list[Event]:
    """Return the events between two snapshots of a player, upgrades first, ``player_updated`` last.

    ``new`` is the result of ``restore_progress``. ``at`` is the Unix time in seconds of the events.
    ``include_fields`` (None: all) and ``exclude_fields`` are top-level keys of the API's player and apply to every
    event: without ``troops`` there are neither troop upgrades nor super troops.
    """
    event = partial(Event, tag=new["tag"], timestamp=at, old_data=old, new_data=new, name=new.get("name"))

    def wanted(field: str) -> bool:
        return (include_fields is None or field in include_fields) and field not in (exclude_fields or ())

    events = [
        event(event_type, changes=(change,), metadata=metadata)
        for source in (
            *(_upgrades, _halls, _super_troops, _equipment, _identity, _membership, _achievements),
            _contributions,
        )
        for event_type, change, metadata in source(old, new, wanted)
    ]
    changes = diff_fields(
        *_without_reported_changes(old, new),
        include_fields=include_fields,
        exclude_fields=(exclude_fields or frozenset()) | _FIELDS_WITH_OWN_EVENT,
    )
    if changes:
        events.append(event(EventType.PLAYER_UPDATED, changes=tuple(changes)))
    return events


def _upgrades(old: Json, new: Json, wanted: Callable[[str], bool]) -> Iterator[_EventDraft]:
    """Yield the upgraded and unlocked units; a list that the old response lacks is a baseline."""
    for field in filter(wanted, UNIT_FIELDS):
        if old.get(field) is None:
            continue
        levels = {unit_key(unit): unit.get("level") for unit in old[field]}
        for unit in new.get(field) or []:
            before, after = levels.get(unit_key(unit)), unit.get("level")
            if isinstance(after, int) and (before is None or after > before):
                yield _EventDraft(
                    _UNIT_EVENTS[field],
                    Change(f"{field}.{unit['name']}", before, after),
                    {
                        "name": unit["name"],
                        "old_level": before,
                        "new_level": after,
                        "category": unit_category(field, unit),
                        "village": unit.get("village"),
                        "max_level": unit.get("maxLevel"),
                    },
                )


def _halls(old: Json, new: Json, wanted: Callable[[str], bool]) -> Iterator[_EventDraft]:
    for field, event_type in _HALL_EVENTS.items():
        if wanted(field) and (new.get(field) or 0) > (old.get(field) or 0):
            yield _value_changed(event_type, field, old.get(field), new.get(field))
    # A new town hall comes with a new weapon.
    same_hall = old.get("townHallLevel") == new.get("townHallLevel")
    before, after = old.get(_WEAPON_FIELD), new.get(_WEAPON_FIELD)
    if wanted(_WEAPON_FIELD) and same_hall and before is not None and (after or 0) > before:
        yield _value_changed(EventType.TOWNHALL_WEAPON_UPGRADED, _WEAPON_FIELD, before, after)


def _highest_halls(old: Json, new: Json) -> Json:
    highest = {field: old[field] for field in _HALL_EVENTS if (old.get(field) or 0) > (new.get(field) or 0)}
    # The weapon belongs to its town hall: it starts at level 1 with the next one.
    before, after = (side.get("townHallLevel") for side in (old, new))
    decreased = "townHallLevel" in highest or (
        before == after and (old.get(_WEAPON_FIELD) or 0) > (new.get(_WEAPON_FIELD) or 0)
    )
    return {**highest, _WEAPON_FIELD: old[_WEAPON_FIELD]} if decreased and _WEAPON_FIELD in old else highest


def _super_troops(old: Json, new: Json, wanted: Callable[[str], bool]) -> Iterator[_EventDraft]:
    if not wanted("troops") or old.get("troops") is None:
        return
    # Only boosted troops have `superTroopIsActive`.
    boosted = [
        {unit_key(unit) for unit in side.get("troops") or [] if unit.get("superTroopIsActive")} for side in (old, new)
    ]
    for name, village in sorted(boosted[0] ^ boosted[1], key=str):
        started = (name, village) in boosted[1]
        event_type = EventType.SUPER_TROOP_STARTED if started else EventType.SUPER_TROOP_ENDED
        yield _EventDraft(
            event_type, Change(f"troops.{name}", not started, started), {"name": name, "village": village}
        )


def _equipment(old: Json, new: Json, wanted: Callable[[str], bool]) -> Iterator[_EventDraft]:
    """Yield the heroes whose equipment changed."""
    if not wanted("heroes"):
        return
    known = {unit_key(hero): hero for hero in old.get("heroes") or []}
    for hero in new.get("heroes") or []:
        before = known.get(unit_key(hero))
        # For a new hero, or one without the field, the equipment is a baseline.
        if before is None or before.get("equipment") is None or hero.get("equipment") is None:
            continue
        was, now = ([one["name"] for one in side["equipment"]] for side in (before, hero))
        if set(was) != set(now):
            yield _EventDraft(
                EventType.HERO_EQUIPMENT_CHANGED,
                Change(f"heroes.{hero['name']}.equipment", was, now),
                {"name": hero["name"], "village": hero.get("village"), **_list_difference(was, now)},
            )


def _identity(old: Json, new: Json, wanted: Callable[[str], bool]) -> Iterator[_EventDraft]:
    """Yield the changes of name, league, labels and war preference."""
    if wanted("name") and None not in (old.get("name"), new.get("name")) and old["name"] != new["name"]:
        yield _value_changed(EventType.PLAYER_NAME_CHANGED, "name", old.get("name"), new.get("name"))
    league = "leagueTier" if "leagueTier" in new or "leagueTier" in old else "league"
    before, after = _league(old, league), _league(new, league)
    # A snapshot from before league tiers has none to compare with.
    if wanted(league) and (league in old or "league" not in old) and before.get("name") != after.get("name"):
        draft = _value_changed(EventType.PLAYER_LEAGUE_CHANGED, league, before.get("name"), after.get("name"))
        draft.metadata["direction"] = _direction(before.get("id"), after.get("id"))
        yield draft
    was, now = (sorted(label["name"] for label in side.get("labels") or []) for side in (old, new))
    # Labels that were unknown before are a baseline.
    if wanted("labels") and was != now and old.get("labels") is not None:
        draft = _value_changed(EventType.PLAYER_LABEL_CHANGED, "labels", was, now)
        draft.metadata.update(_list_difference(was, now))
        yield draft
    preference = "warPreference"
    # A response without it is not a change.
    if wanted(preference) and new.get(preference) is not None and old.get(preference) != new.get(preference):
        yield _value_changed(
            EventType.PLAYER_WAR_PREFERENCE_CHANGED, preference, old.get(preference), new.get(preference)
        )


def _membership(old: Json, new: Json, wanted: Callable[[str], bool]) -> Iterator[_EventDraft]:
    was, now = _clan(old), _clan(new)
    if not wanted("clan") or was.get("tag") == now.get("tag"):
        return
    change = Change("clan", was or None, now or None)
    for event_type, clan in ((EventType.PLAYER_CLAN_LEFT, was), (EventType.PLAYER_CLAN_JOINED, now)):
        if clan:
            yield _EventDraft(event_type, change, {"clan_tag": clan["tag"], "clan_name": clan.get("name")})


def _achievements(old: Json, new: Json, wanted: Callable[[str], bool]) -> Iterator[_EventDraft]:
    if not wanted("achievements"):
        return
    for before, after in completed_achievements(old.get("achievements") or [], new.get("achievements") or []):
        yield _EventDraft(
            EventType.ACHIEVEMENT_COMPLETED,
            Change(f"achievements.{after['name']}", before.get("stars"), after.get("stars")),
            {key: after.get(key) for key in ("name", "village", "info", "stars")},
        )


def _contributions(old: Json, new: Json, wanted: Callable[[str], bool]) -> Iterator[_EventDraft]:
    before, after = old.get(_CONTRIBUTIONS_FIELD), new.get(_CONTRIBUTIONS_FIELD)
    if wanted(_CONTRIBUTIONS_FIELD) and before is not None and (after or 0) > before:
        change = Change(_CONTRIBUTIONS_FIELD, before, after)
        yield _EventDraft(EventType.CAPITAL_CONTRIBUTION, change, {"amount": after - before, "total": after})


def _without_reported_changes(old: Json, new: Json) -> tuple[Json, Json]:
    """Return both responses without the changes that other events have already reported."""
    sides = dict(old), dict(new)
    achievements = [side.get("achievements") or [] for side in (old, new)]
    if achievements[0] != achievements[1]:
        for side, own in zip(sides, achievements, strict=True):
            side["achievements"] = without_completed(own, *achievements)
        sides[0]["achievements"], sides[1]["achievements"] = keep_shared_fields(
            sides[0]["achievements"], sides[1]["achievements"]
        )
    if _clan(old).get("tag") != _clan(new).get("tag"):
        for side in sides:
            side.pop("clan", None)
    return sides


def _clan(player: Json) -> Json:
    clan = player.get("clan")
    return clan if isinstance(clan, dict) and isinstance(clan.get("tag"), str) else {}


def _league(player: Json, field: str) -> Json:
    league = player.get(field)
    return league if isinstance(league, dict) else {}


def _direction(old: object, new: object) -> str | None:
    """Return promoted or demoted, None if an id is unknown; the API numbers leagues from the lowest up."""
    if not isinstance(old, int) or not isinstance(new, int):
        return None
    return "promoted" if new > old else "demoted"


def _list_difference(old: list[str], new: list[str]) -> Json:
    return {
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
    }


def _value_changed(event_type: EventType, field: str, old: Any, new: Any) -> _EventDraft:
    return _EventDraft(event_type, Change(field, old, new), {"old_value": old, "new_value": new})
