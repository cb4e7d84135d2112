from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from coc2mqtt.events.compare.clan import clan_looks_stale, compare_clan, restore_missing_members
from coc2mqtt.events.compare.season import season_ended_between
from coc2mqtt.events.event import Change, EventType
from tests.support.bodies import CLAN_TAG, Json, clan, member

ANN, BOB, CAT = "#2PA", "#2PB", "#2PC"


def told(old: Json, new: Json, **options: Any) -> list[tuple[str, Any]]:
    return [
        (event.event_type.value, event.metadata.get("member_tag"))
        for event in compare_clan(old, restore_missing_members(old, new).clan, at=1.0, **options)
    ]


def test_the_same_clan_makes_no_event() -> None:
    assert told(clan(member(ANN)), clan(member(ANN))) == []


def test_the_order_of_the_member_list_does_not_matter() -> None:
    assert told(clan(member(ANN), member(BOB)), clan(member(BOB), member(ANN))) == []


def test_who_joins_and_who_leaves_is_told_even_when_the_count_stays() -> None:
    assert told(clan(member(ANN), member(BOB)), clan(member(ANN), member(CAT))) == [
        ("member_left", BOB),
        ("member_joined", CAT),
    ]


def test_a_join_carries_the_members_own_entry() -> None:
    events = compare_clan(clan(member(ANN)), clan(member(ANN), member(BOB, role="admin")), at=7.0)
    joined = events[-1]
    assert joined.event_type is EventType.MEMBER_JOINED
    assert (joined.tag, joined.name, joined.timestamp) == (CLAN_TAG, "The Order", 7.0)
    assert joined.old_data is None
    assert joined.new_data == member(BOB, role="admin")
    assert joined.metadata["role"] == "admin"


@pytest.mark.parametrize("listed", [[], None, [member(ANN)]], ids=["empty", "missing", "short"])
def test_a_short_member_list_is_no_evidence_that_anybody_left(listed: list[Json] | None) -> None:
    old = clan(member(ANN), member(BOB))
    new = clan(member(ANN), member(BOB))
    if listed is None:
        del new["memberList"]
    else:
        new["memberList"] = listed
    assert told(old, new) == []
    assert {entry["tag"] for entry in restore_missing_members(old, new).clan["memberList"]} == {ANN, BOB}


def test_who_is_missing_from_a_second_short_list_has_left() -> None:
    old = clan(member(ANN), member(BOB), member(CAT))
    short = {**clan(member(ANN), member(BOB)), "members": 3}
    first = restore_missing_members(old, short)
    assert first.missing == [CAT]
    assert compare_clan(old, first.clan, at=1.0) == []
    second = restore_missing_members(first.clan, short, missing=first.missing)
    assert second.missing == []
    assert [event.metadata["member_tag"] for event in compare_clan(first.clan, second.clan, at=1.0)] == [CAT]


def test_an_empty_list_is_no_evidence_however_often_it_comes() -> None:
    old = clan(member(ANN), member(BOB))
    empty = {**clan(), "members": 2}
    first = restore_missing_members(old, empty)
    second = restore_missing_members(first.clan, empty, missing=first.missing)
    assert (first.missing, second.missing) == ([], [])
    assert compare_clan(old, second.clan, at=1.0) == []


def test_a_season_that_ends_is_one_event_and_no_donation() -> None:
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


def test_a_little_less_of_everybodys_donations_is_an_older_answer_and_no_season() -> None:
    newer, older = ([member(f"#2P{letter}", donations=amount) for letter in "0289PYLQ"] for amount in (505, 500))
    assert compare_clan(clan(*newer), clan(*older), at=1.0) == []
    assert clan_looks_stale(clan(*newer), clan(*older))


def test_a_few_of_many_members_whose_donations_fell_to_nothing_are_no_season() -> None:
    members = [member(f"#2P{letter}", donations=1 if letter in "LQGR" else 900) for letter in "0289PYLQGR"]
    fallen = [one if one["donations"] == 1 else {**one, "donations": 0, "donationsReceived": 0} for one in members]
    assert [event.event_type for event in compare_clan(clan(*members), clan(*fallen), at=1.0)] == [
        EventType.SEASON_RESET
    ]
    few = [*fallen[:4], *members[4:]]
    assert compare_clan(clan(*members), clan(*few), at=1.0) == []


def test_where_a_season_is_known_to_have_ended_or_not_the_figures_do_not_decide() -> None:
    old, new = clan(member(ANN, donations=20)), clan(member(ANN, donations=300))
    assert [event.event_type for event in compare_clan(old, new, at=1.0, season_ended=True)] == [EventType.SEASON_RESET]
    before, after = (clan(*(member(f"#2P{letter}", donations=amount) for letter in "0289")) for amount in (500, 0))
    rise = clan(*(member(f"#2P{letter}", donations=0) for letter in "028"), member("#2P9", donations=540))
    assert [event.event_type for event in compare_clan(before, rise, at=1.0, season_ended=False)] == [
        EventType.MEMBER_DONATIONS
    ]
    assert compare_clan(before, after, at=1.0, season_ended=False) == []


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


def test_a_tag_that_is_listed_twice_counts_once() -> None:
    old = clan(member(ANN), member(BOB))
    twice = {**clan(member(ANN), member(ANN)), "members": 2}
    roster = restore_missing_members(old, twice)
    assert (roster.missing, roster.is_complete) == ([BOB], False)
    assert compare_clan(old, roster.clan, at=1.0) == []


