"""Applying the events of a clan to its first snapshot results in the last one."""

from __future__ import annotations

import copy
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events import Event, EventType
from coc2mqtt.events.compare.clan import compare_clan
from coc2mqtt.events.resource import Kind
from tests.fuzz.examples import fuzzed
from tests.support.bodies import CLAN_TAG, clan, member
from tests.support.replay import Replay

Json = dict[str, Any]

TAGS = [f"#2P{letter}" for letter in "0289PYL"]
UPDATED = ("name", "townHallLevel", "leagueTier", "builderBaseLeague", "playerHouse")
LEAGUE = st.sampled_from([{"id": 1, "name": "Gold"}, {"id": 2, "name": "Crystal"}, {"id": 3, "name": "Master"}])
LABELS = st.lists(
    st.sampled_from([{"id": 1, "name": "A"}, {"id": 2, "name": "B"}, {"id": 3, "name": "C"}]), unique_by=str
)

KNOWN = ("name", "role", "townHallLevel", "donations", "donationsReceived")
JUNK = [None, 1.5, True, [7]]

members = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["Ann", "Bob", "Cat ★"]),
        "role": st.sampled_from(["member", "admin", "coLeader", "leader", "warlord"]),
        "townHallLevel": st.integers(1, 3),
        "donations": st.integers(0, 3),
        "donationsReceived": st.integers(0, 3),
        "trophies": st.integers(0, 3),
        "clanRank": st.integers(1, 3),
    },
    optional={"leagueTier": LEAGUE, "builderBaseLeague": LEAGUE, "expLevel": st.integers(1, 3)},
)
fields = st.fixed_dictionaries(
    {"clanLevel": st.integers(1, 3), "clanPoints": st.integers(0, 3), "isWarLogPublic": st.booleans()},
    optional={
        "name": st.sampled_from(["The Order", "The New Order"]),
        "warLeague": LEAGUE,
        "labels": LABELS,
        "warLosses": st.integers(0, 3),
        # All fields or none: a single missing field of an object is not a change.
        "clanCapital": st.just({})
        | st.fixed_dictionaries(
            {
                "capitalHallLevel": st.integers(1, 3),
                "districts": LABELS,
                "nested": st.fixed_dictionaries({"deep": LEAGUE}),
            },
        ),
    },
)


@st.composite
def clans(draw: st.DrawFn) -> Json:
    tags = draw(st.lists(st.sampled_from(TAGS), unique=True))
    return clan(*(member(tag, **draw(members)) for tag in tags), **draw(fields))


@st.composite
def responses(draw: st.DrawFn) -> Json:
    """A clan with a member list that may be incomplete."""
    complete = draw(clans())
    listed = [one for one in complete["memberList"] if draw(st.integers(0, 5))]
    return {**complete, "memberList": draw(st.permutations(listed)), "members": len(complete["memberList"])}


def apply(events: list[Event], body: Json) -> Json:
    """Apply events to a clan."""
    # Not a deep copy, which would keep objects shared by two places.
    body = orjson.loads(orjson.dumps(body))
    roster = {one["tag"]: one for one in body["memberList"]}
    for event in events:
        who = event.metadata.get("member_tag")
        if event.event_type is EventType.MEMBER_LEFT:
            del roster[who]
        elif event.event_type is EventType.MEMBER_JOINED:
            assert who not in roster
            roster[who] = orjson.loads(orjson.dumps(event.new_data))
        elif event.event_type is not EventType.SEASON_RESET:
            for change in event.changes:
                assert change.old_value != change.new_value
                put(body if who is None else roster[who], change.field.split("."), change.new_value)
    return {**body, "memberList": list(roster.values())}


def put(body: Json, path: list[str], value: Any) -> None:
    *outer, last = path
    for key in outer:
        body = body[key]
    body[last] = value


def reportable(body: Json) -> Any:
    """Return the fields of a clan that events report, regardless of the order of lists and of null."""
    roster = {
        one["tag"]: {key: one.get(key) for key in ("role", *UPDATED) if one.get(key) is not None}
        for one in body["memberList"]
    }
    return canonical({**{key: value for key, value in body.items() if key != "memberList"}, "roster": roster})


def canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: canonical(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return sorted(
            (canonical(inner) for inner in value), key=lambda one: orjson.dumps(one, option=orjson.OPT_SORT_KEYS)
        )
    return value


def agree(reported: Any, last: Any) -> bool:
    """Return whether the reported state equals the last response, ignoring the fields that the response lacks."""
    rosters = reported.pop("roster"), last.pop("roster")
    assert rosters[0].keys() == rosters[1].keys()
    comes_and_goes = {"warLosses"}
    assert not comes_and_goes & (reported.keys() - last.keys())
    pairs = [(reported, last), *((rosters[0][tag], rosters[1][tag]) for tag in rosters[1])]
    return all({key: other.get(key) for key in body} == body for other, body in pairs)


@fuzzed(short=60, long=3000)
@given(old=clans(), new=clans())
def test_events_between_two_snapshots_are_their_difference(old: Json, new: Json) -> None:
    events = compare_clan(old, new, at=1.0)
    assert reportable(apply(events, old)) == reportable(new)
    assert events == compare_clan(copy.deepcopy(old), copy.deepcopy(new), at=1.0), "comparing is deterministic"
    resets = [event for event in events if event.event_type is EventType.SEASON_RESET]
    donated = {
        event.metadata["member_tag"]: event for event in events if event.event_type is EventType.MEMBER_DONATIONS
    }
    before = {one["tag"]: one for one in old["memberList"]}
    for one in new["memberList"]:
        was = before.get(one["tag"], one)
        more = [max(0, one[key] - was[key]) for key in ("donations", "donationsReceived")]
        if any(more) and not resets:
            assert [donated[one["tag"]].metadata[key] for key in ("donations", "donationsReceived")] == more
        else:
            assert one["tag"] not in donated


@fuzzed(short=40, long=2000)
@given(old=clans(), data=st.data())
def test_equal_snapshots_cause_no_event(old: Json, data: st.DataObject) -> None:
    mixed = {**old, "memberList": data.draw(st.permutations(old["memberList"]))}
    if "labels" in old:
        mixed["labels"] = data.draw(st.permutations(old["labels"]))
    mixed = dict(data.draw(st.permutations(list(mixed.items()))))
    churned = [{**one, "trophies": 9, "clanRank": 9} for one in mixed["memberList"]]
    assert compare_clan(old, mixed, at=1.0) == []
    assert compare_clan(old, {**mixed, "memberList": churned}, at=1.0) == []


@fuzzed(short=30, long=1500)
@given(history=st.lists(responses(), min_size=2, max_size=6), first=clans())
def test_history_with_short_lists_and_stale_responses_is_reported(history: list[Json], first: Json) -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.feed(first)
    # The last response is repeated completely until it is accepted, which takes two more.
    last = {**history[-1], "members": len(history[-1]["memberList"])}
    for response in (*history, last, last):
        replay.feed(response)
    if last["memberList"]:
        assert agree(reportable(apply(replay.events, first)), reportable(last))
    joined = [event.metadata["member_tag"] for event in replay.events if event.event_type is EventType.MEMBER_JOINED]
    left = [event.metadata["member_tag"] for event in replay.events if event.event_type is EventType.MEMBER_LEFT]
    roster = {one["tag"] for one in first["memberList"]}
    for tag in TAGS:
        assert abs(joined.count(tag) - left.count(tag)) <= 1
        assert (tag in roster) + joined.count(tag) - left.count(tag) in (0, 1)


@st.composite
def damaged(draw: st.DrawFn, complete: list[Json]) -> list[Json]:
    """The same responses, some with missing or malformed fields."""
    everywhere = set.intersection(*({one["tag"] for one in body["memberList"]} for body in complete))
    bodies: list[Json] = orjson.loads(orjson.dumps(complete))
    for body in bodies:
        regulars = [one for one in body["memberList"] if one["tag"] in everywhere]
        for place, fields in (
            (body, ("name", "clanLevel", "clanPoints", "warLeague")),
            *((one, KNOWN) for one in regulars),
        ):
            field = draw(st.sampled_from([None, None, None, *fields]))
            if field in place:
                junk = draw(st.sampled_from(JUNK))
                if junk is None:
                    del place[field]
                else:
                    place[field] = junk
    return bodies


@fuzzed(short=30, long=2000)
@given(data=st.data(), first=clans(), history=st.lists(clans(), min_size=1, max_size=5))
def test_history_with_malformed_and_missing_fields_is_reported(
    data: st.DataObject, first: Json, history: list[Json]
) -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.feed(first)
    *damaged_responses, _ = data.draw(damaged([*history, first]))
    for response in damaged_responses:
        replay.feed(response)
    last = history[-1]
    for _ in range(3):
        replay.feed(last)
    if last["memberList"]:
        assert agree(reportable(apply(replay.events, first)), reportable(last))
