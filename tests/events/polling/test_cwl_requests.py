"""How many requests a clan war league costs, when they are made, and what failures do."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import pytest

from coc2mqtt.clash import ApiResponse, InvalidResponseError, MaintenanceError, NotFoundError, ServerError
from coc2mqtt.events.polling.cwl_poller import CwlPoller
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.polling.league_wars import LeagueWarCache
from coc2mqtt.events.resource import Kind, Watch
from tests.support.bodies import clan
from tests.support.leagues import (
    DAY,
    GROUP,
    HOUR,
    MINUTE,
    OWN,
    START,
    LeagueApi,
    LeagueReplay,
    ScriptedLeague,
    poll_until,
    snapshot_of,
    types,
    watched_from_the_start,
)
from tests.support.replay import Replay, run_without_loop

if TYPE_CHECKING:
    from coc2mqtt.clash import ClashClient
    from coc2mqtt.events.resource import Store

MAX_AGE = 600.0
BROKEN = ServerError("broken", status=500)


def path_of(tag: str) -> str:
    return f"/clanwarleagues/wars/{tag}"


def requests_of(replay: LeagueReplay, at: float) -> list[str]:
    """Poll, and return what was requested: ``group``, or the tag of a war."""
    before = len(replay.api.requests)
    replay.poll_at(at)
    return ["group" if path == GROUP else path.rpartition("/")[2] for path in replay.api.requests[before:]]


def test_own_war_is_searched_once_and_final_wars_are_not_fetched_again() -> None:
    league = ScriptedLeague()
    replay = LeagueReplay(league, max_age=MAX_AGE)
    assert requests_of(replay, -HOUR) == ["group"]
    first = requests_of(replay, 0.0)
    assert first[0] == "group"
    assert first[-1] == league.own(1).tag
    assert requests_of(replay, HOUR) == ["group", league.own(1).tag]
    requests_of(replay, DAY + HOUR)
    assert sorted(requests_of(replay, DAY + 2 * HOUR)) == sorted([league.own(1).tag, league.own(2).tag, "group"])
    requests_of(replay, 2 * DAY + 2 * HOUR)
    assert league.own(1).tag not in requests_of(replay, 2 * DAY + 3 * HOUR)
    poll_until(replay, 9 * DAY, begin=2 * DAY + 4 * HOUR)
    assert types(replay.events)[-1] == "cwl_ended"
    assert requests_of(replay, 9 * DAY + HOUR) == ["group"]


def test_league_outside_the_season_costs_one_request_per_poll() -> None:
    replay = LeagueReplay(ScriptedLeague(), max_age=MAX_AGE)
    assert [requests_of(replay, -DAY + number * MAX_AGE) for number in range(4)] == [["group"]] * 4


def test_response_is_not_requested_again_while_the_api_returns_the_same_one() -> None:
    league = ScriptedLeague()
    replay = LeagueReplay(league, max_age=MAX_AGE)
    poll_until(replay, DAY + 2 * HOUR, begin=-HOUR)
    requests_of(replay, DAY + 3 * HOUR)
    assert replay.earliest == MAX_AGE
    assert requests_of(replay, DAY + 3 * HOUR + 300) == [], "requested by the user, for example"
    assert replay.earliest == MAX_AGE - 300
    assert requests_of(replay, DAY + 3 * HOUR + MAX_AGE) != []


def test_standings_fetch_each_final_war_once() -> None:
    league = ScriptedLeague(clans=4)
    replay = LeagueReplay(league, max_age=MAX_AGE, standings=True)
    poll_until(replay, 5 * DAY, begin=-HOUR, step=MAX_AGE)
    counts = Counter(path for path in replay.api.requests if path != GROUP)
    assert set(counts) == {path_of(tag) for tag in league.wars}
    # Two days and the time until the result is final, at one request per cache entry.
    assert max(counts.values()) <= (2 * DAY + 30 * MINUTE) / MAX_AGE
    assert types(replay.events)[-1] == "cwl_ended"
    assert replay.events[-1].metadata["position"] is not None


def test_first_poll_in_the_last_round_leaves_some_requests_for_later() -> None:
    league = ScriptedLeague()
    replay = LeagueReplay(league, max_age=MAX_AGE, standings=True)
    first = requests_of(replay, 7 * DAY + HOUR)
    assert len(first) <= 1 + 8 + 12
    assert (replay.earliest, replay.latest) == (0.0, 30.0)
    second = requests_of(replay, 7 * DAY + HOUR + 30)
    assert "group" not in second
    assert len({*first, *second} - {"group"}) == len(league.wars)
    assert replay.earliest > 0


def test_two_watched_clans_of_one_group_share_requests() -> None:
    league = ScriptedLeague()
    other = league.clans[3]
    replay = LeagueReplay(league, max_age=MAX_AGE, standings=True)
    second = CwlPoller(replay.context, other, interval=MAX_AGE, standings=True)
    at = -HOUR
    while at < DAY:
        replay.poll_at(at)
        run_without_loop(second.poll())
        at += MAX_AGE
    wars = Counter(path for path in replay.api.requests if "wars" in path)
    polls = math.ceil(DAY / MAX_AGE)
    # Those of the second round become known at its end.
    assert [wars[path_of(war.tag)] for war in league.rounds[0]] == [polls] * 4
    assert Counter(replay.api.requests)[GROUP] == polls + 6


def test_clans_that_play_against_each_other_share_one_war() -> None:
    league = ScriptedLeague(clans=4)
    war = league.own(1)
    (other,) = {*war.clans} - {OWN}
    war.attack(war.start + HOUR, side=0)
    replay = LeagueReplay(league, max_age=MAX_AGE)
    second = CwlPoller(replay.context, other, interval=MAX_AGE)
    events = []
    for at in (-HOUR, 60.0, DAY + 2 * HOUR):
        replay.poll_at(at)
        events += run_without_loop(second.poll()).events
    assert Counter(replay.api.requests)[path_of(war.tag)] == 2
    sides = [next(one.metadata["side"] for one in found if "side" in one.metadata) for found in (replay.events, events)]
    assert sides == (["clan", "opponent"] if war.clans[0] == OWN else ["opponent", "clan"])


def test_poll_with_a_shared_response_is_repeated_when_that_one_expires() -> None:
    league = ScriptedLeague(clans=4)
    war = league.own(1)
    (other,) = {*war.clans} - {OWN}
    replay = watched_from_the_start(league, max_age=MAX_AGE)
    second = CwlPoller(replay.context, other, interval=MAX_AGE)
    replay.poll_at(DAY + 2 * HOUR)
    replay.now += 400.0
    assert run_without_loop(second.poll()).latest == pytest.approx(200.0)


def test_concurrent_polls_make_one_request_for_each_war() -> None:
    league = ScriptedLeague(clans=4)

    class SlowApi(LeagueApi):
        async def league_war(self, war_tag: str) -> ApiResponse:
            response = await super().league_war(war_tag)
            await asyncio.sleep(0.01)
            return response

    async def play() -> Counter[str]:
        replay = LeagueReplay(league, at=HOUR)
        api = SlowApi(league.response, lambda: START + HOUR)
        replay.api = api
        replay.restart()
        pollers = [CwlPoller(replay.context, tag, interval=MAX_AGE, standings=True) for tag in league.clans]
        await asyncio.gather(*(poller.poll() for poller in pollers))
        return Counter(api.requests)

    counts = asyncio.run(play())
    assert [counts[path_of(war.tag)] for war in league.rounds[0]] == [1, 1]


def test_cache_is_bounded_and_frees_expired_wars() -> None:
    league = ScriptedLeague()
    replay = LeagueReplay(league, at=HOUR, max_age=MAX_AGE)
    size = len(run_without_loop(replay.api.league_war(league.own(1).tag)).body)
    cache = LeagueWarCache(max_bytes=5 * size // 2)
    for war in league.rounds[0]:
        run_without_loop(cache.get(war.tag, replay.context))
    assert len(cache) == 2
    replay.now += MAX_AGE
    cache.free_expired(replay.now)
    assert len(cache) == 0


def test_poll_is_due_at_the_start_and_end_of_each_battle_and_when_a_round_is_drawn() -> None:
    league = ScriptedLeague(clans=4)
    replay = watched_from_the_start(league)
    start = league.own(1).start - START
    replay.poll_at(start - 100)
    assert replay.latest == pytest.approx(101, abs=1)
    replay.poll_at(start + 2)
    assert replay.latest == pytest.approx(13, abs=1), "the next round is drawn some seconds after the start"
    replay.poll_at(DAY + HOUR)
    assert replay.latest == 600.0
    poll_until(replay, 4 * DAY - HOUR, begin=DAY + 2 * HOUR)
    end = league.own(3).end - START
    replay.poll_at(end - 50)
    assert replay.latest == pytest.approx(51, abs=1)
    replay.poll_at(end + 2)
    assert replay.latest == 60.0, "until the result is final"


def test_poll_at_the_end_of_a_battle_waits_for_the_cache_entry_of_that_war() -> None:
    league = ScriptedLeague(clans=4)
    replay = watched_from_the_start(league, max_age=MAX_AGE)
    poll_until(replay, DAY + 2 * HOUR, begin=HOUR)
    end = league.own(1).end - START
    replay.poll_at(end - 200)
    assert replay.latest == pytest.approx(MAX_AGE)
    replay.poll_at(end + 400)
    assert replay.latest == pytest.approx(MAX_AGE)


def test_failure_of_an_own_war_is_repeated_soon_and_loses_nothing() -> None:
    league = ScriptedLeague(clans=4)
    war = league.own(1)
    war.attack(war.start + HOUR)
    replay = watched_from_the_start(league, max_age=MAX_AGE)
    replay.api.responses[path_of(war.tag)] = BROKEN
    assert replay.types_at(DAY + 2 * HOUR) == ["poll_error"]
    assert (replay.events[-1].metadata["endpoint"], replay.backoff) == ("leaguegroup", 60.0)
    assert replay.types_at(DAY + 2 * HOUR + 60) == []
    assert replay.backoff == 120.0
    del replay.api.responses[path_of(war.tag)]
    assert sorted(replay.types_at(DAY + 3 * HOUR)) == ["cwl_attack_new", "cwl_round_new", "cwl_round_state_changed"]


@pytest.mark.parametrize("error", [BROKEN, NotFoundError("gone"), InvalidResponseError("bad")])
def test_war_of_other_clans_that_fails_is_left_out(error: Exception) -> None:
    league = ScriptedLeague(clans=4)
    replay = LeagueReplay(league, standings=True)
    replay.poll_at(-HOUR)
    other = next(war for war in league.rounds[2] if OWN not in war.clans)
    replay.api.responses[path_of(other.tag)] = cast("Any", error)
    poll_until(replay, 4 * DAY + HOUR, begin=60)
    assert "cwl_ended" not in types(replay.events), "the last wars of the group are awaited"
    events = poll_until(replay, 4 * DAY + 3 * HOUR, begin=4 * DAY + HOUR)
    assert [(event.event_type.value, event.metadata["position"]) for event in events] == [("cwl_ended", None)]
    assert "poll_error" not in types(replay.events)


@pytest.mark.parametrize("body", [{}, {"state": "inWar"}, {"state": "inWar", "clan": {"tag": 5}, "opponent": []}, []])
def test_malformed_own_war_is_left_out_until_it_is_valid(body: Any) -> None:
    league = ScriptedLeague(clans=4)
    war = league.own(1)
    war.attack(war.start + HOUR)
    replay = watched_from_the_start(league)
    replay.api.responses[path_of(war.tag)] = body
    assert replay.types_at(DAY + 2 * HOUR) == ["cwl_round_new"]
    del replay.api.responses[path_of(war.tag)]
    assert replay.types_at(DAY + 3 * HOUR) == ["cwl_round_state_changed", "cwl_attack_new"]


def test_own_war_that_is_gone_for_hours_after_its_end_ends_with_an_unknown_result() -> None:
    league = ScriptedLeague(clans=4)
    league.own(1).attack(league.own(1).start + HOUR, side=league.own_side(1))
    replay = watched_from_the_start(league)
    replay.poll_at(DAY + 2 * HOUR)
    replay.api.responses[path_of(league.own(1).tag)] = NotFoundError("gone")
    events = poll_until(replay, 2 * DAY + 3 * HOUR, begin=DAY + 3 * HOUR)
    (ended,) = (event for event in events if event.event_type.value == "cwl_round_ended")
    assert (ended.metadata["result"], ended.metadata["bonus_stars"], ended.metadata["total_stars"]) == (
        "unknown",
        None,
        None,
    )
    events = poll_until(replay, 6 * DAY, begin=2 * DAY + 4 * HOUR)
    assert (events[-1].event_type.value, events[-1].metadata["complete"]) == ("cwl_ended", False)
    assert (events[-1].metadata["won"], events[-1].metadata["stars"]) == (0, 2), "no bonus for an unknown result"


@pytest.mark.parametrize(
    "body",
    [{"clans": []}, {"state": 5}, {"state": "inWar", "clans": 5}, {"state": "inWar", "clans": [{"tag": "#8QQ"}]}],
)
def test_group_that_is_not_the_clans_is_one_failure(body: Any) -> None:
    league = ScriptedLeague(clans=4)
    replay = watched_from_the_start(league)
    replay.api.responses[GROUP] = body
    assert replay.types_at(HOUR) == ["poll_error"]
    assert replay.types_at(2 * HOUR) == []
    del replay.api.responses[GROUP]
    assert replay.types_at(DAY + HOUR) == ["cwl_round_state_changed", "cwl_round_new"]


def test_maintenance_is_no_failure_of_the_league() -> None:
    replay = watched_from_the_start(ScriptedLeague(clans=4))
    replay.api.responses[GROUP] = MaintenanceError("maintenance", status=503)
    assert replay.types_at(HOUR) == []
    assert "trouble" not in snapshot_of(replay).memo


def test_event_about_a_failure_has_the_name_of_the_clan() -> None:
    own = Replay(Kind.CLAN, OWN)
    own.feed(clan())
    replay = LeagueReplay(ScriptedLeague())
    replay.share(own)
    replay.api.responses[GROUP] = BROKEN
    assert [event.name for event in replay.poll_at(-HOUR)] == ["The Order"]


def test_clock_that_is_set_during_the_last_minutes_of_a_war_changes_no_result() -> None:
    league = ScriptedLeague(clans=4)
    replay = watched_from_the_start(league)
    poll_until(replay, DAY + 2 * HOUR, begin=HOUR)
    end = league.own(1).end - START
    assert "cwl_round_ended" not in replay.types_at(end + 60)
    assert "cwl_round_ended" not in replay.types_at(end + 120)
    replay.set_clock(-HOUR)
    replay.api.now = lambda: replay.now - replay.jumped
    for _ in range(10):
        replay.now += MINUTE
        replay.poll()
    replay.set_clock(HOUR)
    replay.poll()
    assert types(replay.events).count("cwl_round_ended") == 1


def test_engine_polls_the_league_of_a_watch() -> None:
    class EngineApi(LeagueApi):
        requests_per_second = math.inf

    api = EngineApi(ScriptedLeague().response, lambda: START)
    engine = Engine(cast("ClashClient", api), cast("Store", None))
    engine.watch(Watch(Kind.CLAN, OWN, 60.0, war=False, cwl=True, cwl_standings=True))
    (_, poller) = engine._watches[Kind.CLAN, OWN][1]
    assert isinstance(poller, CwlPoller)
    assert poller._standings


@pytest.mark.parametrize("failing", ["compare", "commit"])
def test_bug_or_failed_commit_loses_no_event(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    league = ScriptedLeague(clans=4)
    replay = watched_from_the_start(league, max_age=MAX_AGE)

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        if failing == "compare":
            patched.setattr("coc2mqtt.events.polling.cwl_poller.compare_league", fail)
            assert replay.types_at(DAY + HOUR) == ["poll_error"]
        else:
            patched.setattr(replay._state, "commit", fail)
            with pytest.raises(OSError, match="disk full"):
                replay.poll_at(DAY + HOUR)
    # The responses are still cached by the API.
    assert replay.types_at(DAY + HOUR + 60) == ["cwl_round_state_changed", "cwl_round_new"]


def test_endpoint_check_accepts_a_clan_without_a_league() -> None:
    replay = LeagueReplay(ScriptedLeague(), at=-HOUR)
    run_without_loop(replay._poller.check_endpoint())
    replay.now += 2 * HOUR
    run_without_loop(replay._poller.check_endpoint())
    replay.api.responses[GROUP] = BROKEN
    with pytest.raises(ServerError):
        run_without_loop(replay._poller.check_endpoint())
