"""Moves of members with stale responses, restarts, detours and players who are polled seldom."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.polling.moves import Clan, Move, Moves, RecentMoves
from coc2mqtt.events.resource import Kind
from tests.events.polling.test_moves import ANN, AWAY, BETWEEN, BOB, FOREIGN, HOME, NAMES, THIRD, Clans, moved
from tests.support.replay import Replay

if TYPE_CHECKING:
    from coc2mqtt.events.polling.moves import Direction

# The clan that reports a move, the member, the origin and the destination.
Journey = tuple[str, str, str, str]

CAT = "#2PC"
HOUR = 3600.0
WITHIN = {"tag": HOME, "name": "Home"}


def left_and_joined(clans: Clans) -> None:
    """Let Ann move from the first clan to the second one, which reports it."""
    assert clans.poll(HOME, BOB) == []
    assert clans.poll(AWAY, BOB, ANN) == [BETWEEN]


def test_restart_after_one_clan_has_reported_the_move() -> None:
    clans = Clans()
    left_and_joined(clans)
    clans.restart()
    assert clans.poll(HOME, BOB) == [], "the other clan was not polled yet"
    assert clans.poll(AWAY, BOB, ANN) == []
    assert clans.poll(HOME, BOB) == [BETWEEN]
    clans.restart()
    assert clans.poll(AWAY, BOB, ANN) == clans.poll(HOME, BOB) == clans.poll(AWAY, BOB, ANN) == []


def test_two_members_who_swap() -> None:
    clans = Clans()
    clans.poll(AWAY, BOB, CAT, after=25 * HOUR)
    clans.poll(HOME, ANN, BOB, after=25 * HOUR)
    assert clans.poll(HOME, CAT, BOB) == []
    assert {one["member_tag"]: one["to_clan"] for one in clans.poll(AWAY, BOB, ANN)} == {ANN: AWAY, CAT: HOME}
    assert {one["member_tag"]: one["to_clan"] for one in clans.poll(HOME, CAT, BOB)} == {ANN: AWAY, CAT: HOME}


@pytest.mark.parametrize("third_first", [True, False])
def test_member_who_moves_on_comes_from_the_last_clan(third_first: bool) -> None:
    clans = Clans()
    left_and_joined(clans)
    assert clans.poll(HOME, BOB) == [BETWEEN]
    onward = moved((AWAY, "Away"), (THIRD, "Third"))
    if third_first:
        assert clans.poll(THIRD, BOB, ANN, after=3000.0) == [], "not from the first clan"
        assert clans.poll(AWAY, BOB) == [onward]
        assert clans.poll(THIRD, BOB, ANN) == [onward]
    else:
        assert clans.poll(AWAY, BOB, after=3000.0) == []
        assert clans.poll(THIRD, BOB, ANN) == [onward]
        assert clans.poll(AWAY, BOB) == [onward]
    assert clans.poll(HOME, BOB) == clans.poll(THIRD, BOB, ANN) == []


def test_member_who_is_back_before_the_first_clan_is_polled_again() -> None:
    clans = Clans()
    left_and_joined(clans)
    assert clans.poll(HOME, ANN, BOB) == [BETWEEN]
    back = moved((AWAY, "Away"), (HOME, "Home"))
    assert clans.poll(AWAY, BOB) == [back]
    assert clans.poll(HOME, ANN, BOB) == [back]
    assert clans.poll(AWAY, BOB) == []


def test_arrival_in_a_stale_response_is_unknown_to_the_others() -> None:
    clans = Clans()
    home = clans.clans[HOME]
    home.api.max_age = 60.0
    clans.poll(HOME, ANN, BOB)
    clans.poll(AWAY, BOB, ANN)
    clans.poll(HOME, BOB)
    before = len(home.events)
    clans.poll(HOME, ANN, BOB, after=1.0)
    assert len(home.events) == before, "the response is stale"
    assert clans.context_moves.other_clan(AWAY, "left", ANN, at=home.now) is None


def test_move_of_a_response_that_could_not_be_stored_is_unknown_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    clans = Clans()
    with monkeypatch.context() as patch:

        async def fail(*_: object) -> None:
            raise OSError("disk full")

        patch.setattr(clans.clans[HOME].context.store, "commit", fail)
        patch.setattr(clans.clans[HOME]._poller._context.store, "commit", fail)
        with pytest.raises(OSError, match="disk full"):
            clans.poll(HOME, BOB)
    assert clans.poll(AWAY, BOB, ANN) == []
    assert clans.poll(HOME, BOB) == [BETWEEN]
    assert clans.poll(AWAY, BOB, ANN) == [BETWEEN]


def test_player_who_was_last_polled_in_the_clan_before_went_elsewhere() -> None:
    clans = Clans()
    clans.poll_player(FOREIGN)
    clans.poll(AWAY, BOB, ANN)
    assert clans.poll(AWAY, BOB) == [], "the player was in the foreign clan before"
    clans.poll_player(FOREIGN)
    assert clans.poll(AWAY, BOB, after=10.0) == [], "a cached response"
    clans.poll(AWAY, BOB, after=200.0)
    clans.poll_player(FOREIGN)
    assert clans.poll(AWAY, BOB, after=10.0) == [moved((AWAY, "Away"), ("#YYY", "Foreign"))]


def test_player_who_has_left_again_did_not_come_from_the_next_clan() -> None:
    clans = Clans()
    clans.poll_player(None)
    assert clans.poll(AWAY, BOB, ANN) == []
    clans.poll_player({"tag": AWAY, "name": "Away"})
    assert clans.poll(AWAY, BOB, ANN, after=HOUR) == []
    clans.poll_player(FOREIGN)
    assert clans.poll(AWAY, BOB, ANN) == [], "a cached response of the clan"
    assert clans.poll(AWAY, BOB) == [moved((AWAY, "Away"), ("#YYY", "Foreign"))]


def test_unresolved_move_of_a_watched_player_waits_for_their_next_poll() -> None:
    clans = Clans(watch_player=True)
    clans.poll(HOME, BOB)
    clans.poll_player(None)
    poller = clans.clans[HOME]._poller
    clans.poll(HOME, BOB)
    assert not poller._knows_a_move()  # type: ignore[attr-defined]  # a clan's poller
    clans.poll_player(FOREIGN)
    assert poller._knows_a_move()  # type: ignore[attr-defined]


def test_move_during_a_downtime_is_reported_by_both_clans() -> None:
    clans = Clans()
    clans.restart()
    assert clans.poll(HOME, BOB, after=5 * HOUR) == clans.poll(AWAY, BOB, ANN) == []
    found = clans.poll(HOME, BOB) + clans.poll(AWAY, BOB, ANN)
    assert [one["catch_up"] for one in found] == [True, True]
    assert clans.poll(HOME, BOB) == clans.poll(AWAY, BOB, ANN) == []
    assert [{key: one[key] for key in BETWEEN} for one in found] == [BETWEEN, BETWEEN]


def test_clan_that_is_watched_later_shows_the_member_as_known() -> None:
    clans = Clans()
    clans.poll(HOME, BOB)
    clans.clans["#YQQ"] = Replay(Kind.CLAN, "#YQQ", track_activity=True)
    clans.clans["#YQQ"].share(clans.clans[HOME])
    clans.share_context()
    assert clans.poll("#YQQ", BOB, ANN) == clans.poll(HOME, BOB) == clans.poll("#YQQ", BOB, ANN) == []


@pytest.mark.parametrize("restarts", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(4))
def test_random_moves_are_reported_once_by_each_clan(seed: int, restarts: float) -> None:
    rng, clans, names = random.Random(seed), Clans(), list(NAMES)
    present = {f"#2PP{number}": rng.choice(names) for number in range(6)}

    def poll(tag: str, after: float = 20.0) -> list[Journey]:
        members = sorted(one for one, where in present.items() if where == tag)
        moves = clans.poll(tag, BOB, *members, after=after)
        return [(tag, one["member_tag"], one["from_clan"], one["to_clan"]) for one in moves]

    for tag in names * 2:
        poll(tag, after=25 * HOUR)
    expected, found = Counter[Journey](), Counter[Journey]()
    for _ in range(12):
        for one in rng.sample(list(present), 2):
            origin, present[one] = present[one], rng.choice([tag for tag in names if tag != present[one]])
            expected.update((tag, one, origin, present[one]) for tag in (origin, present[one]))
        for tag in [tag for _ in range(6 if restarts else 2) for tag in rng.sample(names, 3)]:
            if rng.random() < restarts:
                clans.restart()
            found.update(poll(tag))
    assert found == expected


def test_clan_that_was_removed_is_not_waited_for() -> None:
    clans = Clans()
    clans.restart()
    clans.poll(HOME, ANN, BOB)
    assert not clans.context_moves.is_complete(HOME)
    for tag in (AWAY, THIRD):
        clans.clans[tag]._poller.retire()
    assert clans.context_moves.is_complete(HOME)


def recent(direction: Direction, *tags: str, at: float) -> RecentMoves:
    return RecentMoves({"left": {}, "joined": {}, direction: {tag: Move(tag, at) for tag in tags}})


def test_known_moves_are_bounded_and_forgotten_with_those_of_the_clan() -> None:
    moves = Moves()
    for number in range(300):
        moves.register(Clan(f"#2PP{number}", None), recent("left", *(f"#{number}P{one}" for one in range(100)), at=0.0))
    assert len(moves._known) == 20_000
    for number in range(300):
        moves.register(Clan(f"#2PP{number}", "renamed"), RecentMoves())
    assert (moves._known, moves._members) == ({}, {})
