"""Wars that are cancelled in preparation, and wars whose opponent is only partly known."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from coc2mqtt.clash import PrivateWarLogError, ServerError
from coc2mqtt.events.compare.war import war_id
from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind, Snapshot
from coc2mqtt.mqtt.payloads.war import war_payload
from tests.support.bodies import CLAN_TAG, OPPONENT_TAG, Json, attack, no_war, war
from tests.support.paths import SHARED
from tests.support.replay import Replay

CASE = SHARED / "cases" / "d09_opponent_without_name.json"
START = 1_793_602_800.0
THEIRS = f"/clans/{OPPONENT_TAG}/currentwar"
FIRST = attack("#2P2", "#8Q2", 1)
NEXT = war("preparation", start="20261101T200000.000Z")


def preparing(*, now: float = START - 3600, max_age: float = 0.0) -> Replay:
    replay = Replay(Kind.WAR, CLAN_TAG, now=now)
    replay.api.max_age = max_age
    assert replay.feed(war("preparation"), after=0.0) == []
    return replay


def feed_repeatedly(replay: Replay, response: Any, *, polls: int = 5) -> list[str]:
    return [event for _ in range(polls) for event in replay.feed(response, after=65.0)]


def summaries(replay: Replay) -> list[str]:
    return [EventRecord.of(event).summary for event in replay.events]


def test_war_cancelled_in_preparation_ends_without_a_battle_state() -> None:
    replay = preparing()
    assert feed_repeatedly(replay, no_war()) == ["war_ended", "war_state_changed"]
    ended, changed = replay.events
    metadata_model(ended.event_type).model_validate(ended.metadata)
    assert (ended.metadata["result"], ended.metadata["war_id"]) == ("cancelled", "20261101T080000.000Z-2PP-8QQ")
    assert (changed.metadata["war_state_from"], changed.metadata["war_state_to"]) == ("preparation", "notInWar")
    assert summaries(replay) == [
        f"The war of Name of {CLAN_TAG} against Name of {OPPONENT_TAG} was cancelled before the battle",
        f"{CLAN_TAG} is no longer in a war" if changed.name is None else f"{changed.name} is no longer in a war",
    ]
    assert feed_repeatedly(replay, NEXT) == ["war_new", "war_state_changed"]


def test_cached_response_without_a_war_does_not_cancel_the_war() -> None:
    replay = preparing(max_age=120.0)
    for _ in range(5):
        assert [replay.feed(no_war(), after=61.0), replay.feed(no_war(), after=61.0)] == [[], []]
        assert replay.feed(war("preparation"), after=61.0) == []


def test_war_cancelled_before_its_start_but_confirmed_after_it_is_cancelled() -> None:
    replay = preparing(now=START - 90)
    assert feed_repeatedly(replay, no_war()) == ["war_ended", "war_state_changed"]
    assert replay.events[0].metadata["result"] == "cancelled"


def test_war_that_the_opponent_still_shows_is_not_cancelled() -> None:
    replay = preparing()
    replay.api.responses[THEIRS] = war("preparation", swapped=True)
    assert feed_repeatedly(replay, no_war(), polls=20) == []
    assert replay.feed(war("preparation")) == []


def test_war_replaced_before_its_start_was_cancelled() -> None:
    replay = preparing()
    assert feed_repeatedly(replay, NEXT) == ["war_ended", "war_new"]
    assert replay.events[0].metadata["result"] == "cancelled"


@pytest.mark.parametrize("trouble", [PrivateWarLogError("private"), ServerError("502")])
def test_cancelled_war_is_detected_if_the_opponent_cannot_be_polled(trouble: Any) -> None:
    replay = preparing()
    replay.api.responses[THEIRS] = trouble
    assert feed_repeatedly(replay, no_war(), polls=8) == ["war_ended", "war_state_changed"]
    assert replay.events[0].metadata["result"] == "cancelled"


def test_war_that_started_and_ended_unobserved_is_not_cancelled() -> None:
    replay = preparing()
    replay.restart()
    assert feed_repeatedly(replay, no_war(), polls=1) == []
    replay = preparing()
    replay.restart()
    replay.now = START + 3 * 86_400
    assert feed_repeatedly(replay, no_war()) == ["war_ended", "war_state_changed"]
    assert replay.events[0].metadata["result"] == "unknown"


def bare(state: str, *attacks: Json, **opponent: Any) -> Json:
    body = war(state, *attacks)
    return {**body, "opponent": {**{key: body["opponent"][key] for key in ("tag", "members")}, **opponent}}


@pytest.mark.parametrize(
    ("opponent", "shown"),
    [
        ({"tag": OPPONENT_TAG, "name": None}, OPPONENT_TAG),
        ({"tag": OPPONENT_TAG, "name": ""}, OPPONENT_TAG),
        ({"tag": OPPONENT_TAG}, OPPONENT_TAG),
        ({}, "an unknown clan"),
        (None, "an unknown clan"),
        ("Beta", "an unknown clan"),
    ],
)
def test_opponent_without_a_name_is_shown_by_its_tag(opponent: Any, shown: str) -> None:
    replay = Replay(Kind.WAR, CLAN_TAG, now=START - 7200)
    replay.feed(no_war(), after=0.0)
    for state, now in (("preparation", START - 3600), ("inWar", START + 60), ("warEnded", START + 86_400 + 700)):
        replay.now = now
        replay.feed({**war(state), "opponent": opponent})
    assert [event.event_type.value for event in replay.events] == [
        *("war_new", "war_state_changed", "war_state_changed", "war_state_changed", "war_ended")
    ]
    assert summaries(replay)[0] == f"Name of {CLAN_TAG} was matched against {shown}"
    assert not [one for one in summaries(replay) if "None" in one or "  " in one or one.endswith(" ")]
    for event in replay.events:
        metadata_model(event.event_type).model_validate(event.metadata)
    side = war_payload(CLAN_TAG, Snapshot(replay.accepted)).opponent
    assert side is not None
    assert side.name == (OPPONENT_TAG if shown == OPPONENT_TAG else None)


def test_war_whose_opponent_becomes_known_later_is_the_same_war() -> None:
    replay = Replay(Kind.WAR, CLAN_TAG, now=START - 3600)
    replay.feed({**war("preparation"), "opponent": None}, after=0.0)
    assert replay.feed(war("preparation")) == []
    assert replay.feed({**war("preparation"), "opponent": None}) == []
    assert replay.feed(war("inWar", FIRST), after=3600) == ["war_state_changed", "war_attack_new"]


def test_war_without_times_is_reported() -> None:
    def undated(state: str, *attacks: Json) -> Json:
        body = war(state, *attacks)
        return {key: body[key] for key in body if not key.endswith("Time")}

    replay = Replay(Kind.WAR, CLAN_TAG, now=START - 3600)
    replay.feed(no_war(), after=0.0)
    assert replay.feed(undated("preparation")) == ["war_new", "war_state_changed"]
    assert replay.feed(undated("inWar", FIRST)) == ["war_state_changed", "war_attack_new"]
    assert replay.feed(undated("warEnded", FIRST)) == ["war_state_changed"]
    assert replay.feed(undated("warEnded", FIRST)) == ["war_ended"]


def test_war_without_sides_is_reported() -> None:
    replay = Replay(Kind.WAR, CLAN_TAG, now=START - 3600)
    replay.feed({"state": "notInWar"}, after=0.0)
    assert replay.feed({"state": "inWar"}) == ["war_new", "war_state_changed"]
    assert replay.feed({"state": "notInWar"}, after=300.0) == []
    assert "None" not in " ".join(summaries(replay))


def case() -> Json:
    body: Json = orjson.loads(CASE.read_bytes())
    return body


INLINE = {
    "state": "preparation",
    "teamSize": 1,
    "attacksPerMember": 2,
    "preparationStartTime": "20991101T000000.000Z",
    "startTime": "20991102T000000.000Z",
    "endTime": "20991103T000000.000Z",
    "clan": {
        "tag": "#2PP",
        "name": "Alpha",
        "clanLevel": 5,
        "attacks": 0,
        "stars": 0,
        "destructionPercentage": 0,
        "members": [{"tag": "#P0Y", "name": "M0", "townhallLevel": 9, "mapPosition": 1, "opponentAttacks": 0}],
    },
    "opponent": {
        "tag": "#8QQ",
        "clanLevel": 5,
        "attacks": 0,
        "stars": 0,
        "destructionPercentage": 0,
        "members": [{"tag": "#QQ0", "townhallLevel": 9, "mapPosition": 1, "opponentAttacks": 0}],
    },
}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda: INLINE, id="inline"),
        pytest.param(case, id="file", marks=pytest.mark.skipif(not CASE.exists(), reason="no ../shared/cases")),
    ],
)
def test_recorded_war_whose_opponent_has_no_name_is_reported_with_its_tag(body: Any) -> None:
    replay = Replay(Kind.WAR, "#2PP")
    replay.feed(no_war(), after=0.0)
    assert replay.feed(body()) == ["war_new", "war_state_changed"]
    assert summaries(replay) == ["Alpha was matched against #8QQ", "Alpha is preparing for war against #8QQ"]


def test_war_with_an_invalid_start_is_identified_by_its_end() -> None:
    known = {"state": "inWar", "startTime": 1, "endTime": "20261103T070000.000Z", "clan": {"tag": "#2PP"}}
    assert war_id(known) == "20261103T070000.000Z--2PP"
