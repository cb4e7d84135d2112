"""What changed between two answers about a player. Pure: no clock, no I/O."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from coc2mqtt.events.diff import diff_dicts
from coc2mqtt.events.event import Change, Event, EventType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]

_UNITS = {
    "troops": EventType.TROOP_UPGRADED,
    "spells": EventType.SPELL_UPGRADED,
    "heroes": EventType.HERO_UPGRADED,
    "heroEquipment": EventType.HERO_EQUIPMENT_UPGRADED,
}
_HALLS = {"townHallLevel": EventType.TOWNHALL_UPGRADED, "builderHallLevel": EventType.BUILDERHALL_UPGRADED}
_LEAGUE_FIELDS = frozenset({"league", "leagueTier"})
_OWN_EVENT = frozenset({*_UNITS, *_HALLS, *_LEAGUE_FIELDS, "name", "labels", "tag"})


def complete_units(old: Json, new: Json) -> Json:
    """Return ``new`` with each unit at the highest level that was seen.

    A level that fell or a unit that vanished is stale data or a seasonal troop's end, and its coming back is no
    upgrade.
    """
    completed = dict(new)
    for field in _UNITS:
        best = {_unit_key(item): item for item in old.get(field) or []}
        items = []
        for item in new.get(field) or []:
            known = best.pop(_unit_key(item), None)
            fell = known is not None and (known.get("level") or 0) > (item.get("level") or 0)
            items.append(known if fell else item)
        if items or best:
            completed[field] = [*items, *best.values()]
    return completed


def compare_player(
    old: Json,
    new: Json,
    *,
    at: float,
    include_fields: frozenset[str] | None = None,
    exclude_fields: frozenset[str] | None = None,
) -> list[Event]:
    """Return the events between two snapshots of a player, upgrades first, ``player_updated`` last.

    ``at`` is the Unix time in seconds that the events carry. ``include_fields`` (None: all) and ``exclude_fields``
    are top-level keys of the API's player and hold for every event: without ``troops`` there is no troop upgrade.
    """
    event = partial(Event, tag=new["tag"], timestamp=at, old_data=old, new_data=new, name=new.get("name"))

    def wanted(field: str) -> bool:
        return (include_fields is None or field in include_fields) and field not in (exclude_fields or ())

    events = [
        event(event_type, changes=(change,), metadata=metadata)
        for event_type, change, metadata in _own_events(old, new, wanted)
    ]
    rest = diff_dicts(
        old, new, include_fields=include_fields, exclude_fields=(exclude_fields or frozenset()) | _OWN_EVENT
    )
    if rest:
        events.append(event(EventType.PLAYER_UPDATED, changes=tuple(rest)))
    return events


def _own_events(old: Json, new: Json, wanted: Callable[[str], bool]) -> Iterator[tuple[EventType, Change, Json]]:
    for field, event_type in _UNITS.items():
        if wanted(field):
            for change, metadata in _upgrades(field, old.get(field) or [], new.get(field) or []):
                yield event_type, change, metadata
    for field, event_type in _HALLS.items():
        # A hall is never lost: a lower level is stale data.
        if wanted(field) and (new.get(field) or 0) > (old.get(field) or 0):
            yield event_type, *_value_change(field, old.get(field), new.get(field))
    if wanted("name") and old.get("name") != new.get("name"):
        yield EventType.PLAYER_NAME_CHANGED, *_value_change("name", old.get("name"), new.get("name"))
    league = "leagueTier" if "leagueTier" in new or "leagueTier" in old else "league"
    if wanted(league) and (league in old or "league" not in old) and _name(old, league) != _name(new, league):
        yield EventType.PLAYER_LEAGUE_CHANGED, *_value_change(league, _name(old, league), _name(new, league))
    labels = [sorted(label["name"] for label in side.get("labels") or []) for side in (old, new)]
    if wanted("labels") and labels[0] != labels[1]:
        yield EventType.PLAYER_LABEL_CHANGED, *_value_change("labels", *labels)


def _upgrades(field: str, old: list[Json], new: list[Json]) -> Iterator[tuple[Change, Json]]:
    """Yield what rose or is new: a level that fell or a unit that vanished is stale data or a seasonal troop's end."""
    levels = {_unit_key(item): item.get("level") for item in old}
    for item in new:
        before, after = levels.get(_unit_key(item)), item.get("level")
        if isinstance(after, int) and (before is None or after > before):
            metadata = {"name": item["name"], "old_level": before, "new_level": after}
            yield (
                Change(f"{field}.{item['name']}", before, after),
                {**metadata, "village": item.get("village"), "max_level": item.get("maxLevel")},
            )


def _unit_key(item: Json) -> tuple[Any, Any]:
    # A name alone is no key: there is a Baby Dragon in each village.
    return item["name"], item.get("village")


def _name(player: Json, field: str) -> str | None:
    league = player.get(field)
    return league.get("name") if isinstance(league, dict) else None


def _value_change(field: str, old: Any, new: Any) -> tuple[Change, Json]:
    return Change(field, old, new), {"old_value": old, "new_value": new}
