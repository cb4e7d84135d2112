from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from coc2mqtt.events.compare.clan import clan_looks_stale, compare_clan, restore_missing_members
from coc2mqtt.events.compare.season import season_ended_between
from coc2mqtt.events.event import Change, EventType
from tests.support.bodies import CLAN_TAG, Json, clan, member
from tests.support.war_steps import types

ANN, BOB, CAT = "#2PA", "#2PB", "#2PC"


def compare(old: Json, new: Json, **options: Any) -> list[tuple[str, Any]]:
    return [
        (event.event_type.value, event.metadata.get("member_tag"))
        for event in compare_clan(old, restore_missing_members(old, new).clan, at=1.0, **options)
    ]


def test_unchanged_clan_causes_no_event() -> None:
    assert compare(clan(member(ANN)), clan(member(ANN))) == []


def test_reordered_member_list_causes_no_event() -> None:
    assert compare(clan(member(ANN), member(BOB)), clan(member(BOB), member(ANN))) == []


def test_join_and_leave_are_reported_if_the_count_is_unchanged() -> None:
    assert compare(clan(member(ANN), member(BOB)), clan(member(ANN), member(CAT))) == [
        ("member_left", BOB),
        ("member_joined", CAT),
    ]


def test_member_joined_event_contains_the_members_entry() -> None:
    events = compare_clan(clan(member(ANN)), clan(member(ANN), member(BOB, role="admin")), at=7.0)
    joined = events[-1]
    assert joined.event_type is EventType.MEMBER_JOINED
    assert (joined.tag, joined.name, joined.timestamp) == (CLAN_TAG, "The Order", 7.0)
    assert joined.old_data is None
    assert joined.new_data == member(BOB, role="admin")
    assert joined.metadata["role"] == "admin"


@pytest.mark.parametrize("listed", [[], None, [member(ANN)]], ids=["empty", "missing", "short"])
def test_incomplete_member_list_causes_no_leave(listed: list[Json] | None) -> None:
    old = clan(member(ANN), member(BOB))
    new = clan(member(ANN), member(BOB))
    if listed is None:
        del new["memberList"]
    else:
        new["memberList"] = listed
    assert compare(old, new) == []
    assert {entry["tag"] for entry in restore_missing_members(old, new).clan["memberList"]} == {ANN, BOB}


def test_member_missing_from_two_short_lists_has_left() -> None:
    old = clan(member(ANN), member(BOB), member(CAT))
    short = {**clan(member(ANN), member(BOB)), "members": 3}
    first = restore_missing_members(old, short)
    assert first.missing == [CAT]
    assert compare_clan(old, first.clan, at=1.0) == []
    second = restore_missing_members(first.clan, short, left=first.missing)
    assert second.missing == []
    assert [event.metadata["member_tag"] for event in compare_clan(first.clan, second.clan, at=1.0)] == [CAT]


def test_empty_member_list_never_causes_a_leave() -> None:
    old = clan(member(ANN), member(BOB))
    empty = {**clan(), "members": 2}
    first = restore_missing_members(old, empty)
    second = restore_missing_members(first.clan, empty, left=first.missing)
    assert (first.missing, second.missing) == ([], [])
    assert compare_clan(old, second.clan, at=1.0) == []


def test_season_end_is_one_event_and_no_donations() -> None:
    before = [member(f"#2P{letter}", donations=100 + number) for number, letter in enumerate("0289PYLQ")]
    after = [{**one, "donations": 0, "donationsReceived": 0} for one in before]
    after[0] = {**after[0], "donations": 300}
    (event,) = compare_clan(clan(*before), clan(*after), at=1.0)
    assert event.event_type is EventType.SEASON_RESET
    assert event.metadata == {
        "members": 8,
        "season_donations": 828,
        "season_donations_received": 400,
        "top_donor_tag": "#2PQ",
        "top_donor_name": "Name of #2PQ",
        "top_donations": 107,
    }


