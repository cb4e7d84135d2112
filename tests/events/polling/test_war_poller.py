"""The lookup of a war's unobserved end, and the time of the next poll of a war."""

from __future__ import annotations

import math
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.clash import (
    ClashError,
    InvalidResponseError,
    MaintenanceError,
    NotFoundError,
    PrivateWarLogError,
    ServerError,
    TruncatedResponseError,
)
from coc2mqtt.events.polling.api_monitor import ApiMonitor
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.polling.war_poller import WarPoller
from coc2mqtt.events.resource import Kind
from tests.support.bodies import CLAN_TAG, OPPONENT_TAG, attack, no_war, war
from tests.support.replay import Replay

if TYPE_CHECKING:
    from tests.events.conftest import Bench

END = 1_793_689_200.0
FIRST = attack("#2P2", "#8Q2", 1)
NEXT = war("preparation", start="20261103T073000.000Z")
THEIRS, LOG = f"/clans/{OPPONENT_TAG}/currentwar", f"/clans/{CLAN_TAG}/warlog"


@pytest.fixture
def replay() -> Replay:
    replay = Replay(Kind.WAR, CLAN_TAG, now=END - 60)
    replay.feed(war("inWar", FIRST), after=0)
    replay.api.requests.clear()
    return replay


def ended_in(replay: Replay) -> dict[str, Any]:
    (ended,) = [event.metadata for event in replay.events if event.event_type.value == "war_ended"]
    return ended


async def test_replaced_war_is_looked_up_in_the_opponents_war(bench: Bench) -> None:
    monitor = ApiMonitor(bench.store, now=bench.clock, on_change=lambda _: None)
    context = PollContext(bench.api, bench.store, monitor, bench.clock, bench.clock)
    subject = WarPoller(context, bench.clan, interval=60)
    bench.world.declare_war(bench.clan)
    bench.world.start_battle(bench.clan)
    await subject.poll()
    (attacked,) = bench.world.attack(bench.clan)
    bench.calendar.now += timedelta(days=2)
    ended, *_ = bench.world.replace_war(bench.clan)
    events = (await subject.poll()).events
    assert [event.event_type.value for event in events] == [
        *("war_attack_new", "war_ended", "war_new", "war_state_changed")
    ]
    assert events[0].metadata["order"] == attacked.details["order"]
    assert events[1].metadata["result"] == ended.details["result"]
    assert events[1].metadata["source"] == "opponent"
    assert bench.queued_types()[-4:] == [event.event_type.value for event in events]


@pytest.mark.parametrize(
    "theirs",
    [
        NotFoundError("gone"),
        PrivateWarLogError("private"),
        InvalidResponseError("half"),
        no_war(),
        war("inWar", FIRST, swapped=True),
        {"state": 7},
    ],
    ids=["missing", "private", "invalid", "no war", "older response", "malformed"],
)
def test_replaced_war_is_looked_up_in_the_war_log_as_a_fallback(replay: Replay, theirs: Any) -> None:
    replay.api.responses[THEIRS] = theirs
    sides = {"clan": {"tag": CLAN_TAG, "stars": 9}, "opponent": {"tag": OPPONENT_TAG, "stars": 4}}
    replay.api.responses[LOG] = {"items": [{"result": "win", "endTime": "20261103T070000.000Z", **sides}]}
    replay.feed(NEXT, after=3600)
    assert replay.api.requests[1:] == [THEIRS, LOG]
    assert ended_in(replay)["source"] == "war_log"


DEEP: dict[str, Any] = reduce(lambda inner, _: {"stars": inner}, range(245), {})
DEEP_ENTRY = {"result": "win", "endTime": "20261103T070000.000Z", "clan": DEEP, "opponent": {"tag": OPPONENT_TAG}}


@pytest.mark.parametrize("log", [NotFoundError("gone"), {"items": []}, {"items": 7}, {}, {"items": [DEEP_ENTRY]}])
def test_result_of_a_replaced_war_without_any_source_is_unknown(replay: Replay, log: Any) -> None:
    replay.api.responses[LOG] = log
    assert replay.feed(NEXT, after=3600) == ["war_ended", "war_new", "war_state_changed"]
    ended = ended_in(replay)
    assert (ended["result"], ended["observed"], ended["source"]) == ("unknown", False, "last_seen")


