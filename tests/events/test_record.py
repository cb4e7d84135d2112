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
        ("war_attack_new", ATTACK, "Ann of The Others attacked Bob: 1 star, 67%"),
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
            "The Order's war against The Others ended, but its result is unknown",
        ),
        (
            "war_ended",
            {**WAR, **EVEN, "result": "lose", "destruction": 60.123, "opponent_destruction": 70},
            "The Order lost its war against The Others, 9 stars to 9 and 60.12% to 70% destruction",
        ),
        (
            "war_ended",
            {**WAR, **EVEN, "result": "tie", "destruction": 60, "opponent_destruction": 60},
            "The Order tied its war against The Others, 9 stars to 9",
        ),
        ("member_role_changed", {**WHO, "new_role": "warlord"}, "Kristen of The Order now has the role warlord"),
        ("player_league_changed", {"old_value": None, "new_value": "Gold"}, "The Order is now in Gold"),
        ("player_league_changed", {"old_value": "Gold", "new_value": None}, "The Order is no longer in a league"),
        (
            "season_reset",
            {"season_donations": 900},
            "A new season started: The Order donated 900 troops in the last one",
        ),
        (
            "townhall_weapon_upgraded",
            {"old_value": 1, "new_value": 2},
            "The Order upgraded the town hall weapon to level 2",
        ),
        ("super_troop_started", UNIT, "The Order boosted Archer"),
        ("super_troop_ended", UNIT, "The Order's Archer boost ended"),
        (
            "hero_equipment_changed",
            {"name": "Archer Queen", "added": ["Frozen Arrow"], "removed": ["Giant Arrow"]},
            "The Order's Archer Queen equipped Frozen Arrow and unequipped Giant Arrow",
        ),
        (
            "hero_equipment_changed",
            {"name": "Archer Queen", "added": [], "removed": ["Giant Arrow", "Frozen Arrow"]},
            "The Order's Archer Queen unequipped Giant Arrow and Frozen Arrow",
        ),
        ("player_war_preference_changed", {"new_value": "in"}, "The Order opted in to clan wars"),
        ("player_war_preference_changed", {"new_value": "out"}, "The Order opted out of clan wars"),
        ("player_war_preference_changed", {"new_value": "maybe"}, "The Order now has the war preference maybe"),
        ("player_clan_joined", {"clan_tag": "#8QQ", "clan_name": "The Others"}, "The Order joined The Others"),
        ("player_clan_left", {"clan_tag": "#8QQ", "clan_name": None}, "The Order left #8QQ"),
        ("achievement_completed", {"name": "Gold Grab"}, "The Order completed Gold Grab"),
        ("troop_upgraded", UNIT, "The Order upgraded Archer to level 4"),
        ("hero_upgraded", {**UNIT, "old_level": None}, "The Order unlocked Archer at level 4"),
        ("townhall_upgraded", {"old_value": 15, "new_value": 16}, "The Order upgraded the town hall to level 16"),
        ("builderhall_upgraded", {"old_value": 8, "new_value": 9}, "The Order upgraded the builder hall to level 9"),
        ("player_name_changed", {"old_value": "A", "new_value": "B"}, "A is now called B"),
        ("player_league_changed", VALUES, "The Order moved from Gold to Crystal"),
        ("player_label_changed", {"old_value": [], "new_value": ["X", "Y"]}, "The Order now has the labels X and Y"),
        ("player_label_changed", {"old_value": ["X"], "new_value": []}, "The Order no longer has any labels"),
        ("season_reset", {"season_donations": 1}, "A new season started: The Order donated 1 troop in the last one"),
        ("maintenance_start", {}, "Clash of Clans maintenance started"),
        (
            "maintenance_end",
            {"duration_seconds": 1810.2},
            "Clash of Clans maintenance ended after 30 minutes",
        ),
        ("poll_error", {"message": "no route"}, "The Order cannot be polled: no route"),
        ("war_log_private", {}, "The war log of The Order is now private"),
        ("war_log_public", {}, "The war log of The Order is now public"),
        ("watch_unavailable", {}, "The Order cannot be found"),
        ("watch_available", {}, "The Order was found again"),
        ("api_denied", {"message": "wrong token"}, "The Clash of Clans API rejected the token: wrong token"),
        ("api_restored", {}, "The Clash of Clans API is available again"),
    ],
)
def test_summary_describes_event(event_type: str, metadata: dict[str, object], summary: str) -> None:
    event = Event(EventType(event_type), "#2PP", 1.0, metadata=metadata, name="The Order")
    assert EventRecord.of(event).summary == summary


