"""An unchanged response about a clan war league or a raid weekend is not decoded, also if it consists of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.events.resource import Kind
from tests.support.bodies import CLAN_TAG
from tests.support.leagues import DAY, GROUP, HOUR, LeagueReplay, ScriptedLeague
from tests.support.raids import START, Weekend
from tests.support.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Callable

FRIDAY = START.timestamp()


@pytest.fixture
def count_decoded(monkeypatch: pytest.MonkeyPatch) -> Callable[[Replay], int]:
    """Return a function that polls once and returns the number of decoded responses."""
    decoded: list[int] = []
    loads = orjson.loads

    def counting(body: bytes) -> Any:
        decoded.append(len(body))
        return loads(body)

    monkeypatch.setattr("coc2mqtt.clash.response.orjson.loads", counting)

    def poll(replay: Replay) -> int:
        decoded.clear()
        assert replay.poll() == []
        return len(decoded)

    return poll


@pytest.mark.parametrize("standings", [False, True])
@pytest.mark.parametrize("at", [DAY - HOUR, DAY + HOUR, 9 * DAY], ids=["preparation", "battle", "ended"])
def test_unchanged_league_is_requested_but_not_decoded(
    count_decoded: Callable[[Replay], int], at: float, *, standings: bool
) -> None:
    replay = LeagueReplay(ScriptedLeague(), at=at, standings=standings)
    assert count_decoded(replay) > 1
    # The second poll knows the wars by their tags. If all are final, it no longer fetches them.
    count_decoded(replay)
    snapshot, requests = replay.snapshot, len(replay.api.requests)
    assert [count_decoded(replay) for _ in range(3)] == [0, 0, 0]
    assert replay.api.requests[requests:].count(GROUP) == 3
    assert replay.snapshot is snapshot


def test_league_is_not_decoded_again_after_a_change(count_decoded: Callable[[Replay], int]) -> None:
    replay = LeagueReplay(ScriptedLeague(), at=DAY - HOUR)
    count_decoded(replay)
    assert "cwl_round_state_changed" in replay.types_at(DAY + HOUR)
    # The draw of the next round was news as well: the second poll knows its war.
    count_decoded(replay)
    assert [count_decoded(replay) for _ in range(2)] == [0, 0]


@pytest.mark.parametrize("body", [{"state": "notInWar"}, None], ids=["searching", "no league"])
def test_unchanged_absence_of_a_league_is_not_decoded(
    count_decoded: Callable[[Replay], int], body: dict[str, Any] | None
) -> None:
    replay = LeagueReplay(ScriptedLeague(), at=-30 * DAY)
    if body is not None:
        replay.api.responses[GROUP] = body
    count_decoded(replay)
    assert [count_decoded(replay) for _ in range(2)] == [0, 0]


@pytest.mark.parametrize("is_over", [False, True])
def test_unchanged_raid_weekend_is_not_decoded(count_decoded: Callable[[Replay], int], *, is_over: bool) -> None:
    weekend = Weekend()
    weekend.raid("#8QQ")
    weekend.attack("#2PA", 40)
    if is_over:
        weekend.finish()
    replay = Replay(Kind.RAID, CLAN_TAG, now=FRIDAY + HOUR + is_over * 3 * DAY)
    replay.feed(weekend.response)
    snapshot = replay.snapshot
    assert [count_decoded(replay) for _ in range(3)] == [0, 0, 0]
    assert replay.snapshot is snapshot
