"""The retained state of wars, and a player's part in one."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from coc2mqtt.clash.response import api_time
from coc2mqtt.events.compare.war_diff import initial_war_memo
from coc2mqtt.events.compare.war_result import WarOutcome
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.mqtt.payloads.player import player_war_payload
from coc2mqtt.mqtt.payloads.state import state_payloads
from coc2mqtt.mqtt.payloads.war import war_payload
from tests.support.bodies import OPPONENT_TAG, attack, no_war, war
from tests.support.war_steps import END, in_battle, step, types

NEXT = "20261103T080000.000Z"
LOG_ENTRY = {**war("warEnded", start=NEXT), "endTime": "20261105T070000.000Z"}
WAR = Resource(Kind.WAR, "#2PP")
AT = 1_795_435_200.123


def war_state(data: dict[str, Any] | None, memo: dict[str, Any] | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = orjson.loads(war_payload("#2PP", Snapshot(data, memo or {}, AT)).encode())
    return shown


@pytest.mark.parametrize("swapped", [False, True])
def test_war_state_is_from_the_perspective_of_the_clan(swapped: bool) -> None:
    data = war("inWar", attack("#2P2", "#8Q2", 1, stars=3), attack("#8Q2", "#2P2", 2, stars=1), swapped=swapped)
    shown = war_state(data)
    assert shown["clan"] == {
        "tag": "#2PP",
        "name": "Name of #2PP",
        "level": 10,
        "stars": 3,
        "attacks": 1,
        "attacks_left": 3,
        "destruction": 10.0,
    }
    assert shown["opponent"]["tag"] == OPPONENT_TAG
    assert shown["status"] == "winning"
    assert (shown["state"], shown["war_log"], shown["team_size"], shown["attacks_per_member"]) == (
        "inWar",
        "public",
        2,
        2,
    )
    assert shown["war_id"] == "20261101T080000.000Z-2PP-8QQ"
    assert shown["preparation_start_time"] == "2026-11-01T08:00:00.000+00:00"
    assert shown["end_time"] == "2026-11-03T07:00:00.000+00:00"


@pytest.mark.parametrize(
    ("state", "own", "other", "status"),
    [
        ("inWar", (3, 10.0), (2, 90.0), "winning"),
        ("inWar", (2, 10.0), (2, 10.5), "losing"),
        ("warEnded", (2, 10), (2, 10.0), "tied"),
        ("warEnded", (3, 10), (2, 10.0), "won"),
        ("warEnded", (2, 9.5), (2, 10.0), "lost"),
        ("inWar", (0, 0.0), (0, 0.0), "tied"),
        ("inWar", (None, None), (0, 0.0), None),
        ("warEnded", (3, 50.0), (None, 40.0), None),
        ("preparation", (0, 0), (0, 0), None),
        ("notInWar", (3, 0), (0, 0), None),
    ],
)
def test_war_status_compares_stars_then_destruction(
    state: str, own: tuple[Any, Any], other: tuple[Any, Any], status: str | None
) -> None:
    data = war(state)
    for side, (stars, destruction) in (("clan", own), ("opponent", other)):
        data[side] |= {"stars": stars, "destructionPercentage": destruction}
    assert war_state(data)["status"] == status


def test_league_war_has_one_attack_per_member() -> None:
    data = war("inWar")
    del data["attacksPerMember"]
    assert war_state(data)["attacks_per_member"] == 1


@pytest.mark.parametrize(
    ("data", "memo", "state", "war_log"),
    [
        (no_war(), {}, "notInWar", "public"),
        (war("inWar"), {"private": True}, None, "private"),
        (None, {"private": True}, None, "private"),
    ],
)
def test_war_state_is_empty_without_a_war_or_with_private_log(
    data: dict[str, Any] | None, memo: dict[str, Any], state: str | None, war_log: str
) -> None:
    shown = war_state(data, memo)
    assert {key for key, value in shown.items() if value not in (None, [])} == {"war_log", "updated_at"} | (
        {"state"} if state else set()
    )
    assert (shown["state"], shown["war_log"]) == (state, war_log)


def test_war_without_data_has_no_state() -> None:
    assert state_payloads(WAR, Snapshot(None, {"trouble": "server_error"})) == {}


def last_war(memo: dict[str, Any]) -> Any:
    states = state_payloads(WAR, Snapshot(no_war(), memo, AT))
    return orjson.loads(states["last_war"].encode()) if "last_war" in states else None


@pytest.mark.parametrize(
    ("result", "shown"), [("win", "won"), ("lose", "lost"), ("tie", "tied"), ("unknown", "unknown")]
)
def test_last_war_is_the_result_of_war_ended(result: str, shown: str) -> None:
    stars = {"win": 3, "lose": 1, "tie": 2}.get(result)
    ended = war("warEnded", attack("#8Q2", "#2P2", 1, stars=2))
    ended["clan"] |= {"stars": stars, "destructionPercentage": 10.0}
    snapshot, events = step(in_battle(), ended, END + 600)
    assert types(events)[-1] == "war_ended"
    assert last_war(snapshot.memo) == {
        "war_id": events[-1].metadata["war_id"],
        "result": shown,
        "team_size": 2,
        "end_time": "2026-11-03T07:00:00.000+00:00",
        "clan": {"stars": stars, "destruction": 10.0},
        "opponent": {"tag": OPPONENT_TAG, "name": f"Name of {OPPONENT_TAG}", "stars": 2, "destruction": 10.0},
        "updated_at": "2026-11-03T07:10:00.000+00:00",
    }


def test_last_war_is_kept_until_the_next_war_has_ended() -> None:
    snapshot, _ = step(in_battle(), war("warEnded", attack("#2P2", "#8Q2", 1)), END + 600)
    first = last_war(snapshot.memo)
    for at, response in enumerate((no_war(), *(war(state, start=NEXT) for state in ("preparation", "inWar"))), 1):
        snapshot, _ = step(snapshot, response, END + 600 + 60 * at)
        assert last_war(orjson.loads(orjson.dumps(snapshot.memo))) == first
    snapshot, _ = step(snapshot, no_war(), END + 900, WarOutcome(log_entry={**LOG_ENTRY, "result": "lose"}))
    assert last_war(snapshot.memo)["result"] == "lost"
    assert last_war(snapshot.memo)["end_time"] == "2026-11-05T07:00:00.000+00:00"


def test_cancelled_war_is_the_last_one_without_an_end() -> None:
    prepared = Snapshot(war("preparation"), initial_war_memo(war("preparation")))
    snapshot, _ = step(prepared, no_war(), END - 90_000, WarOutcome(cancelled=True))
    assert (last_war(snapshot.memo)["result"], last_war(snapshot.memo)["end_time"]) == ("cancelled", None)


def test_war_that_was_over_at_the_first_poll_has_no_last_result() -> None:
    ended = war("warEnded", attack("#2P2", "#8Q2", 1))
    snapshot, events = step(Snapshot(ended, initial_war_memo(ended)), no_war(), END + 600)
    assert "war_ended" not in types(events)
    assert last_war(snapshot.memo) is None


def test_members_with_attacks_left_are_sorted_by_map_position() -> None:
    data = war("inWar", attack("#2P2", "#8Q2", 1), attack("#2P2", "#8Q8", 2), attack("#2P8", "#8Q2", 3))
    assert war_state(data)["members_with_attacks_left"] == [
        {"tag": "#2P8", "name": "Name of #2P8", "position": 2, "attacks_left": 1}
    ]
    data["clan"]["members"][0] |= {"attacks": [], "mapPosition": None}
    assert [member["position"] for member in war_state(data)["members_with_attacks_left"]] == [2, None]


def test_war_state_of_fifty_members_fits_entity_attributes() -> None:
    data = war("inWar")
    one = data["clan"]["members"][0]
    data["clan"]["members"] = [{**one, "name": "🏰" * 15, "mapPosition": number} for number in range(60)]
    shown = war_state(data)["members_with_attacks_left"]
    assert len(shown) == 50
    assert len(orjson.dumps(shown)) < 16_384


@pytest.mark.parametrize(
    ("data", "left", "pending"),
    [
        (war("preparation"), 2, False),
        (war("inWar", attack("#2P2", "#8Q2", 1)), 1, True),
        (war("inWar", attack("#2P2", "#8Q2", 1), swapped=True), 1, True),
        (war("inWar", attack("#2P2", "#8Q2", 1), attack("#2P2", "#8Q8", 2)), 0, False),
        (war("warEnded"), 0, False),
        (no_war(), 0, False),
        ({**war("inWar"), "clan": {"tag": "#2PP"}}, None, None),
        (None, 0, False),
    ],
)
def test_player_attack_is_pending_if_one_is_left_in_battle(
    data: dict[str, Any] | None, left: int | None, pending: bool | None
) -> None:
    shown = player_war_payload("#2P2", "#2PP", Snapshot(data, {}, AT))
    assert (shown.attacks_left, shown.attack_pending) == (left, pending)
    assert shown.clan_tag == "#2PP"


def test_player_war_is_unknown_with_private_log() -> None:
    shown = player_war_payload("#2P2", "#2PP", Snapshot(war("inWar"), {"private": True}, AT))
    assert (shown.state, shown.attacks_left, shown.attack_pending) == (None, None, None)


def test_player_outside_the_war_has_no_attacks_left() -> None:
    shown = player_war_payload("#900PUCPV", "#2PP", Snapshot(war("inWar"), {}, AT))
    assert (shown.state, shown.attacks_left, shown.attack_pending) == ("inWar", 0, False)
    assert shown.end_time == "2026-11-03T07:00:00.000+00:00"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20260417T011933.000Z", "2026-04-17T01:19:33.000+00:00"),
        ("20260417T011933Z", None),
        ("20261317T011933.000Z", None),
        ("2026-04-17", None),
        ("", None),
        (None, None),
        (20260417, None),
    ],
)
def test_api_time_is_converted_to_iso_8601(text: object, expected: str | None) -> None:
    assert api_time(text) == expected
