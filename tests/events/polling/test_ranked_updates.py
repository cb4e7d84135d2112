"""The update of a player about another league group is secondary to the event about the ranked week."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events.polling.ranked_poller import RankedPoller
from coc2mqtt.events.resource import Kind
from tests.events.polling.test_ranked import GROUP, HOUR, NEXT, NEXT_GROUP, TAG, WEEK
from tests.support.bodies import player
from tests.support.replay import Replay, run_without_loop

if TYPE_CHECKING:
    from coc2mqtt.events import Event

Json = dict[str, Any]


def signed_up(group: Any, season: Any, **fields: Any) -> Json:
    before = {"previousLeagueGroupTag": "#0", "previousLeagueSeasonId": 0}
    return player(tag=TAG, currentLeagueGroupTag=group, currentLeagueSeasonId=season, **before, **fields)


class Followed:
    """A player and their ranked battles, polled one after the other."""

    def __init__(self, first: Json, *, now: float = NEXT - HOUR, ranked: bool = True) -> None:
        self.player = Replay(Kind.PLAYER, TAG, now=now, ranked=ranked)
        self.battles = RankedPoller(self.player.context, TAG, interval=600.0)
        assert self.poll(first, after=0.0) == []

    def poll(self, response: Json, *, after: float = 2 * HOUR) -> list[tuple[str, Any]]:
        """Return the type of each event and what marks it."""
        self.player.feed(response, after=after)
        updates = self.player.events.copy()
        self.player.events.clear()
        weeks: list[Event] = run_without_loop(self.battles.poll()).events
        return [
            (event.event_type.value, event.metadata.get("caused_by") or event.metadata.get("explained_fields"))
            for event in (*updates, *weeks)
        ]


STARTED = ("ranked_week_started", None)


@pytest.mark.parametrize("before", [(GROUP, WEEK), ("#0", 0), (None, None)])
def test_update_with_a_new_group_is_caused_by_the_week(before: tuple[Any, Any]) -> None:
    followed = Followed(signed_up(*before))
    update = {
        **signed_up(NEXT_GROUP, NEXT),
        "previousLeagueGroupTag": GROUP,
        "previousLeagueSeasonId": WEEK,
    }
    assert followed.poll(update) == [("player_updated", "ranked_week_started"), STARTED]


def test_update_without_a_group_is_caused_by_the_end_of_the_week() -> None:
    followed = Followed(signed_up(GROUP, WEEK))
    assert followed.poll(signed_up("#0", 0)) == [("player_updated", "ranked_week_ended")]


def test_update_with_other_changes_is_not_secondary() -> None:
    followed = Followed(signed_up(GROUP, WEEK))
    explained = ["currentLeagueGroupTag", "currentLeagueSeasonId"]
    update = signed_up(NEXT_GROUP, NEXT, builderBaseTrophies=4711)
    assert followed.poll(update) == [("player_updated", explained), STARTED]


@pytest.mark.parametrize(("group", "season", "after"), [("#0", 0, 60.0), ("#YYQQ", WEEK, 60.0), (NEXT_GROUP, 5, 60.0)])
def test_update_that_causes_no_event_about_a_week_is_not_secondary(group: str, season: int, after: float) -> None:
    followed = Followed(signed_up(GROUP, WEEK))
    assert followed.poll(signed_up(group, season), after=after) == [("player_updated", None)]


def test_update_of_a_player_without_ranked_is_not_secondary() -> None:
    followed = Followed(signed_up(GROUP, WEEK), ranked=False)
    assert followed.poll(signed_up(NEXT_GROUP, NEXT))[0] == ("player_updated", None)
