from __future__ import annotations

import orjson
import pytest

from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.events.record import MAX_EVENT_BYTES, EventRecord

WHO = {"member_tag": "#2PA", "member_name": "Kristen"}
UNIT = {"name": "Archer", "old_level": 3, "new_level": 4}
VALUES = {"old_value": "Gold", "new_value": "Crystal"}
WAR = {"opponent_name": "The Others"}
EVEN = {"stars": 9, "opponent_stars": 9}
ATTACK = {
    **WAR,
    "attacker_name": "Ann",
    "defender_name": "Bob",
    "stars": 1,
    "destruction": 67,
    "side": "opponent",
}


@pytest.mark.parametrize(
    ("event_type", "metadata", "summary"),
    [
        ("member_joined", WHO, "Kristen joined The Order"),
        ("member_left", WHO, "Kristen left The Order"),
        (
            "member_role_changed",
            {**WHO, "new_role": "admin", "direction": "promoted"},
            "Kristen of The Order was promoted to elder",
        ),
        (
            "member_role_changed",
            {**WHO, "new_role": "member", "direction": "demoted"},
            "Kristen of The Order was demoted to member",
        ),
        (
            "member_donations",
            {**WHO, "donations": 30, "donationsReceived": 5},
            "Kristen of The Order donated 30 and received 5 troops",
        ),
        (
            "member_donations",
            {**WHO, "donations": 5, "donationsReceived": 1},
            "Kristen of The Order donated 5 and received 1 troop",
        ),
        ("war_new", WAR, "The Order is at war with The Others"),
        ("war_state_changed", {**WAR, "war_state_to": "inWar"}, "The Order is in battle against The Others"),
        ("war_state_changed", {**WAR, "war_state_to": "notInWar"}, "The Order is not in a war"),
        ("war_attack_new", ATTACK, "Ann of The Others attacked Bob: 1 star, 67 %"),
        (
            "war_ended",
            {**WAR, "result": "win", "stars": 30, "opponent_stars": 28},
            "The Order won its war against The Others, 30 stars to 28",
        ),
        (
            "war_ended",
            {**WAR, "result": "win", "stars": 1, "opponent_stars": 0},
            "The Order won its war against The Others, 1 star to 0",
        ),
        (
            "war_ended",
            {**WAR, "result": "unknown"},
            "The Order's war against The Others has ended, its result was not seen",
        ),
        (
            "war_ended",
            {**WAR, **EVEN, "result": "lose", "destruction": 60.123, "opponent_destruction": 70},
            "The Order lost its war against The Others, 9 stars to 9 and 60.12 to 70 % destruction",
        ),
        (
            "war_ended",
            {**WAR, **EVEN, "result": "tie", "destruction": 60, "opponent_destruction": 60},
            "The Order tied its war against The Others, 9 stars to 9",
        ),
        ("member_role_changed", {**WHO, "new_role": "warlord"}, "Kristen of The Order has the role warlord now"),
        ("player_league_changed", {"old_value": None, "new_value": "Gold"}, "The Order is in Gold now"),
        ("player_league_changed", {"old_value": "Gold", "new_value": None}, "The Order is in no league now"),
        (
            "season_reset",
            {"season_donations": 900},
            "A new season has begun: The Order donated 900 troops in the last one",
        ),
        (
            "townhall_weapon_upgraded",
            {"old_value": 1, "new_value": 2},
            "The Order upgraded the town hall's weapon to level 2",
        ),
        ("super_troop_started", UNIT, "The Order boosted Archer"),
        ("super_troop_ended", UNIT, "Archer of The Order is not boosted any more"),
        (
            "hero_equipment_changed",
            {"name": "Archer Queen", "added": ["Frozen Arrow"], "removed": ["Giant Arrow"]},
            "Archer Queen of The Order wears Frozen Arrow and put away Giant Arrow",
        ),
        (
            "hero_equipment_changed",
            {"name": "Archer Queen", "added": [], "removed": ["Giant Arrow", "Frozen Arrow"]},
            "Archer Queen of The Order put away Giant Arrow and Frozen Arrow",
        ),
        ("player_war_preference_changed", {"new_value": "in"}, "The Order wants to fight in wars now"),
        ("player_war_preference_changed", {"new_value": "out"}, "The Order does not want to fight in wars now"),
        ("player_war_preference_changed", {"new_value": "maybe"}, "The Order has the war preference maybe now"),
        ("player_clan_joined", {"clan_tag": "#8QQ", "clan_name": "The Others"}, "The Order joined The Others"),
        ("player_clan_left", {"clan_tag": "#8QQ", "clan_name": None}, "The Order left #8QQ"),
        ("achievement_completed", {"name": "Gold Grab"}, "The Order completed Gold Grab"),
        ("troop_upgraded", UNIT, "The Order upgraded Archer to level 4"),
        ("hero_upgraded", {**UNIT, "old_level": None}, "The Order unlocked Archer at level 4"),
        ("townhall_upgraded", {"old_value": 15, "new_value": 16}, "The Order upgraded the town hall to level 16"),
        ("builderhall_upgraded", {"old_value": 8, "new_value": 9}, "The Order upgraded the builder hall to level 9"),
        ("player_name_changed", {"old_value": "A", "new_value": "B"}, "A is called B now"),
        ("player_league_changed", VALUES, "The Order moved from Gold to Crystal"),
        ("player_label_changed", {"old_value": [], "new_value": ["X", "Y"]}, "The Order is labelled X, Y now"),
        ("player_label_changed", {"old_value": ["X"], "new_value": []}, "The Order has no labels now"),
        ("season_reset", {"season_donations": 1}, "A new season has begun: The Order donated 1 troop in the last one"),
        ("maintenance_start", {}, "Clash of Clans is in maintenance"),
        (
            "maintenance_end",
            {"duration_seconds": 1810.2},
            "The maintenance of Clash of Clans is over after 30 minutes",
        ),
        ("poll_error", {"message": "no route"}, "The Order cannot be polled: no route"),
        ("war_log_private", {}, "The war log of The Order is private now"),
        ("war_log_public", {}, "The war log of The Order is public now"),
        ("watch_unavailable", {}, "The Order cannot be found"),
        ("watch_available", {}, "The Order can be found again"),
        ("api_denied", {"message": "wrong token"}, "The Clash of Clans API refuses the token: wrong token"),
        ("api_restored", {}, "The Clash of Clans API answers again"),
    ],
)
def test_the_summary_is_a_sentence_to_be_shown(event_type: str, metadata: dict[str, object], summary: str) -> None:
    event = Event(EventType(event_type), "#2PP", 1.0, metadata=metadata, name="The Order")
    assert EventRecord.of(event).summary == summary


