"""Two API servers, each behind a cache, that disagree for two minutes: no false event, and no change lost."""

from __future__ import annotations

import copy
import random
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events.resource import Kind
from tests.support.bodies import CLAN_TAG, Json, attack, clan, member, no_war, player, unit, war
from tests.support.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coc2mqtt.events import Event

PERIOD = 120
LAG = 120
ANN, BOB, CAT, DAN = "#2PA", "#2PB", "#2PC", "#2PD"
START = 1_793_606_400.0
FIRST, SECOND = attack("#2P2", "#8Q2", 1), attack("#8Q2", "#2P2", 2)


class Server:
    """A server with a cache whose entries live up to one second longer than their max-age."""

    def __init__(self, body_at: Callable[[float], Json], rng: random.Random) -> None:
        self._body_at = body_at
        self._rng = rng
        self._until = -1.0
        self._body: Json = {}

    def respond(self, now: float) -> tuple[Json, float]:
        if now >= self._until:
            self._until = now + PERIOD + self._rng.random()
            self._body = self._body_at(now)
        return self._body, max(0.0, float(int(self._until - now)))


def history(first: Json, *changes: Callable[[Json], Json | None]) -> list[tuple[float, Json]]:
    """Return the states of a resource that changes every ten minutes, each with the second from which it applies."""
    states = [(0.0, first)]
    for number, change in enumerate(changes):
        body = copy.deepcopy(states[-1][1])
        states.append((600.0 * (number + 1), change(body) or body))
    return states


def state_at(states: list[tuple[float, Json]], at: float) -> Json:
    return next(body for since, body in reversed(states) if since <= at or since == 0.0)


def play(kind: Kind, states: list[tuple[float, Json]], seed: int, *, lagging: bool) -> Replay:
    """Poll one server or, with ``lagging``, also a second one that shows each change two minutes late."""
    rng = random.Random(seed)
    servers = [Server(lambda at: state_at(states, at), rng)]
    if lagging:
        servers.append(Server(lambda at: state_at(states, at - LAG), rng))
    replay = Replay(kind, CLAN_TAG if kind is Kind.WAR else states[0][1]["tag"], now=START)
    now, end = 0.0, states[-1][0] + 1200.0
    while now < end:
        body, replay.api.max_age = rng.choice(servers).respond(now)
        replay.now = START + now
        replay.feed(body, after=0.0)
        # As the scheduler polls, or earlier, as when a poll is requested.
        wait = max(replay.api.max_age, min(60.0, replay.latest)) + rng.random()
        now += wait if rng.random() < 0.8 else rng.uniform(1.0, 60.0)
    return replay


def facts(events: list[Event]) -> Iterator[tuple[Any, ...]]:
    for event in events:
        who = event.metadata.get("member_tag") or event.metadata.get("name") or event.metadata.get("order")
        yield (
            event.event_type.value,
            who,
            *((one.field, str(one.old_value), str(one.new_value)) for one in event.changes),
        )


def joined(tag: str, **fields: Any) -> Callable[[Json], None]:
    def change(body: Json) -> None:
        body["memberList"].append(member(tag, **fields))
        body["members"] += 1

    return change


def left(tag: str) -> Callable[[Json], None]:
    def change(body: Json) -> None:
        body["memberList"] = [one for one in body["memberList"] if one["tag"] != tag]
        body["members"] -= 1

    return change


def of_member(tag: str, **fields: Any) -> Callable[[Json], None]:
    return lambda body: next(one for one in body["memberList"] if one["tag"] == tag).update(fields)


def of_body(**fields: Any) -> Callable[[Json], None]:
    return lambda body: body.update(fields)


CLAN = history(
    clan(member(ANN), member(BOB), warWins=5),
    joined(CAT),
    of_member(ANN, role="admin", donations=150),
    of_body(clanPoints=2200),
    left(BOB),
    of_member(ANN, role="member"),
    joined(DAN),
    left(CAT),
    of_body(name="The New Order", clanPoints=2100),
    joined(BOB),
    of_member(BOB, donations=130),
    of_body(warWins=6, clanLevel=20),
    of_member(DAN, townHallLevel=16),
)
PLAYER = history(
    player(warStars=5, warPreference="in"),
    of_body(warPreference="out"),
    of_body(name="Kris", trophies=4100),
    of_body(warPreference="in"),
    of_body(clan={"tag": CLAN_TAG, "name": "The Order"}),
    of_body(spells=[unit("Lightning Spell", 9)]),
    lambda body: {key: value for key, value in body.items() if key != "clan"},
    of_body(name="Kristen", warStars=8),
    of_body(labels=[]),
)
WAR = history(
    no_war(),
    lambda _: war("preparation"),
    lambda _: war("inWar"),
    lambda _: war("inWar", FIRST),
    lambda _: war("inWar", FIRST, SECOND),
)
HISTORIES = [
    pytest.param(Kind.CLAN, CLAN, id="clan"),
    pytest.param(Kind.PLAYER, PLAYER, id="player"),
    pytest.param(Kind.WAR, WAR, id="war"),
]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("kind", "states"), HISTORIES)
def test_two_disagreeing_servers_cause_the_same_events_as_one(
    kind: Kind, states: list[tuple[float, Json]], seed: int
) -> None:
    expected = list(facts(play(kind, states, seed, lagging=False).events))
    assert len(expected) >= len(states) - 1
    reported = play(kind, states, seed, lagging=True).events
    assert list(facts(reported)) == expected
    for since in [START + since for since, _ in states[1:]]:
        assert min(event.timestamp for event in reported if event.timestamp >= since) - since < 2 * (LAG + PERIOD) + 120


