"""Applying the events of a player to its first snapshot results in the last one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events import Event, EventType
from coc2mqtt.events.compare.player import compare_player, restore_progress
from coc2mqtt.events.resource import Kind
from tests.fuzz.examples import fuzzed
from tests.support.bodies import player
from tests.support.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

UNIT_FIELDS = ("troops", "spells", "heroes", "heroEquipment")
LEAGUE = st.sampled_from([{"id": 1, "name": "Gold"}, {"id": 2, "name": "Crystal"}, {"id": 3, "name": "Master"}])
CLANS = st.sampled_from([{"tag": "#2PP", "name": "A"}, {"tag": "#2PP", "name": "B"}, {"tag": "#8QQ", "name": "C"}])
REST = ("trophies", "warStars", "expLevel", "role", "playerHouse")
UPGRADES = {
    EventType.TROOP_UPGRADED: "troops",
    EventType.SPELL_UPGRADED: "spells",
    EventType.HERO_UPGRADED: "heroes",
    EventType.HERO_EQUIPMENT_UPGRADED: "heroEquipment",
}
VALUES = {
    EventType.TOWNHALL_UPGRADED: "townHallLevel",
    EventType.BUILDERHALL_UPGRADED: "builderHallLevel",
    EventType.PLAYER_NAME_CHANGED: "name",
    EventType.PLAYER_WAR_PREFERENCE_CHANGED: "warPreference",
    EventType.PLAYER_LEAGUE_CHANGED: "league",
    EventType.PLAYER_LABEL_CHANGED: "labels",
}


def units(extra: Callable[[st.DrawFn, Json], None] = lambda *_: None) -> st.SearchStrategy[list[Json]]:
    @st.composite
    def build(draw: st.DrawFn) -> list[Json]:
        keys = draw(
            st.lists(
                st.tuples(
                    st.sampled_from(["Baby Dragon", "Yeti", "Unicorn"]), st.sampled_from(["home", "builderBase"])
                ),
                unique=True,
            )
        )
        built = []
        for name, village in keys:
            one = {"name": name, "village": village, "level": draw(st.integers(1, 3)), "maxLevel": 3}
            extra(draw, one)
            built.append(one)
        return built

    return build()


def with_boost(draw: st.DrawFn, one: Json) -> None:
    if draw(st.booleans()):
        one["superTroopIsActive"] = True


def with_equipment(draw: st.DrawFn, one: Json) -> None:
    one["equipment"] = [{"name": name, "level": 1} for name in draw(st.sets(st.sampled_from("ABC"), max_size=2))]


achievements = st.lists(
    st.tuples(st.sampled_from(["Safe", "Gold"]), st.sampled_from(["one", "two"]), st.integers(0, 3), st.integers(0, 2)),
    unique_by=lambda one: one[:2],
).map(
    lambda found: [
        {"name": name, "village": "home", "info": info, "stars": stars, "value": value}
        for name, info, stars, value in found
    ]
)
players = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["Ann", "Bob ★"]),
        "townHallLevel": st.integers(1, 3),
        "trophies": st.integers(0, 3),
        "warStars": st.integers(0, 3),
        "expLevel": st.integers(0, 3),
        "troops": units(with_boost),
        "spells": units(),
        "heroes": units(with_equipment),
        "heroEquipment": units(),
        "warPreference": st.sampled_from(["in", "out"]),
        "labels": st.lists(st.sampled_from([{"name": "A"}, {"name": "B"}, {"name": "C"}]), unique_by=str),
        "leagueTier": LEAGUE,
        "builderHallLevel": st.integers(1, 3),
        "achievements": achievements,
    },
    optional={
        "clan": CLANS,
        "role": st.sampled_from(["member", "admin"]),
        "townHallWeaponLevel": st.integers(1, 3),
        "playerHouse": st.fixed_dictionaries({"elements": st.lists(st.sampled_from([{"id": 1}, {"id": 2}]))}),
    },
).map(lambda fields: player(**fields))


def facts(body: Json) -> Json:
    """Return the fields of a player that events report, independent of any order."""
    facts = {
        "name": body["name"],
        "townHallLevel": body["townHallLevel"],
        "builderHallLevel": body["builderHallLevel"],
        "warPreference": body["warPreference"],
        "league": body["leagueTier"]["name"],
        "labels": sorted(label["name"] for label in body["labels"]),
        "clan": (body.get("clan") or {}).get("tag"),
        "completed": {key(one) for one in body["achievements"] if one["stars"] == 3},
        "rest": {field: canonical(body[field]) for field in REST if field in body},
    }
    for field in UNIT_FIELDS:
        facts[field] = {(one["name"], one["village"]): one["level"] for one in body[field]}
    facts["boosted"] = {(one["name"], one["village"]) for one in body["troops"] if one.get("superTroopIsActive")}
    facts["worn"] = {
        (one["name"], one["village"]): sorted(item["name"] for item in one["equipment"]) for one in body["heroes"]
    }
    return facts


def key(achievement: Json) -> tuple[str, str]:
    return achievement["name"], achievement["info"]


def canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: canonical(inner) for name, inner in value.items()}
    return sorted(map(orjson.dumps, value)) if isinstance(value, list) else value


def apply(events: list[Event], known: Json) -> Json:  # noqa: C901 - one case per event type
    """Apply events to the facts about a player."""
    known = copy.deepcopy(known)
    for event in events:
        meta, unit = event.metadata, (event.metadata.get("name"), event.metadata.get("village"))
        match event.event_type:
            case upgraded if upgraded in UPGRADES:
                levels = known[UPGRADES[upgraded]]
                assert levels.get(unit) == meta["old_level"]
                levels[unit] = meta["new_level"]
            case valued if valued in VALUES:
                assert known[VALUES[valued]] == meta["old_value"]
                known[VALUES[valued]] = meta["new_value"]
            case EventType.SUPER_TROOP_STARTED:
                known["boosted"].add(unit)
            case EventType.SUPER_TROOP_ENDED:
                known["boosted"].remove(unit)
            case EventType.HERO_EQUIPMENT_CHANGED:
                kept = [name for name in known["worn"][unit] if name not in meta["removed"]]
                known["worn"][unit] = sorted(kept + meta["added"])
            case EventType.PLAYER_CLAN_LEFT:
                known["clan"] = None
            case EventType.PLAYER_CLAN_JOINED:
                known["clan"] = meta["clan_tag"]
            case EventType.ACHIEVEMENT_COMPLETED:
                known["completed"].add((meta["name"], meta["info"]))
            case EventType.PLAYER_UPDATED:
                for change in event.changes:
                    assert change.old_value != change.new_value
                    if change.field in REST:
                        known["rest"][change.field] = canonical(change.new_value)
    known["rest"] = {field: value for field, value in known["rest"].items() if value is not None}
    return known


def facts_before_and_after(old: Json, new: Json) -> tuple[Json, Json]:
    """Return the facts before and after; what was unknown before is a baseline and not reported."""
    before, after = facts(old), facts(new)
    for unit in after["worn"].keys() - before["worn"].keys():
        before["worn"][unit] = after["worn"][unit]
    before["completed"] |= after["completed"] - {key(one) for one in old["achievements"]}
    # A completed achievement stays completed even if the API no longer lists it.
    after["completed"] |= before["completed"] - {key(one) for one in new["achievements"]}
    return before, after


@pytest.mark.slow
@fuzzed(short=60, long=3000)
@given(old=players, response=players)
def test_events_between_two_snapshots_are_their_difference(old: Json, response: Json) -> None:
    new = restore_progress(old, response)
    events = compare_player(old, new, at=1.0)
    before, after = facts_before_and_after(old, new)
    assert apply(events, before) == after
    assert events == compare_player(copy.deepcopy(old), copy.deepcopy(new), at=1.0), "comparing is deterministic"


@fuzzed(short=40, long=2000)
@given(old=players, response=players)
def test_accepted_state_never_loses_a_level(old: Json, response: Json) -> None:
    before, after, shown = facts(old), facts(restore_progress(old, response)), facts(response)
    for field in UNIT_FIELDS:
        highest = {
            unit: max(before[field].get(unit, 0), shown[field].get(unit, 0))
            for unit in {**before[field], **shown[field]}
        }
        assert after[field] == highest
    for field in ("townHallLevel", "builderHallLevel"):
        assert after[field] == max(before[field], shown[field])


@fuzzed(short=40, long=2000)
@given(old=players, data=st.data())
def test_equal_snapshots_cause_no_event(old: Json, data: st.DataObject) -> None:
    mixed = {
        name: data.draw(st.permutations(value)) if isinstance(value, list) else value for name, value in old.items()
    }
    mixed = dict(data.draw(st.permutations(list(mixed.items()))))
    assert compare_player(old, restore_progress(old, mixed), at=1.0) == []


@fuzzed(short=20, long=1000)
@given(first=players, history=st.lists(players, min_size=1, max_size=5))
def test_history_with_stale_responses_reports_every_level_once(first: Json, history: list[Json]) -> None:
    check_levels(first, history, history)


@pytest.mark.slow
@fuzzed(short=30, long=2000)
@given(first=players, history=st.lists(players, min_size=1, max_size=5), data=st.data())
def test_history_with_malformed_fields_reports_every_level_once(
    first: Json, history: list[Json], data: st.DataObject
) -> None:
    check_levels(first, history, [data.draw(damaged(body)) for body in history])


@st.composite
def damaged(draw: st.DrawFn, complete: Json) -> Json:
    """A response with missing or malformed fields.

    The fields that distinguish units of the same name are kept: without them, a unit could not be identified.
    """
    body: Json = orjson.loads(orjson.dumps(complete))
    lists = [one for field in (*UNIT_FIELDS, "achievements") for one in body[field]]
    for place in (body, *lists):
        fields = [None, None, *(name for name in place if name not in ("tag", "clan", "role", "village", "info"))]
        field = draw(st.sampled_from(fields))
        if field is not None:
            junk = draw(st.sampled_from([None, 1.5, True, 7]))
            if junk is None or type(junk) is type(place[field]):
                del place[field]
            else:
                place[field] = junk
    return body


def check_levels(first: Json, history: list[Json], damaged_history: list[Json]) -> None:
    replay = Replay(Kind.PLAYER, first["tag"])
    replay.feed(first)
    for response in (*damaged_history, history[-1], history[-1]):
        replay.feed(response)
    reported: dict[tuple[Any, ...], list[int]] = {}
    for event in replay.events:
        if event.event_type in UPGRADES:
            unit = (event.event_type, event.metadata["name"], event.metadata["village"])
            reported.setdefault(unit, []).append(event.metadata["new_level"])
    assert all(levels == sorted(set(levels)) for levels in reported.values())
    last = facts(history[-1])
    for event_type, field in UPGRADES.items():
        first_levels = facts(first)[field]
        for (name, village), level in last[field].items():
            if level > first_levels.get((name, village), 0):
                assert max(reported[event_type, name, village]) >= level


@pytest.mark.slow
@fuzzed(short=40, long=2000)
@given(
    old=players,
    response=players,
    fields=st.frozensets(st.sampled_from([*UNIT_FIELDS, *REST, "clan", "name", "labels"])),
)
def test_excluded_fields_are_never_reported(old: Json, response: Json, fields: frozenset[str]) -> None:
    new = restore_progress(old, response)
    every = compare_player(old, new, at=1.0)

    def reported(events: list[Event]) -> list[tuple[EventType, Any]]:
        return [(event.event_type, change) for event in events for change in event.changes]

    def of(change: Any) -> str:
        return str(change.field).split(".")[0]

    included = compare_player(old, new, at=1.0, include_fields=fields)
    excluded = compare_player(old, new, at=1.0, exclude_fields=fields)
    assert reported(included) == [one for one in reported(every) if of(one[1]) in fields]
    assert reported(excluded) == [one for one in reported(every) if of(one[1]) not in fields]
