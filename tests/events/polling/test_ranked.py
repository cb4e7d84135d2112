"""Ranked battles: weeks, battles, results and days in the Legend League."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest

from coc2mqtt.clash import NotFoundError
from coc2mqtt.clash.errors import ClashError, ServerError
from coc2mqtt.events import PollingState
from coc2mqtt.events.compare.ranked import group_battles, history_entry, place_of
from coc2mqtt.events.compare.ranked_state import RankedState, ranked_state
from coc2mqtt.events.polling.poll_context import PollContext
from coc2mqtt.events.polling.ranked_poller import RankedPoller
from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.events.stream.polling_state import QueueStore
from tests.support.bodies import player
from tests.support.paths import SHARED
from tests.support.replay import InMemoryApi, _NullMonitor, run_without_loop

if TYPE_CHECKING:
    from coc2mqtt.clash import ClashClient
    from coc2mqtt.events import Event

Json = dict[str, Any]

RECORDED = SHARED / "fixtures" / "mockapi"
TAG = "#900PUCPV"
# A Monday at 05:00 UTC, the start of a ranked week: its id.
WEEK = int(datetime(2026, 11, 23, 5, tzinfo=UTC).timestamp())
NEXT = WEEK + 7 * 86_400
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
GROUP, NEXT_GROUP = "#2YYCYCC", "#2PGCG0J"
TITAN, DRAGON, LEGEND = (
    {"id": 105000027, "name": "Titan League 27"},
    {"id": 105000028, "name": "Dragon League 28"},
    {"id": 105000034, "name": "Legend League"},
)


def recorded(path: str) -> Json:
    body: Json = orjson.loads((RECORDED / path).read_bytes())["body"]
    return body


def battle(at: float, opponent: str = "#8QQ", *, trophies: int = 40) -> Json:
    time = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "opponentPlayerTag": opponent,
        "opponentName": f"Name of {opponent}",
        "stars": 2,
        "destructionPercentage": 65,
        "trophies": trophies,
        "creationTime": time,
    }


class Player:
    """A player in the Titan League who is signed up for the week ``WEEK``, and the responses about them."""

    def __init__(self, now: float = WEEK + DAY) -> None:
        self.now = now
        self.api = InMemoryApi()
        self.signup: tuple[Any, Any] = (GROUP, WEEK)
        self.tier: Json = TITAN
        self.battles: dict[int, tuple[list[Json], list[Json]]] = {WEEK: ([], []), NEXT: ([], [])}
        self.history: list[Json] = []
        self.log: list[Json] = []
        self.failure: ClashError | None = None
        self.failures: dict[str, Json | ClashError] = {}
        self.events: list[Event] = []
        self._state = PollingState()
        self.restart()

    def restart(self) -> None:
        store = QueueStore(self._state, asyncio.Queue())
        api = cast("ClashClient", self.api)
        context = PollContext(api, store, _NullMonitor(), lambda: self.now, lambda: self.now)
        self._poller = RankedPoller(context, TAG, interval=600.0)

    def poll(self, after: float = 10 * MINUTE) -> list[str]:
        self.now += after
        group, season = self.signup
        data = player(tag=TAG, leagueTier=self.tier, currentLeagueGroupTag=group, currentLeagueSeasonId=season)
        self._state.commit(Resource(Kind.PLAYER, TAG), Snapshot(data, {}, self.now), [])
        responses: Json = {
            f"/leaguegroup/{tag}/{week}?playerTag={TAG}": self._group(week)
            for tag, week in ((GROUP, WEEK), (NEXT_GROUP, NEXT))
        }
        responses[f"/players/{TAG}/leaguehistory"] = {"items": self.history}
        responses[f"/players/{TAG}/battlelog"] = {"items": self.log}
        self.api.responses = responses if self.failure is None else dict.fromkeys(responses, self.failure)
        self.api.responses |= self.failures
        result = run_without_loop(self._poller.poll())
        self.events += result.events
        return [event.event_type.value for event in result.events]

    def _group(self, week: int) -> Json:
        attacks, defenses = self.battles[week]
        counts = {"attackWinCount": len(attacks), "attackLoseCount": 0, "defenseWinCount": 0}
        own = {"playerTag": TAG, "leagueTrophies": 40 * len(attacks), **counts, "defenseLoseCount": len(defenses)}
        others = [
            {**own, "playerTag": f"#8Q{place}", "leagueTrophies": trophies} for place, trophies in enumerate((90, 10))
        ]
        return {"members": [*others, own], "attackLogs": attacks, "defenseLogs": defenses}

    @property
    def state(self) -> RankedState:
        snapshot = self._state.snapshot(Resource(Kind.RANKED, TAG))
        assert snapshot is not None
        return ranked_state(snapshot)


def past(season: int, *, tier: int = 105000027, placement: int = 5) -> Json:
    wins = {"attackWins": 20, "attackLosses": 4, "defenseWins": 2, "defenseLosses": 9, "attackStars": 0}
    return {"leagueSeasonId": season, "leagueTierId": tier, "placement": placement, "leagueTrophies": 800, **wins}


def test_first_poll_is_the_baseline() -> None:
    subject = Player()
    subject.battles[WEEK][0].append(battle(WEEK + HOUR))
    assert subject.poll() == []
    state = subject.state
    assert (state.season, state.group, state.tier.name, state.end) == (WEEK, GROUP, "Titan League 27", NEXT)
    assert state.place is not None
    assert (state.place.placement, state.place.size, state.place.trophies, state.place.attack_wins) == (2, 3, 40, 1)


def test_new_battles_are_reported_in_their_order_and_once() -> None:
    subject = Player()
    subject.poll()
    now = subject.now
    attacks, defenses = subject.battles[WEEK]
    attacks += [battle(now + 5 * MINUTE), battle(now + 60, "#9QQ")]
    defenses.append(battle(now + 3 * MINUTE, trophies=0))
    assert subject.poll() == ["ranked_attack_new", "ranked_defense_new", "ranked_attack_new"]
    assert subject.events[0].metadata == {
        "season": WEEK,
        "opponent_tag": "#9QQ",
        "opponent_name": "Name of #9QQ",
        "stars": 2,
        "destruction": 65,
        "trophies": 40,
        "battle_at": datetime.fromtimestamp(now + 60, UTC).isoformat(timespec="milliseconds"),
    }
    subject.restart()
    assert subject.poll() == []
    stale = attacks.pop()
    assert subject.poll() == []
    attacks.append(stale)
    assert subject.poll() == []


def test_week_ends_with_its_last_battles_and_its_result() -> None:
    subject = Player(NEXT - HOUR)
    subject.poll()
    subject.battles[WEEK][0].append(battle(NEXT - MINUTE))
    subject.signup = (NEXT_GROUP, NEXT)
    assert subject.poll(HOUR) == ["ranked_attack_new", "ranked_week_started"]
    assert subject.events[0].metadata["season"] == WEEK
    assert subject.events[1].metadata == {
        "season": NEXT,
        "group_tag": NEXT_GROUP,
        "tier_id": 105000027,
        "tier_name": "Titan League 27",
    }
    assert subject.poll(HOUR) == []
    subject.history.append(past(WEEK))
    assert subject.poll(HOUR) == []
    subject.tier = DRAGON
    assert subject.poll(HOUR) == ["ranked_week_ended"]
    assert subject.events[-1].metadata == {
        "season": WEEK,
        "group_tag": GROUP,
        "placement": 5,
        "trophies": 800,
        "attack_wins": 20,
        "attack_losses": 4,
        "defense_wins": 2,
        "defense_losses": 9,
        "old_tier_id": 105000027,
        "old_tier_name": "Titan League 27",
        "new_tier_id": 105000028,
        "new_tier_name": "Dragon League 28",
        "direction": "promoted",
    }
    assert subject.state.last == subject.events[-1].metadata
    assert subject.poll(HOUR) == []


def test_same_tier_is_reported_after_it_had_time_to_settle() -> None:
    subject = Player(NEXT - 10 * MINUTE)
    subject.poll()
    subject.signup, subject.history = (NEXT_GROUP, NEXT), [past(WEEK)]
    types = [event for _ in range(30) for event in subject.poll()]
    assert types == ["ranked_week_started", "ranked_week_ended"]
    assert subject.events[-1].metadata["direction"] is None
    assert subject.events[-1].timestamp - NEXT == pytest.approx(3 * HOUR, abs=11 * MINUTE)


def test_result_that_is_never_listed_is_reported_as_unknown() -> None:
    subject = Player(NEXT - HOUR)
    subject.poll()
    subject.signup = ("#0", 0)
    types = [event for _ in range(60) for event in subject.poll()]
    assert types == ["ranked_week_ended"]
    assert subject.events[-1].metadata["placement"] is None
    assert subject.state == RankedState(tier=subject.state.tier, last=subject.events[-1].metadata)


def test_week_that_ended_while_the_bridge_was_down_is_reported_at_once() -> None:
    subject = Player()
    subject.poll()
    subject.restart()
    subject.signup, subject.history, subject.tier = (NEXT_GROUP, NEXT), [past(WEEK)], DRAGON
    assert sorted(subject.poll(8 * DAY)) == ["ranked_week_ended", "ranked_week_started"]


@pytest.mark.parametrize("signup", [("#0", 0), (None, None), ("#2YYCYCC", 0), ("", WEEK), (5, "x")])
def test_player_who_has_not_signed_up_causes_no_request(signup: tuple[Any, Any]) -> None:
    subject = Player()
    subject.signup = signup
    assert subject.poll() == []
    assert subject.api.requests == []
    subject.signup = (GROUP, WEEK)
    assert subject.poll() == ["ranked_week_started"]


@pytest.mark.parametrize("failure", [ServerError("down", status=500), NotFoundError("not found")])
def test_failure_loses_nothing(failure: ClashError) -> None:
    subject = Player()
    subject.poll()
    subject.battles[WEEK][0].append(battle(subject.now + MINUTE))
    subject.failure = failure
    assert subject.poll() == []
    subject.failure = None
    assert subject.poll() == ["ranked_attack_new"]


@pytest.mark.parametrize(
    "group",
    [
        {},
        {"members": None, "attackLogs": {}, "defenseLogs": 5},
        {
            "members": [None, {"playerTag": TAG}],
            "attackLogs": [None, {}, {"creationTime": "yesterday"}, {"creationTime": 5}],
        },
    ],
)
def test_malformed_group_has_no_place_and_no_invalid_battles(group: Json) -> None:
    assert place_of(group, TAG) is None
    assert [one.opponent_tag for one in group_battles(group)] in ([], [None])


def test_legend_day_is_reported_after_it_ended() -> None:
    subject = Player(WEEK + DAY)
    subject.tier = LEGEND
    subject.poll(HOUR)
    attacks, defenses = subject.battles[WEEK]
    attacks += [
        battle(WEEK + DAY + 2 * HOUR),
        battle(WEEK + 2 * DAY - MINUTE, "#9QQ"),
        battle(WEEK + 2 * DAY + 1, "#YQQ"),
    ]
    defenses += [battle(WEEK + DAY + 3 * HOUR, trophies=-15), battle(WEEK + HOUR, "#9QQ", trophies=-30)]
    subject.poll(22.5 * HOUR)
    assert "legend_day_ended" not in subject.poll(32 * MINUTE)
    assert subject.poll() == ["legend_day_ended"]
    day = datetime.fromtimestamp(WEEK + DAY, UTC)
    assert subject.events[-1].metadata == {
        "day": f"{day:%Y-%m-%d}",
        "attacks": 2,
        "defenses": 1,
        "trophies_gained": 80,
        "trophies_lost": 15,
    }
    assert subject.poll(HOUR) == []


def test_legend_day_without_a_group_is_taken_from_the_last_battles() -> None:
    subject = Player(WEEK + DAY)
    subject.tier, subject.signup = LEGEND, ("#0", 0)
    subject.poll(HOUR)
    start = datetime.fromtimestamp(WEEK + DAY, UTC)
    for hours, attack, kind in (
        (1, True, "legend"),
        (2, False, "legend"),
        (3, True, "homeVillage"),
        (30, True, "legend"),
    ):
        time = (start + timedelta(hours=hours)).strftime("%Y%m%dT%H%M%S.000Z")
        subject.log.append({"battleType": kind, "attack": attack, "opponentPlayerTag": "#8QQ", "battleTimestamp": time})
    assert subject.poll(24 * HOUR) == ["legend_day_ended"]
    metadata = subject.events[-1].metadata
    assert (metadata["attacks"], metadata["defenses"], metadata["trophies_gained"]) == (1, 1, None)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded responses in ../shared/fixtures")
def test_recorded_group_and_history_are_read() -> None:
    group = recorded("leagues/leaguegroup/CURRENT.json")
    battles = group_battles(group)
    assert (len(battles), len({one.key for one in battles})) == (42, 42)
    assert [one.at for one in battles] == sorted(one.at for one in battles)
    place = place_of(group, group["members"][7]["playerTag"])
    assert place is not None
    assert (place.size, 1 <= place.placement <= 100) == (100, True)
    history = recorded("players/leaguehistory/LOG.json")
    entry = history_entry(history, 1772427600)
    assert entry is not None
    assert entry["placement"] == 13