def test_cache_entry_that_outlives_its_max_age_confirms_nothing() -> None:
    before, now = clan(member(ANN)), clan(member(ANN), member(BOB))
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.feed(before, after=0.0)
    replay.api.max_age = 120.0
    assert replay.feed(now) == ["clan_updated", "member_joined"]
    replay.api.max_age = 30.0
    assert replay.feed(before, after=120.0) == []
    assert replay.latest == 32.0
    assert replay.feed(before, after=30.0) == [], "the same cache entry"
    assert replay.feed({**before, "clanPoints": 2101}, after=1.0) == [], (
        "another cache entry, but a server may still lag behind"
    )
    replay.api.max_age = 120.0
    assert replay.feed(now, after=60.0) == []


def test_leave_that_looks_like_a_stale_response_is_reported_eventually() -> None:
    before, now = clan(member(ANN)), clan(member(ANN), member(BOB))
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.api.max_age = 120.0
    replay.feed(before, after=0.0)
    replay.feed(now, after=121.0)
    assert [replay.feed(before, after=122.0) for _ in range(2)] == [[], ["clan_updated", "member_left"]]


def test_leave_after_another_members_join_is_reported_immediately() -> None:
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.api.max_age = 60.0
    replay.feed(clan(member(ANN), member(BOB)), after=0.0)
    assert replay.feed(clan(member(ANN), member(BOB), member(CAT)), after=61.0) == ["clan_updated", "member_joined"]
    assert replay.feed(clan(member(BOB), member(CAT)), after=61.0) == ["clan_updated", "member_left"]


def test_restored_member_count_without_members_needs_confirmation() -> None:
    before, now = clan(member(ANN)), clan(member(ANN), member(BOB))
    replay = Replay(Kind.CLAN, CLAN_TAG, track_members=False)
    replay.api.max_age = 60.0
    replay.feed(before, after=0.0)
    assert replay.feed(now, after=61.0) == ["clan_updated"]
    assert replay.feed({**before, "clanPoints": 2101}, after=61.0) == []


def test_stale_donations_after_a_season_end_are_not_reported() -> None:
    tags = [f"#2P{letter}" for letter in "0289PYLQ"]

    def donated(figure: int) -> Json:
        return clan(*(member(tag, donations=figure, donationsReceived=figure) for tag in tags))

    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.api.max_age = 60.0
    replay.feed(donated(100), after=0.0)
    assert replay.feed(donated(0), after=61.0) == ["season_reset"]
    assert replay.feed(donated(105), after=31.0) == [], "a new response of a server that lags behind"
    assert replay.feed(donated(0), after=31.0) == []
    first = donated(0)
    first["memberList"][0]["donations"] = 30
    assert [replay.feed(first, after=after) for after in (31.0, 61.0)] == [[], ["member_donations"]]
    assert replay.events[-1].metadata["donations"] == 30
    first["memberList"][1]["donations"] = 5
    assert replay.feed(first, after=61.0) == ["member_donations"], "no server lags behind that long"


def test_stale_donations_after_a_member_rejoined_are_not_reported() -> None:
    def donated(figure: int) -> Json:
        return clan(member(ANN, donations=figure), member(BOB))

    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.api.max_age = 60.0
    replay.feed(donated(100), after=0.0)
    assert [replay.feed(donated(0), after=122.0) for _ in range(2)] == [[], []]
    assert replay.feed(donated(101), after=61.0) == []
    assert replay.feed(donated(0), after=61.0) == []
    assert replay.feed({**donated(0), "name": "Anew"}, after=61.0) == ["clan_updated"]


def test_short_list_of_one_cache_entry_reports_no_leaves() -> None:
    whole = clan(member(ANN), member(BOB), member(CAT))
    short = {**whole, "memberList": whole["memberList"][:2]}
    replay = Replay(Kind.CLAN, CLAN_TAG)
    replay.api.max_age = 60.0
    replay.feed(whole, after=0.0)
    assert [replay.feed(short, after=after) for after in (61.0, 30.0, 30.0)] == [[]] * 3
    assert replay.feed(short, after=62.0) == ["member_left"]
