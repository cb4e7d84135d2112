"""Every attack, district, opponent and end of a weekend is reported once, whichever part of it is polled."""

from __future__ import annotations

import copy
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.compare.raid import attacks, districts, estimated_reward, is_completed, is_destroyed, own_raids
from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.resource import Kind
from coc2mqtt.events.summary import summarize
from tests.fuzz.examples import fuzzed
from tests.support.bodies import CLAN_TAG
from tests.support.paths import SHARED
from tests.support.raids import RAIDS, START, WEEK, Weekend, past, play_weekend, seasons
from tests.support.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.events import Event

Json = dict[str, Any]
# A part of a weekend: (raid, district, attack), (raid, district), (raid,) for a completed one, or ("opponent", raid).
Part = tuple[Any, ...]

SEEDS = st.integers(0, 10_000)
RECORDING = SHARED / "fixtures" / "mockapi" / "clans" / "capitalraidseasons" / "CAPITALRAIDSEASON.json"
TEN_MINUTES = 600.0


class Moment(NamedTuple):
    """A weekend at one time (Unix time), and the weekends before it."""

    at: float
    season: Json
    before: tuple[Json, ...] = ()


def history_of(seed: int, weekends: int = 1) -> list[Moment]:
    """Return scripted weekends, one after the other."""
    rng = random.Random(seed)
    moments: list[Moment] = []
    ended: tuple[Json, ...] = ()
    for number in range(weekends):
        start = START + number * WEEK
        bodies = play_weekend(rng, start)
        running = [body for body in bodies if body["state"] == "ongoing"]
        begin = start.timestamp() + 3600
        moments += [Moment(begin + index * 68 * 3600 / len(running), body, ended) for index, body in enumerate(running)]
        end = start.timestamp() + 3 * 86_400
        over = bodies[len(running) :]
        moments += [Moment(end + TEN_MINUTES * (index + 1), body, ended) for index, body in enumerate(over)]
        ended = (past(bodies[-1]), *ended)
    return moments


def feed(replay: Replay, moment: Moment, *, after: float | None = None) -> None:
    """Poll a moment at its time, or ``after`` seconds from now."""
    replay.now = max(replay.now, moment.at) if after is None else replay.now + after
    for limit in range(2, 11):
        replay.api.responses[f"{RAIDS}{limit}"] = seasons(*(moment.season, *moment.before)[:limit])
    replay.feed(seasons(moment.season), after=0.0)


def watch(seen: Sequence[Moment], *, before: Json | None = None) -> Replay:
    """Poll the moments of a part of a history, after a first poll that shows ``before``; None: no weekend."""
    replay = Replay(Kind.RAID, CLAN_TAG, now=START.timestamp())
    assert replay.feed(seasons(*([] if before is None else [before])), after=0.0) == []
    for moment in seen:
        feed(replay, moment)
    return replay


def parts_of(season: Json) -> set[Part]:
    """Return everything in a weekend that has an event."""
    parts: set[Part] = set()
    for number, raid in enumerate(own_raids(season), 1):
        parts.add(("opponent", number))
        for district in districts(raid):
            parts |= {(number, district["id"], order) for order in range(1, len(attacks(district)) + 1)}
            if is_destroyed(district):
                parts.add((number, district["id"]))
        if is_completed(raid):
            parts.add((number,))
    return parts


def reported(events: Sequence[Event]) -> Counter[Part]:
    """Return how often each part was reported."""
    found: Counter[Part] = Counter()
    for event in events:
        data = event.metadata
        match event.event_type.value:
            case "raid_opponent_new":
                found["opponent", data["raid_index"]] += 1
            case "raid_attack_new":
                found[data["raid_index"], data["district_id"], data["order"]] += 1
            case "raid_district_destroyed":
                found[data["raid_index"], data["district_id"]] += 1
            case "raid_clan_destroyed":
                found[(data["raid_index"],)] += 1
    return found


def check_order(events: Sequence[Event]) -> None:
    """Check that each district's attacks are in order, and precede what they cause."""
    done: list[Part] = []
    for event in events:
        (part,) = reported([event]) or [("other",)]
        if len(part) == 3 and part[2] > 1:
            assert (part[0], part[1], part[2] - 1) in done or not any(one[:2] == part[:2] for one in done)
        assert len(part) != 3 or part[:2] not in done, "the district was destroyed before"
        assert len(part) == 1 or (part[0],) not in done, "the clan was destroyed before"
        done.append(part)


