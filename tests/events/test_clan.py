from __future__ import annotations

from typing import Any

import pytest

from coc2mqtt.events.clan import compare_clan, complete_members
from coc2mqtt.events.event import Change, EventType
from tests.events.builders import CLAN_TAG, Json, clan, member

ANN, BOB, CAT = "#2PA", "#2PB", "#2PC"


def told(old: Json, new: Json, **options: Any) -> list[tuple[str, Any]]:
    return [
        (event.event_type.value, event.metadata.get("member_tag"))
        for event in compare_clan(old, complete_members(old, new), at=1.0, **options)
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
    assert {entry["tag"] for entry in complete_members(old, new)["memberList"]} == {ANN, BOB}


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