def test_slightly_lower_donations_of_all_members_look_stale() -> None:
    newer, older = ([member(f"#2P{letter}", donations=amount) for letter in "0289PYLQ"] for amount in (505, 500))
    assert compare_clan(clan(*newer), clan(*older), at=1.0) == []
    assert clan_looks_stale(clan(*newer), clan(*older))


def test_reset_donations_of_a_minority_are_not_a_season_end() -> None:
    members = [member(f"#2P{letter}", donations=1 if letter in "LQGR" else 900) for letter in "0289PYLQGR"]
    reset = [one if one["donations"] == 1 else {**one, "donations": 0, "donationsReceived": 0} for one in members]
    assert types(compare_clan(clan(*members), clan(*reset), at=1.0)) == ["season_reset"]
    minority = [*reset[:4], *members[4:]]
    assert compare_clan(clan(*members), clan(*minority), at=1.0) == []


def test_known_season_end_is_reported_even_if_donations_rose() -> None:
    old, new = clan(member(ANN, donations=20)), clan(member(ANN, donations=300))
    assert types(compare_clan(old, new, at=1.0, season_ended=True)) == ["season_reset"]


def test_reset_donations_are_not_a_season_end_if_none_ended() -> None:
    before, after = (clan(*(member(f"#2P{letter}", donations=amount) for letter in "0289")) for amount in (500, 0))
    assert compare_clan(before, after, at=1.0, season_ended=False) == []
    risen = clan(*(member(f"#2P{letter}", donations=0) for letter in "028"), member("#2P9", donations=540))
    assert types(compare_clan(before, risen, at=1.0, season_ended=False)) == ["member_donations"]


@pytest.mark.parametrize(
    ("since", "until", "ended"),
    [
        ("2026-10-26T12:00", "2026-11-02T04:59", False),
        ("2026-10-26T12:00", "2026-11-02T05:59", False),
        ("2026-10-26T12:00", "2026-11-02T06:00", True),
        ("2026-11-02T05:00", "2026-11-30T05:30", False),
        ("2025-10-01T05:00", "2025-10-06T06:00", True),
    ],
)
def test_seasons_end_every_four_weeks(since: str, until: str, ended: bool) -> None:
    times = (datetime.fromisoformat(f"{moment}+00:00").timestamp() for moment in (since, until))
    assert season_ended_between(*times) is ended


def test_member_listed_twice_counts_once() -> None:
    old = clan(member(ANN), member(BOB))
    twice = {**clan(member(ANN), member(ANN)), "members": 2}
    roster = restore_missing_members(old, twice)
    assert (roster.missing, roster.is_complete) == ([BOB], False)
    assert compare_clan(old, roster.clan, at=1.0) == []


def test_reset_donations_of_one_member_are_not_a_season_end() -> None:
    members = [member(f"#2P{letter}") for letter in "0289"]
    back = [member("#2P0", donations=0, donationsReceived=0), *members[1:]]
    assert compare_clan(clan(*members), clan(*back), at=1.0) == []


@pytest.mark.parametrize(
    "stale",
    [
        clan(member(ANN), member(BOB), clanLevel=18),
        clan(member(ANN, expLevel=9), member(BOB)),
        clan(member(ANN), member(BOB, donations=99)),
        clan(member(ANN, townHallLevel=14)),
        clan(member(ANN), member(BOB), warWins=6),
    ],
    ids=["level", "experience", "donations", "town hall", "wins"],
)
def test_clan_with_a_decreased_value_looks_stale(stale: Json) -> None:
    now = clan(member(ANN, expLevel=10), member(BOB), warWins=7)
    assert clan_looks_stale(now, stale)
    assert not clan_looks_stale(stale, now)


def test_clan_without_a_permanent_field_looks_stale() -> None:
    complete = clan(member(ANN), warLosses=7)
    assert clan_looks_stale(complete, {key: value for key, value in complete.items() if key != "warLeague"})
    assert not clan_looks_stale(complete, {key: value for key, value in complete.items() if key != "warLosses"})
    without_role = {key: value for key, value in member(ANN).items() if key != "role"}
    assert clan_looks_stale(complete, clan(without_role, warLosses=7))