def check_events(events: Sequence[Event]) -> None:
    for event in events:
        metadata_model(event.event_type).model_validate(event.metadata)
        assert "None" not in summarize(event)


def of_types(events: Sequence[Event], event_type: str) -> list[Json]:
    return [event.metadata for event in events if event.event_type.value == event_type]


def check_weekend(
    events: Sequence[Event], season: Json, *, known: Json | None = None, started: int = 1, awaited: bool = False
) -> None:
    """Check the events of a weekend of which ``known`` was the first sight.

    ``awaited`` is whether the end may have been reported before the API showed the rewards.
    """
    check_events(events)
    expected = parts_of(season) - (set() if known is None else parts_of(known))
    assert reported(events) == Counter(expected)
    check_order(events)
    assert len(of_types(events, "raid_started")) == started
    (ended,) = of_types(events, "raid_ended")
    assert (ended["loot"], ended["attacks"]) == (season["capitalTotalLoot"], season["totalAttacks"])
    assert ended["districts_destroyed"] == season["enemyDistrictsDestroyed"]
    assert ended["max_medals"] == 1250 or (awaited and ended["max_medals"] is None)
    assert events[-1].event_type.value == "raid_ended"


@pytest.mark.parametrize("seed", range(8))
def test_complete_weekend_is_reported_once(seed: int) -> None:
    history = history_of(seed)
    replay = watch(history)
    check_weekend(replay.events, history[-1].season)
    feed(replay, history[-1], after=TEN_MINUTES)
    check_weekend(replay.events, history[-1].season)


@pytest.mark.parametrize("seed", range(8))
def test_weekend_seen_from_the_middle_is_reported_from_there(seed: int) -> None:
    history = history_of(seed)
    middle = len(history) // 2
    replay = Replay(Kind.RAID, CLAN_TAG, now=history[middle].at)
    for moment in history[middle:]:
        feed(replay, moment)
    known = history[middle].season
    if known["state"] == "ongoing":
        check_weekend(replay.events, history[-1].season, known=known, started=0)
    else:
        assert replay.events == []


@pytest.mark.slow
@fuzzed(short=25, long=600)
@given(seed=SEEDS, share=st.floats(0.02, 0.95), choice=st.integers(0, 2**32))
def test_partly_polled_weekend_with_stale_responses_and_restarts_is_reported_once(
    seed: int, share: float, choice: int
) -> None:
    history = history_of(seed)
    rng = random.Random(choice)
    replay = watch([])
    for number, moment in enumerate(history):
        if rng.random() >= share and moment is not history[-1]:
            continue
        feed(replay, moment)
        before = len(replay.events)
        for _ in range(rng.choice([0, 0, 1, 2])):
            # An older response, perhaps from another server, and perhaps so often that it seems confirmed.
            feed(replay, history[rng.randint(0, number)], after=rng.choice([1.0, 140.0, 300.0]))
        if rng.random() < 0.3:
            replay.restart()
        if rng.random() < 0.5:
            feed(replay, moment, after=1.0)
        assert moment.season["state"] == "ended" or len(replay.events) == before
    feed(replay, history[-1], after=TEN_MINUTES)
    feed(replay, history[-1], after=TEN_MINUTES)
    check_weekend(replay.events, history[-1].season, awaited=True)


@pytest.mark.slow
@fuzzed(short=25, long=600)
@given(seed=SEEDS, share=st.floats(0.02, 0.9), choice=st.integers(0, 2**32))
def test_weekends_whose_end_was_not_polled_end_once_with_their_final_loot(seed: int, share: float, choice: int) -> None:
    history = history_of(seed, weekends=3)
    rng = random.Random(choice)
    last_week = Weekend(START - WEEK)
    last_week.finish()
    seen = [moment for moment in history if rng.random() < share]
    replay = Replay(Kind.RAID, CLAN_TAG, now=START.timestamp())
    replay.feed(seasons(last_week.season), after=0.0)
    for moment in seen:
        feed(replay, moment)
        if rng.random() < 0.2:
            replay.restart()
    feed(replay, history[-1])
    feed(replay, history[-1], after=TEN_MINUTES)
    check_events(replay.events)
    final = {moment.season["startTime"]: moment.season for moment in history}
    polled = {moment.season["startTime"] for moment in [*seen, history[-1]]}
    started = [event for event in replay.events if event.event_type.value == "raid_started"]
    assert len(started) == len(polled)
    ended = of_types(replay.events, "raid_ended")
    assert sorted(one["start_at"] for one in ended) == sorted(event.metadata["start_at"] for event in started)
    for start, event in zip(sorted(polled), ended, strict=True):
        assert (event["loot"], event["offensive_reward"]) == (final[start]["capitalTotalLoot"], 200)
    # Everything but attacks is reported for each of these weekends, even if its end was not polled.
    times = [replay.events.index(event) for event in started]
    for start, begin, end in zip(sorted(polled), times, [*times[1:], len(replay.events)], strict=True):
        found = reported(replay.events[begin:end])
        assert set(found.values()) <= {1}
        expected = parts_of(final[start])
        assert {part for part in expected if len(part) < 3} <= found.keys() <= expected
        check_order(replay.events[begin:end])


