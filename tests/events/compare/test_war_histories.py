"""Every war and attack is reported once, whichever part of a history is polled."""

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
    """Poll every response twice."""
    replay = Replay(Kind.WAR, tag, now=moments[0].at)
    for moment in moments:
        replay.now = moment.at
        replay.api.responses = dict(moment.elsewhere)
        replay.feed(moment.war, after=0.0)
        assert replay.feed(moment.war, after=0.0) == [], "the second response is identical"
    # A suspected response is accepted when it is repeated.
    replay.feed(moments[-1].war, after=130.0)
    return replay


def count_by_war(events: list[Event], event_type: str) -> Counter[str]:
    return Counter(event.metadata["war_id"] for event in events if event.event_type.value == event_type)


def attacks_of(wars: Sequence[Json]) -> set[tuple[str, int]]:
    return {(str(war_id(war)), order) for war in wars for order in attack_orders(war)}


def apply(events: list[Event], war: Json) -> tuple[str, str | None, set[int]]:
    """Apply events to a war and return its state, identity and attacks."""
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

    new = count_by_war(replay.events, "war_new")
    assert new == Counter([war for war in wars if war != war_id(first)])

    over = {war for war in wars if war != war_id(last)}
    over |= {war for war in wars if war == war_id(last) and last["state"] == "warEnded"}
    if first["state"] == "warEnded":
        over -= {war_id(first)}
    ended = count_by_war(replay.events, "war_ended")
    # A result observed for less than a minute is not final yet.
    settling = {war_id(last)} if last["state"] == "warEnded" else set()
    assert ended.keys() | settling == over | settling
    assert set(ended.values()) <= {1}

    reported = Counter(
        (event.metadata["war_id"], event.metadata["order"])
        for event in replay.events
        if event.event_type.value == "war_attack_new"
    )
    shown = attacks_of([moment.war for moment in seen]) - attacks_of([first])
    assert shown <= reported.keys() <= attacks_of([moment.war for moment in history])
    assert set(reported.values()) <= {1}

    results = {str(war_id(moment.war)): moment.war for moment in history if moment.war["state"] == "warEnded"}
    for event in replay.events:
        if event.event_type.value == "war_ended" and event.metadata["war_id"] in results:
            war = results[event.metadata["war_id"]]
            assert event.metadata["stars"] == war["clan"]["stars"]
            assert event.metadata["opponent_stars"] == war["opponent"]["stars"]


@pytest.mark.parametrize("seed", range(6))
def test_complete_history_is_reported_once(seed: int) -> None:
    tag, history = war_history(seed)
    check(tag, history, history)


@pytest.mark.slow
@fuzzed(short=20, long=600)
@given(seed=SEEDS, share=st.floats(0.05, 0.95), choice=st.integers(0, 2**32))
def test_every_war_and_attack_of_a_partial_history_is_reported_once(seed: int, share: float, choice: int) -> None:
    tag, history = war_history(seed)
    rng = random.Random(choice)
    seen = [moment for moment in history if rng.random() < share] or [history[-1]]
    check(tag, history, seen)


@pytest.mark.slow
@fuzzed(short=10, long=300)
@given(seed=SEEDS, choice=st.integers(0, 2**32))
def test_occasional_stale_responses_change_no_event(seed: int, choice: int) -> None:
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
def test_order_of_members_and_attacks_changes_no_event(seed: int, choice: int) -> None:
    tag, history = war_history(seed, wars=2)
    rng = random.Random(choice)

    def shuffled(entries: list[Json]) -> list[Json]:
        return rng.sample(entries, len(entries))

    def shuffled_war(war: Json) -> Json:
        if "members" not in war["clan"]:
            return war
        sides = {}
        for side in ("clan", "opponent"):
            members = [{**one, "attacks": shuffled(one.get("attacks", []))} for one in war[side]["members"]]
            sides[side] = {**war[side], "members": shuffled(members)}
        return {**war, **sides}

    plain, mixed = Replay(Kind.WAR, tag, now=history[0].at), Replay(Kind.WAR, tag, now=history[0].at)
    for moment in history:
        for replay, war in ((plain, moment.war), (mixed, shuffled_war(moment.war))):
            replay.now = moment.at
            replay.api.responses = dict(moment.elsewhere)
            replay.feed(war, after=0.0)

    def comparable(events: list[Event]) -> list[Any]:
        return [(event.event_type, event.metadata) for event in events]

    assert comparable(mixed.events) == comparable(plain.events)


def damage_fields(rng: random.Random, body: Json, *fields: str) -> Json:
    damaged = dict(body)
    for field in fields:
        if field in damaged and rng.random() < 0.2:
            damaged[field] = rng.choice([None, 1.5, [7], True])
        elif rng.random() < 0.1:
            damaged.pop(field, None)
    return damaged


@pytest.mark.slow
@fuzzed(short=10, long=300)
@given(seed=SEEDS, choice=st.integers(0, 2**32))
def test_malformed_and_missing_fields_change_no_event(seed: int, choice: int) -> None:
    tag, history = war_history(seed, wars=2)
    rng = random.Random(choice)
    damage = partial(damage_fields, rng)

    def damaged(war: Json) -> Json:
        if "members" not in war["clan"]:
            return war
        sides = {}
        for side in ("clan", "opponent"):
            members = [damage(one, "name", "townhallLevel", "mapPosition") for one in war[side]["members"]]
            sides[side] = {**damage(war[side], "name", "clanLevel", "badgeUrls"), "members": members}
        return damage({**war, **sides}, "teamSize", "attacksPerMember", "battleModifier")

    plain, odd = Replay(Kind.WAR, tag, now=history[0].at), Replay(Kind.WAR, tag, now=history[0].at)
    for moment in history:
        for replay, war in ((plain, moment.war), (odd, damaged(moment.war))):
            replay.now = moment.at
            replay.api.responses = dict(moment.elsewhere)
            replay.feed(war, after=0.0)

    def comparable(events: list[Event]) -> list[Any]:
        return [(event.event_type, event.metadata["war_id"], event.metadata.get("order")) for event in events]

    assert comparable(odd.events) == comparable(plain.events)
    assert not any("None" in summarize(event) for event in odd.events)