def test_reset_donations_of_five_members_do_not_look_stale() -> None:
    def looks_stale_after_reset(letters: str) -> bool:
        before = [member(f"#2P{letter}") for letter in letters]
        after = [{**one, "donations": 0, "donationsReceived": 0} for one in before]
        return clan_looks_stale(clan(*before), clan(*after))

    assert not looks_stale_after_reset("0289P")
    assert looks_stale_after_reset("0289"), "a stale response might show so few"


def test_change_to_unknown_role_has_no_direction() -> None:
    (event,) = compare_clan(clan(member(ANN)), clan(member(ANN, role="warlord")), at=1.0)
    assert event.event_type is EventType.MEMBER_ROLE_CHANGED
    assert event.metadata["direction"] is None


def test_reordered_clan_lists_cause_no_event() -> None:
    labels = [{"id": 1, "name": "A"}, {"id": 2, "name": "B"}]
    old = clan(member(ANN), labels=labels, clanCapital={"districts": labels})
    new = clan(member(ANN), labels=labels[::-1], clanCapital={"districts": labels[::-1]})
    assert compare_clan(old, new, at=1.0) == []


def test_new_member_in_a_short_list_has_joined() -> None:
    old = clan(member(ANN), member(BOB))
    new = {**clan(member(CAT)), "members": 3}
    assert compare(old, new) == [("clan_updated", None), ("member_joined", CAT)]


@pytest.mark.parametrize(
    ("old_role", "new_role", "direction"),
    [("member", "admin", "promoted"), ("coLeader", "admin", "demoted"), ("admin", "leader", "promoted")],
)
def test_role_change_has_its_direction(old_role: str, new_role: str, direction: str) -> None:
    events = compare_clan(clan(member(ANN, role=old_role)), clan(member(ANN, role=new_role)), at=1.0)
    assert [event.event_type for event in events] == [EventType.MEMBER_ROLE_CHANGED]
    assert events[0].metadata == {
        "member_tag": ANN,
        "member_name": f"Name of {ANN}",
        "old_role": old_role,
        "new_role": new_role,
        "direction": direction,
    }


def test_member_donations_are_the_increase() -> None:
    events = compare_clan(
        clan(member(ANN, donations=100, donationsReceived=50)),
        clan(member(ANN, donations=130, donationsReceived=50)),
        at=1.0,
    )
    assert [event.event_type for event in events] == [EventType.MEMBER_DONATIONS]
    assert events[0].metadata["donations"] == 30
    assert events[0].metadata["donationsReceived"] == 0
    assert events[0].changes == (Change("donations", 100, 130),)


def test_decreased_donations_cause_no_event() -> None:
    assert compare(clan(member(ANN, donations=100)), clan(member(ANN, donations=0))) == []


@pytest.mark.parametrize("field", ["trophies", "clanRank", "previousClanRank", "builderBaseTrophies", "expLevel"])
def test_frequently_changing_member_field_causes_no_event(field: str) -> None:
    assert compare(clan(member(ANN, **{field: 1})), clan(member(ANN, **{field: 2}))) == []


@pytest.mark.parametrize(
    ("field", "value"), [("name", "New"), ("townHallLevel", 16), ("leagueTier", {"id": 1, "name": "Other"})]
)
def test_member_updated_event_lists_the_changed_field(field: str, value: Any) -> None:
    events = compare_clan(clan(member(ANN)), clan(member(ANN, **{field: value})), at=1.0)
    assert [event.event_type for event in events] == [EventType.MEMBER_UPDATED]
    assert events[0].changes == (Change(field, member(ANN)[field], value),)


def test_nested_clan_field_is_named_by_its_path() -> None:
    new = clan(member(ANN), warLeague={"id": 48000012, "name": "Crystal League II"})
    (event,) = compare_clan(clan(member(ANN)), new, at=1.0)
    assert event.changes == (Change("warLeague.name", "Crystal League I", "Crystal League II"),)


def test_members_are_not_compared_if_disabled() -> None:
    assert compare(clan(member(ANN)), clan(member(BOB), clanPoints=9), members=False) == [("clan_updated", None)]
