"""Whatever part of a history a watcher gets to see, it tells every war and every attack of it once."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events import EventType
from coc2mqtt.events.compare.war import attack_orders, war_id
from coc2mqtt.events.resource import Kind
from coc2mqtt.events.summary import summarize
from tests.fuzz.examples import fuzzed
from tests.support.replay import Replay
from tests.support.war_histories import war_history

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.events import Event
    from tests.support.war_histories import Moment

Json = dict[str, Any]
SEEDS = st.integers(0, 10_000)


def replay_of(tag: str, moments: Sequence[Moment]) -> Replay:
    """Poll once at each moment, and twice where an answer comes again."""
    replay = Replay(Kind.WAR, tag, now=moments[0].at)
    for moment in moments:
        replay.now = moment.at
        replay.api.responses = dict(moment.elsewhere)
        replay.feed(moment.war, after=0.0)
        assert replay.feed(moment.war, after=0.0) == [], "two identical answers"
    # What is doubted is believed when it comes again a little later.
    replay.feed(moments[-1].war, after=130.0)
    return replay


def by_war(events: list[Event], event_type: str) -> Counter[str]:
    return Counter(event.metadata["war_id"] for event in events if event.event_type.value == event_type)


def attacks_of(wars: Sequence[Json]) -> set[tuple[str, int]]:
    return {(str(war_id(war)), order) for war in wars for order in attack_orders(war)}


def apply(events: list[Event], war: Json) -> tuple[str, str | None, set[int]]:
    """Change what is known of a war as the events say, and in no other way: (state, identity, attacks)."""
    state, identity, attacks = war["state"], war_id(war), attack_orders(war)
    for event in events:
        meta = event.metadata
        match event.event_type:
            case EventType.WAR_NEW:
                identity, attacks = meta["war_id"], set()
            case EventType.WAR_ATTACK_NEW:
                assert meta["war_id"] == identity
                attacks.add(meta["order"])
            case EventType.WAR_ENDED:
                assert meta["war_id"] == identity
                state = "warEnded"
            case EventType.WAR_STATE_CHANGED:
                assert meta["war_state_from"] == state
                state = meta["war_state_to"]
                if state == "notInWar":
                    identity, attacks = None, set()
    return state, identity, attacks


def check(tag: str, history: Sequence[Moment], seen: Sequence[Moment]) -> None:
    replay = replay_of(tag, seen)
    first, last = seen[0].war, seen[-1].war
    wars = [war for war in dict.fromkeys(war_id(moment.war) for moment in seen) if war is not None]

    assert apply(replay.events, first) == (last["state"], war_id(last), attack_orders(last))

    new = by_war(replay.events, "war_new")
    assert new == Counter([war for war in wars if war != war_id(first)])

    over = {war for war in wars if war != war_id(last)}
    over |= {war for war in wars if war == war_id(last) and last["state"] == "warEnded"}
    if first["state"] == "warEnded":
        over -= {war_id(first)}
    ended = by_war(replay.events, "war_ended")
    # A result that was seen for less than a minute still waits.
    settling = {war_id(last)} if last["state"] == "warEnded" else set()
    assert ended.keys() | settling == over | settling
    assert set(ended.values()) <= {1}

    told = Counter(
        (event.metadata["war_id"], event.metadata["order"])
        for event in replay.events
        if event.event_type.value == "war_attack_new"
    )
    shown = attacks_of([moment.war for moment in seen]) - attacks_of([first])
    assert shown <= told.keys() <= attacks_of([moment.war for moment in history])
    assert set(told.values()) <= {1}

    results = {str(war_id(moment.war)): moment.war for moment in history if moment.war["state"] == "warEnded"}
    for event in replay.events:
        if event.event_type.value == "war_ended" and event.metadata["war_id"] in results:
            war = results[event.metadata["war_id"]]
            assert event.metadata["stars"] == war["clan"]["stars"]
            assert event.metadata["opponent_stars"] == war["opponent"]["stars"]


@pytest.mark.parametrize("seed", range(6))
def test_all_of_a_history_is_told(seed: int) -> None:
    tag, history = war_history(seed)
    check(tag, history, history)


@pytest.mark.slow
@fuzzed(short=20, long=600)
@given(seed=SEEDS, share=st.floats(0.05, 0.95), choice=st.integers(0, 2**32))
def test_whatever_is_dropped_every_war_and_every_attack_that_was_seen_is_told_once(
    seed: int, share: float, choice: int
) -> None:
    tag, history = war_history(seed)
    rng = random.Random(choice)
    seen = [moment for moment in history if rng.random() < share] or [history[-1]]
    check(tag, history, seen)


@pytest.mark.slow
@fuzzed(short=10, long=300)
@given(seed=SEEDS, choice=st.integers(0, 2**32))
def test_an_older_answer_now_and_then_changes_nothing(seed: int, choice: int) -> None:
    tag, history = war_history(seed)
    rng = random.Random(choice)
    clean, stale = replay_of(tag, history), Replay(Kind.WAR, tag, now=history[0].at)
    for number, moment in enumerate(history):
        stale.now = moment.at
        stale.api.responses = dict(moment.elsewhere)
        stale.feed(moment.war, after=0.0)
        if number and rng.random() < 0.5:
            stale.feed(history[number - 1].war, after=0.0)
            stale.feed(moment.war, after=0.0)

    def summary(events: list[Event]) -> Counter[tuple[Any, ...]]:
        return Counter(
            tuple(event.metadata.get(key) for key in ("war_id", "order", "result", "war_state_from", "war_state_to"))
            for event in events
        )

    assert summary(stale.events) == summary(clean.events)


@pytest.mark.slow
@fuzzed(short=10, long=300)
@given(seed=SEEDS, choice=st.integers(0, 2**32))
def test_neither_the_order_of_the_entries_nor_the_run_makes_a_difference(seed: int, choice: int) -> None:
    tag, history = war_history(seed, wars=2)
    rng = random.Random(choice)

    def mixed_up(entries: list[Json]) -> list[Json]:
        return rng.sample(entries, len(entries))

    def shuffled(war: Json) -> Json:
        if "members" not in war["clan"]:
            return war
        sides = {}
        for side in ("clan", "opponent"):
            members = [{**one, "attacks": mixed_up(one.get("attacks", []))} for one in war[side]["members"]]
            sides[side] = {**war[side], "members": mixed_up(members)}
        return {**war, **sides}

    plain, mixed = Replay(Kind.WAR, tag, now=history[0].at), Replay(Kind.WAR, tag, now=history[0].at)
    for moment in history:
        for replay, war in ((plain, moment.war), (mixed, shuffled(moment.war))):
            replay.now = moment.at
            replay.api.responses = dict(moment.elsewhere)
            replay.feed(war, after=0.0)

    def what(events: list[Event]) -> list[Any]:
        return [(event.event_type, event.metadata) for event in events]

    assert what(mixed.events) == what(plain.events)


def spoil_fields(rng: random.Random, body: Json, *fields: str) -> Json:
    spoiled = dict(body)
    for field in fields:
        if field in spoiled and rng.random() < 0.2:
            spoiled[field] = rng.choice([None, 1.5, [7], True])
        elif rng.random() < 0.1:
            spoiled.pop(field, None)
    return spoiled


@pytest.mark.slow
@fuzzed(short=10, long=300)
@given(seed=SEEDS, choice=st.integers(0, 2**32))
def test_malformed_and_missing_fields_make_no_difference(seed: int, choice: int) -> None:
    tag, history = war_history(seed, wars=2)
    rng = random.Random(choice)
    spoil = partial(spoil_fields, rng)

    def spoiled(war: Json) -> Json:
        if "members" not in war["clan"]:
            return war
        sides = {}
        for side in ("clan", "opponent"):
            members = [spoil(one, "name", "townhallLevel", "mapPosition") for one in war[side]["members"]]
            sides[side] = {**spoil(war[side], "name", "clanLevel", "badgeUrls"), "members": members}
        return spoil({**war, **sides}, "teamSize", "attacksPerMember", "battleModifier")

    plain, odd = Replay(Kind.WAR, tag, now=history[0].at), Replay(Kind.WAR, tag, now=history[0].at)
    for moment in history:
        for replay, war in ((plain, moment.war), (odd, spoiled(moment.war))):
            replay.now = moment.at
            replay.api.responses = dict(moment.elsewhere)
            replay.feed(war, after=0.0)

    def what(events: list[Event]) -> list[Any]:
        return [(event.event_type, event.metadata["war_id"], event.metadata.get("order")) for event in events]

    assert what(odd.events) == what(plain.events)
    assert not any("None" in summarize(event) for event in odd.events)
