"""Members who move between clans of which at least one is watched."""

from __future__ import annotations

from typing import Any

import pytest

from coc2mqtt.events.polling.moves import Moves
from coc2mqtt.events.resource import Kind, Resource
from tests.support.bodies import clan, member, player
from tests.support.replay import Replay

Json = dict[str, Any]

ANN, BOB = "#900PUCPV", "#2PB"
HOME, AWAY, THIRD = "#2PP", "#8QQ", "#9QQ"
NAMES = {HOME: "Home", AWAY: "Away", THIRD: "Third"}
FOREIGN = {"tag": "#YYY", "name": "Foreign"}


class Clans:
    """Three watched clans and a watched player in one engine; Ann is in the first clan."""

    def __init__(self, *, watch_player: bool = False) -> None:
        self.points = 1000
        self.clans = {tag: Replay(Kind.CLAN, tag, track_activity=True) for tag in NAMES}
        self.player = Replay(Kind.PLAYER, ANN)
        for other in (self.clans[AWAY], self.clans[THIRD], self.player):
            other.share(self.clans[HOME])
        self.share_context()
        self.poll(HOME, ANN, BOB)
        self.poll(AWAY, BOB)
        self.poll(THIRD, BOB)
        if watch_player:
            self.poll_player({"tag": HOME, "name": "Home"})

    def share_context(self) -> None:
        """Let all pollers use one context, as in an engine."""
        home = self.clans[HOME]
        for one in (*self.clans.values(), self.player):
            one.api = home.api
            one._poller._context = home.context

    @property
    def context_moves(self) -> Moves:
        """The departures and arrivals that the clans know of each other."""
        return self.clans[HOME].context.moves

    def restart(self) -> None:
        moves = Moves()
        for one in (*self.clans.values(), self.player):
            one.moves = moves
        for one in (*self.clans.values(), self.player):
            one.restart()
        self.share_context()

    def poll(self, tag: str, *members: str, after: float = 60.0) -> list[Json]:
        """Poll a clan with these members, and return the metadata of the moves."""
        for one in (*self.clans.values(), self.player):
            one.now = self.clans[HOME].now + after
        replay = self.clans[tag]
        known = len(replay.events)
        # A copy of an earlier response would look stale.
        self.points += 1
        replay.feed(clan(*map(member, members), tag=tag, name=NAMES.get(tag), clanPoints=self.points), after=0.0)
        return [one.metadata for one in replay.events[known:] if one.event_type.value == "member_moved"]

    def poll_player(self, present: Json | None) -> None:
        self.player.now = self.clans[HOME].now
        self.player.feed(player(tag=ANN, **({} if present is None else {"clan": present})), after=0.0)


def moved(origin: tuple[str, str | None], destination: tuple[str, str | None]) -> Json:
    return {
        "member_tag": ANN,
        "member_name": f"Name of {ANN}",
        "from_clan": origin[0],
        "from_clan_name": origin[1],
        "to_clan": destination[0],
        "to_clan_name": destination[1],
    }


BETWEEN = moved((HOME, "Home"), (AWAY, "Away"))


def test_both_clans_report_the_move_if_the_departure_is_seen_first() -> None:
    clans = Clans()
    assert clans.poll(HOME, BOB) == []
    assert clans.poll(AWAY, BOB, ANN) == [BETWEEN]
    assert clans.poll(HOME, BOB) == [BETWEEN]
    assert clans.poll(HOME, BOB) == clans.poll(AWAY, BOB, ANN) == []


def test_both_clans_report_the_move_if_the_arrival_is_seen_first() -> None:
    clans = Clans()
    assert clans.poll(AWAY, BOB, ANN) == []
    assert clans.poll(HOME, BOB) == [BETWEEN]
    assert clans.poll(AWAY, BOB, ANN) == [BETWEEN]
    types = [one.event_type.value for one in clans.clans[HOME].events]
    assert types[-2:] == ["member_left", "member_moved"]


@pytest.mark.parametrize("restarts", [1, 2, 3])
def test_each_clan_reports_the_move_once_despite_restarts(restarts: int) -> None:
    clans = Clans()
    found = []
    steps = [(HOME, (BOB,)), (AWAY, (BOB, ANN))] * 4
    for number, (tag, members) in enumerate(steps):
        if number <= restarts:
            clans.restart()
        found += [(tag, one) for one in clans.poll(tag, *members)]
    assert sorted(tag for tag, _ in found) == [HOME, AWAY]


def test_member_who_returns_has_not_moved() -> None:
    clans = Clans()
    clans.poll(HOME, BOB)
    assert clans.poll(HOME, BOB, ANN) == []
    assert clans.clans[HOME].snapshot.memo.get("moves") is None


def test_later_arrival_is_not_a_move() -> None:
    clans = Clans()
    clans.poll(HOME, BOB)
    assert clans.poll(AWAY, BOB, ANN, after=25 * 3600.0) == []
    assert clans.poll(HOME, BOB) == []


def test_watched_player_shows_where_they_went() -> None:
    clans = Clans(watch_player=True)
    assert clans.poll(HOME, BOB) == []
    clans.poll_player(None)
    assert clans.poll(HOME, BOB) == []
    clans.poll_player(FOREIGN)
    assert clans.poll(HOME, BOB) == [moved((HOME, "Home"), ("#YYY", "Foreign"))]
    assert clans.poll(HOME, BOB) == []


@pytest.mark.parametrize("player_first", [True, False])
def test_watched_player_shows_where_they_came_from(player_first: bool) -> None:
    clans = Clans()
    clans.poll_player(FOREIGN)
    if player_first:
        clans.poll_player({"tag": AWAY, "name": "Away"})
    found = clans.poll(AWAY, BOB, ANN)
    assert found == [moved(("#YYY", "Foreign"), (AWAY, "Away"))]
    assert clans.poll(AWAY, BOB, ANN) == []


def test_pending_moves_are_bounded_and_forgotten() -> None:
    clans = Clans()
    crowd = [f"#2PP{number}" for number in range(150)]
    clans.poll(HOME, BOB, *crowd)
    clans.poll(HOME, BOB)
    state = clans.clans[HOME]._state.snapshot(Resource(Kind.CLAN, HOME))
    assert state is not None
    assert len(state.memo["moves"]["left"]) <= 100
    clans.poll(HOME, BOB, after=25 * 3600.0)
    assert "moves" not in clans.clans[HOME].snapshot.memo


def test_member_who_passes_through_a_clan_is_followed() -> None:
    clans = Clans()
    clans.poll(HOME, BOB)
    clans.poll(AWAY, BOB, ANN)
    clans.poll(HOME, BOB)
    clans.poll(AWAY, BOB, after=3000.0)
    assert clans.poll(HOME, BOB, ANN) == [moved((AWAY, "Away"), (HOME, "Home"))]
    assert clans.poll(AWAY, BOB) == [moved((AWAY, "Away"), (HOME, "Home"))]
    assert clans.poll(HOME, BOB, after=5 * 3600.0) == [], "to an unknown clan"
    assert clans.poll(HOME, BOB) == clans.poll(AWAY, BOB) == []


def test_recent_arrival_who_leaves_again_has_moved() -> None:
    clans = Clans()
    clans.poll(HOME, ANN, BOB, "#2PC")
    clans.poll(HOME, ANN, BOB)
    (move,) = clans.poll(AWAY, BOB, "#2PC")
    assert (move["member_tag"], move["from_clan"], move["to_clan"]) == ("#2PC", HOME, AWAY)