def test_one_member_whose_donations_fell_is_no_season() -> None:
    members = [member(f"#2P{letter}") for letter in "0289"]
    back = [member("#2P0", donations=0, donationsReceived=0), *members[1:]]
    assert compare_clan(clan(*members), clan(*back), at=1.0) == []


@pytest.mark.parametrize(
    "older",
    [
        clan(member(ANN), member(BOB), clanLevel=18),
        clan(member(ANN, expLevel=9), member(BOB)),
        clan(member(ANN), member(BOB, donations=99)),
        clan(member(ANN, townHallLevel=14)),
        clan(member(ANN), member(BOB), warWins=6),
    ],
    ids=["level", "experience", "donations", "town hall", "wins"],
)
def test_less_of_what_only_grows_is_an_older_answer(older: Json) -> None:
    now = clan(member(ANN, expLevel=10), member(BOB), warWins=7)
    assert clan_looks_stale(now, older)
    assert not clan_looks_stale(older, now)


def test_what_is_missing_makes_half_an_answer_unless_it_comes_and_goes() -> None:
    whole = clan(member(ANN), warLosses=7)
    assert clan_looks_stale(whole, {key: value for key, value in whole.items() if key != "warLeague"})
    assert not clan_looks_stale(whole, {key: value for key, value in whole.items() if key != "warLosses"})
    nobody = {key: value for key, value in member(ANN).items() if key != "role"}
    assert clan_looks_stale(whole, clan(nobody, warLosses=7))


def test_a_whole_clans_donations_fall_at_the_end_of_a_season_and_are_no_older_answer() -> None:
    def fallen(letters: str) -> bool:
        before = [member(f"#2P{letter}") for letter in letters]
        after = [{**one, "donations": 0, "donationsReceived": 0} for one in before]
        return clan_looks_stale(clan(*before), clan(*after))

    assert not fallen("0289P")
    assert fallen("0289"), "of so few an older answer might show it, so it has to come twice"


def test_an_unknown_role_has_no_direction() -> None:
    (event,) = compare_clan(clan(member(ANN)), clan(member(ANN, role="warlord")), at=1.0)
    assert event.event_type is EventType.MEMBER_ROLE_CHANGED
    assert event.metadata["direction"] is None


def test_the_order_of_a_clans_own_lists_does_not_matter() -> None:
    labels = [{"id": 1, "name": "A"}, {"id": 2, "name": "B"}]
    old = clan(member(ANN), labels=labels, clanCapital={"districts": labels})
    new = clan(member(ANN), labels=labels[::-1], clanCapital={"districts": labels[::-1]})
    assert compare_clan(old, new, at=1.0) == []


def test_somebody_new_on_a_short_list_has_joined_all_the_same() -> None:
    old = clan(member(ANN), member(BOB))
    new = {**clan(member(CAT)), "members": 3}
    assert told(old, new) == [("clan_updated", None), ("member_joined", CAT)]


@pytest.mark.parametrize(
    ("old_role", "new_role", "direction"),
    [("member", "admin", "promoted"), ("coLeader", "admin", "demoted"), ("admin", "leader", "promoted")],
)
def test_a_role_change_says_in_which_direction(old_role: str, new_role: str, direction: str) -> None:
    events = compare_clan(clan(member(ANN, role=old_role)), clan(member(ANN, role=new_role)), at=1.0)
    assert [event.event_type for event in events] == [EventType.MEMBER_ROLE_CHANGED]
    assert events[0].metadata == {
        "member_tag": ANN,
        "member_name": f"Name of {ANN}",
        "old_role": old_role,
        "new_role": new_role,
        "direction": direction,
    }


def test_donations_are_what_was_added() -> None:
    events = compare_clan(
        clan(member(ANN, donations=100, donationsReceived=50)),
        clan(member(ANN, donations=130, donationsReceived=50)),
        at=1.0,
    )
    assert [event.event_type for event in events] == [EventType.MEMBER_DONATIONS]
    assert events[0].metadata["donations"] == 30
    assert events[0].metadata["donationsReceived"] == 0
    assert events[0].changes == (Change("donations", 100, 130),)


def test_donations_that_fall_are_a_season_reset_and_no_donation() -> None:
    assert told(clan(member(ANN, donations=100)), clan(member(ANN, donations=0))) == []


@pytest.mark.parametrize("field", ["trophies", "clanRank", "previousClanRank", "builderBaseTrophies", "expLevel"])
def test_what_changes_all_day_is_no_event(field: str) -> None:
    assert told(clan(member(ANN, **{field: 1})), clan(member(ANN, **{field: 2}))) == []


@pytest.mark.parametrize(
    ("field", "value"), [("name", "New"), ("townHallLevel", 16), ("leagueTier", {"id": 1, "name": "Other"})]
)
def test_a_member_update_has_exactly_the_fields_that_changed(field: str, value: Any) -> None:
    events = compare_clan(clan(member(ANN)), clan(member(ANN, **{field: value})), at=1.0)
    assert [event.event_type for event in events] == [EventType.MEMBER_UPDATED]
    assert events[0].changes == (Change(field, member(ANN)[field], value),)


def test_a_nested_field_of_the_clan_is_named_by_its_path() -> None:
    new = clan(member(ANN), warLeague={"id": 48000012, "name": "Crystal League II"})
    (event,) = compare_clan(clan(member(ANN)), new, at=1.0)
    assert event.changes == (Change("warLeague.name", "Crystal League I", "Crystal League II"),)


def test_without_members_only_the_clan_itself_is_compared() -> None:
    assert told(clan(member(ANN)), clan(member(BOB), clanPoints=9), members=False) == [("clan_updated", None)]