@pytest.mark.slow
@fuzzed(short=10, long=300)
@given(seed=SEEDS, choice=st.integers(0, 2**32))
def test_order_of_members_and_malformed_fields_change_no_attack(seed: int, choice: int) -> None:
    history = history_of(seed)
    rng = random.Random(choice)

    def damaged(moment: Moment) -> Moment:
        season = copy.deepcopy(moment.season)
        rng.shuffle(season["members"])
        for one in [*season["members"], *(raid for log in ("attackLog", "defenseLog") for raid in season[log])]:
            for field in ("name", "attackCount", "capitalResourcesLooted", "districtsDestroyed"):
                if field in one and rng.random() < 0.1:
                    one[field] = rng.choice([None, 1.5, [7]])
        season["mood"] = "good"
        return moment._replace(season=season)

    plain, odd = watch(history), watch([damaged(moment) for moment in history])
    assert reported(odd.events) == reported(plain.events)
    check_events(odd.events)


def prefixes(season: Json) -> list[Json]:
    """Return the recorded weekend as it was after each raid, and after each attack on the last clan."""
    log = season["attackLog"]
    bodies = [{**season, "attackLog": log[:count]} for count in range(len(log))]
    newest = copy.deepcopy(log[-1])
    growing = []
    while any(one.get("attacks") for one in newest["districts"]):
        growing.append(copy.deepcopy(newest))
        for district in newest["districts"]:
            if district.get("attacks"):
                del district["attacks"][0]
                left = district["attacks"][:1]
                district["destructionPercent"] = left[0]["destructionPercent"] if left else 0
                newest["districtsDestroyed"] = sum(one["destructionPercent"] == 100 for one in newest["districts"])
                break
    bodies += [{**season, "attackLog": [*log[:-1], raid]} for raid in reversed(growing)]
    for body in bodies:
        body.update({"state": "ongoing", "offensiveReward": 0, "defensiveReward": 0})
        # The totals are those of a part of the log.
        body["totalAttacks"] = sum(
            len(one.get("attacks", [])) for raid in body["attackLog"] for one in raid["districts"]
        )
        body["enemyDistrictsDestroyed"] = sum(raid["districtsDestroyed"] for raid in body["attackLog"])
        body["capitalTotalLoot"] = 0
        body["members"] = []
    return [*bodies, season]


@pytest.mark.skipif(not RECORDING.is_file(), reason="no recorded responses in ../shared/fixtures")
def test_recorded_weekend_in_growing_parts_is_reported_once() -> None:
    season, earlier = orjson.loads(RECORDING.read_bytes())["body"]["items"]
    bodies = prefixes(season)
    replay = Replay(Kind.RAID, CLAN_TAG, now=1_685_084_400.0)
    # The weekend before is the first sight, without the members and attacks that only the latest one has.
    replay.feed(seasons({**earlier, "members": []}), after=0.0)
    for body in bodies:
        replay.feed(seasons(body), after=3600.0)
    check_events(replay.events)
    assert reported(replay.events) == Counter(parts_of(season))
    check_order(replay.events)
    (ended,) = of_types(replay.events, "raid_ended")
    assert (ended["attacks"], ended["loot"], ended["districts_destroyed"]) == (213, 572_136, 68)
    # The API counts the two completed raids on the clan too.
    assert (ended["raids_completed"], season["raidsCompleted"]) == (8, 10)
    assert (ended["offensive_reward"], ended["max_medals"]) == (147, 6 * 147 + 227)
    assert ended["members"] == 38


@pytest.mark.skipif(not RECORDING.is_file(), reason="no recorded responses in ../shared/fixtures")
def test_estimated_medals_are_the_reward_of_the_recorded_weekends() -> None:
    for season in orjson.loads(RECORDING.read_bytes())["body"]["items"]:
        assert estimated_reward(season) == season["offensiveReward"]