@pytest.mark.parametrize("event_type", ["clan_updated", "player_updated", "member_updated"])
def test_the_summary_of_an_update_names_what_changed(event_type: str) -> None:
    def summary(*changes: Change) -> str:
        event = Event(EventType(event_type), "#2PP", 1.0, changes=changes, metadata=WHO, name="The Order")
        return EventRecord.of(event).summary.replace("Kristen of ", "")

    one, long = Change("clanPoints", 1, 2), Change("labels", [], [{"name": "x"}])
    assert summary(one) == "The Order: clanPoints changed from 1 to 2"
    assert summary(long) == "The Order: labels changed"
    assert summary(Change("role", None, "member")) == "The Order: role is member now"
    assert summary(Change("role", "member", None)) == "The Order: role is no longer member"
    assert summary(one, one, one, one) == "The Order: clanPoints, clanPoints, clanPoints and 1 more changed"


def test_every_type_of_event_has_a_summary_even_without_a_name() -> None:
    from coc2mqtt.events.summary import _SENTENCES  # noqa: PLC0415 - the one look behind the door

    assert set(_SENTENCES) == set(EventType)


def test_a_name_with_braces_is_shown_as_it_is() -> None:
    event = Event(EventType.MEMBER_LEFT, "#2PP", metadata={**WHO, "member_name": "{m_x}"}, name="{0}")
    assert EventRecord.of(event).summary == "{m_x} left {0}"


def test_of_a_list_only_what_differs_is_kept() -> None:
    old = [{"name": f"Achievement {number}", "value": number, "info": "x" * 500} for number in range(50)]
    new = [*old[:-1], {**old[-1], "value": 99}]
    event = Event(EventType.PLAYER_UPDATED, "#2PP", changes=(Change("achievements", old, new),))
    (change,) = EventRecord.of(event).changes
    assert change == {
        "field": "achievements",
        "old_value": [{"name": "Achievement 49", "value": 49}],
        "new_value": [{"name": "Achievement 49", "value": 99}],
    }


def test_a_record_is_small_and_json_whatever_the_api_sent() -> None:
    blob = {"text": "é" * 5000, "list": [[1] * 1000] * 50, "deep": {"name": "n" * 900, "x": {"y": 1}}}
    event = Event(EventType.CLAN_UPDATED, "#2PP", changes=(Change("a", blob, None),) * 100, metadata={"m": blob})
    record = EventRecord.of(event)
    assert record.metadata == {"left_out": 101}
    assert len(orjson.dumps(record)) < MAX_EVENT_BYTES


def test_what_is_large_even_when_it_is_trimmed_is_left_out() -> None:
    wide = {f"key {number}": number for number in range(10_000)}
    changes = (Change("small", 1, 2), Change("wide", None, wide), Change("path." * 10_000, 1, 2))
    event = Event(
        EventType.CLAN_UPDATED, "#2PP", changes=changes, metadata={"role": wide, "tag": "#2PA"}, name="n" * 9000
    )
    record = EventRecord.of(event)
    assert record.changes == ({"field": "small", "old_value": 1, "new_value": 2},)
    assert record.metadata == {"tag": "#2PA", "left_out": 3}
    assert len(orjson.dumps(record)) < 2000


def test_a_name_that_is_no_text_is_none() -> None:
    event = Event(EventType.WAR_NEW, "#2PP", metadata=WAR, name={"no": "text"})  # type: ignore[arg-type]
    assert EventRecord.of(event).name is None