ROSE, LABELS = Change("clanPoints", 11601, 11775), Change("labels", [], [{"name": "x"}])
LEAGUE_ID, LEAGUE_NAME = Change("warLeague.id", 1, 2), Change("warLeague.name", "Gold League I", "Crystal League III")


@pytest.mark.parametrize("event_type", ["clan_updated", "player_updated", "member_updated"])
@pytest.mark.parametrize(
    ("changes", "summary"),
    [
        ([ROSE], "clan points rose from 11,601 to 11,775"),
        ([Change("attackWins", 4000, 0)], "attack wins fell from 4,000 to 0"),
        ([Change("isWarLogPublic", False, True)], "public war log changed from no to yes"),
        ([Change("type", "inviteOnly", "open")], "type changed from invite only to open"),
        ([Change("role", "admin", "coLeader")], "role changed from elder to co-leader"),
        ([Change("role", None, "member")], "role is now member"),
        ([Change("role", "member", None)], "role is no longer member"),
        ([Change("description", "", "Hello")], "description is now Hello"),
        ([LABELS], "labels changed"),
        ([LEAGUE_ID, LEAGUE_NAME], "war league changed from Gold League I to Crystal League III"),
        ([LEAGUE_ID], "war league changed"),
        ([Change("leagueTier", {"id": 1, "name": "A"}, {"id": 2, "name": "B"})], "league changed from A to B"),
        ([Change("badgeUrls.small", "https://a", "https://b"), Change("badgeUrls.large", "c", "d")], "badge changed"),
        ([ROSE, LABELS], "clan points and labels changed"),
        ([Change("aNewField", 1, None)], "a new field is no longer 1"),
        ([Change(field, 1, 2) for field in "abcde"], "a, b, c and 2 more changed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_summary_of_update_names_changed_fields(event_type: str, changes: list[Change], summary: str) -> None:
    event = Event(EventType(event_type), "#2PP", 1.0, changes=tuple(changes), metadata=WHO, name="The Order")
    assert EventRecord.of(event).summary.replace("Kristen of ", "") == f"The Order: {summary}"


@pytest.mark.parametrize("event_type", EventType)
def test_every_event_type_has_a_sentence(event_type: EventType) -> None:
    change = Change("clanPoints", 1, 2)
    metadata: dict[str, object] = {
        "message": "no route",
        "name": "Archer",
        "new_value": "a",
        "old_value": "b",
        "added": ["x"],
        "donations": 1,
        **WHO,
    }
    event = Event(event_type, "#2PP", changes=(change,), metadata=metadata)
    assert EventRecord.of(event).summary


def test_name_with_braces_is_kept_in_summary() -> None:
    event = Event(EventType.MEMBER_LEFT, "#2PP", metadata={**WHO, "member_name": "{subject}"}, name="{0}")
    assert EventRecord.of(event).summary == "{subject} left {0}"


def test_list_change_keeps_only_different_items() -> None:
    old = [{"name": f"Achievement {number}", "value": number, "info": "x" * 500} for number in range(50)]
    new = [*old[:-1], {**old[-1], "value": 99}]
    event = Event(EventType.PLAYER_UPDATED, "#2PP", changes=(Change("achievements", old, new),))
    (change,) = EventRecord.of(event).changes
    assert change == {
        "field": "achievements",
        "old_value": [{"name": "Achievement 49", "value": 49}],
        "new_value": [{"name": "Achievement 49", "value": 99}],
    }


def test_record_of_large_values_is_small() -> None:
    blob = {"text": "é" * 5000, "list": [[1] * 1000] * 50, "deep": {"name": "n" * 900, "x": {"y": 1}}}
    event = Event(EventType.CLAN_UPDATED, "#2PP", changes=(Change("a", blob, None),) * 100, metadata={"m": blob})
    record = EventRecord.of(event)
    assert record.metadata == {"left_out": 101}
    assert len(orjson.dumps(record)) < MAX_EVENT_BYTES


def test_value_too_large_after_trimming_is_left_out() -> None:
    wide = {f"key {number}": number for number in range(10_000)}
    changes = (Change("small", 1, 2), Change("wide", None, wide), Change("path." * 10_000, 1, 2))
    event = Event(
        EventType.CLAN_UPDATED, "#2PP", changes=changes, metadata={"role": wide, "tag": "#2PA"}, name="n" * 9000
    )
    record = EventRecord.of(event)
    assert record.changes == ({"field": "small", "old_value": 1, "new_value": 2},)
    assert record.metadata == {"tag": "#2PA", "left_out": 3}
    assert len(orjson.dumps(record)) < 2000


def test_name_that_is_not_a_string_is_none() -> None:
    event = Event(EventType.WAR_NEW, "#2PP", metadata=WAR, name={"no": "text"})  # type: ignore[arg-type]
    assert EventRecord.of(event).name is None