def test_temporary_failure_of_the_lookup_defers_the_response(replay: Replay) -> None:
    replay.api.responses[THEIRS] = ServerError("502")
    assert [replay.feed(NEXT, after=3600), replay.feed(NEXT)] == [[], []], "it is not a failure of this clan"
    replay.api.responses[THEIRS] = war("warEnded", FIRST, swapped=True)
    assert replay.feed(NEXT) == ["war_ended", "war_new", "war_state_changed"]
    assert ended_in(replay)["result"] == "win"


@pytest.mark.parametrize("trouble", [ServerError("502"), TruncatedResponseError("cut"), MaintenanceError("down")])
def test_persistent_failure_of_the_lookup_defers_the_end_for_three_polls(replay: Replay, trouble: ClashError) -> None:
    replay.api.responses[THEIRS] = trouble
    assert [replay.feed(NEXT, after=3600), replay.feed(NEXT)] == [[], []]
    assert replay.feed(NEXT) == ["war_ended", "war_new", "war_state_changed"]
    assert ended_in(replay)["result"] == "unknown"


def test_observed_end_of_a_war_is_not_looked_up(replay: Replay) -> None:
    for response in (war("warEnded", FIRST), war("warEnded", FIRST), NEXT):
        replay.feed(response)
    assert not set(replay.api.requests) & {THEIRS, LOG}


def test_war_is_polled_after_start_and_end_until_its_result_is_final() -> None:
    start = 1_793_602_800.0
    replay = Replay(Kind.WAR, CLAN_TAG, now=start - 1000)

    def latest_after(response: dict[str, Any], at: float) -> float:
        replay.feed(response, after=at - replay.now)
        return replay.latest

    assert latest_after(war("preparation"), start - 1000) == 1001
    assert latest_after(war("preparation"), start - 400) == 401, "the same with an unchanged response"
    assert latest_after(war("preparation"), start + 1) == 60
    assert latest_after(war("inWar"), start + 61) == END - start - 60
    assert latest_after({**war("inWar"), "endTime": "20261103T075516.000Z"}, END) == 3317, "shifted by a maintenance"
    assert latest_after(war("warEnded"), END + 3400) == math.inf, "the result is final long after the end"
    replay = Replay(Kind.WAR, CLAN_TAG, now=END - 10)
    replay.feed(war("inWar"), after=0)
    assert latest_after(war("warEnded"), END + 1) == 60
    assert latest_after(war("warEnded"), END + 61) == 60
    assert latest_after(war("warEnded"), END + 301) == math.inf


def test_war_that_the_opponent_still_shows_continues(replay: Replay) -> None:
    replay.api.responses[THEIRS] = war("inWar", FIRST, swapped=True)
    assert [replay.feed(no_war(), after=10) for _ in range(20)] == [[]] * 20
    assert replay.feed(war("inWar", FIRST)) == []
    assert replay.feed(war("warEnded", FIRST), after=3600) == ["war_state_changed", "war_ended"]
    assert ended_in(replay)["result"] == "win"


def test_battle_that_vanished_around_its_end_is_over(replay: Replay) -> None:
    assert [replay.feed(no_war(), after=30), replay.feed(no_war(), after=20)] == [[], []], "before its end"
    assert replay.feed(no_war(), after=10) == ["war_ended", "war_state_changed"]


def test_battle_that_vanished_for_longer_than_any_cache_lives_is_over() -> None:
    replay = Replay(Kind.WAR, CLAN_TAG, now=END - 3600)
    replay.feed(war("inWar", FIRST), after=0)
    assert [replay.feed(no_war(), after=60) for _ in range(3)] == [[]] * 3
    assert replay.feed(no_war(), after=60) == ["war_ended", "war_state_changed"]


def test_war_result_is_not_changed_by_older_responses_accepted_later() -> None:
    lost = war("warEnded", FIRST, attack("#8Q2", "#2P2", 2, 3))
    replay = Replay(Kind.WAR, CLAN_TAG, now=END - 60)
    replay.feed(war("inWar", FIRST), after=0)
    replay.feed(lost, after=70)
    for _ in range(2):
        replay.feed(war("inWar", FIRST), after=10)
    for _ in range(2):
        replay.feed(no_war(), after=10)
    ended = ended_in(replay)
    assert (ended["result"], ended["observed"], ended["opponent_stars"]) == ("lose", True, 3)
