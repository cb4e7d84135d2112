"""The retained state of a clan's clan war league, and a player's part in it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from coc2mqtt.events.resource import Kind, Resource, Snapshot
from coc2mqtt.mqtt.payloads.cwl import CwlPayload
from coc2mqtt.mqtt.payloads.player import (
    PlayerCwlPayload,
    PlayerParts,
    PlayerPayload,
    PlayerRaidPayload,
    PlayerWarPayload,
    player_cwl_payload,
)
from coc2mqtt.mqtt.payloads.state import FACETS, state_payloads
from tests.support.bodies import player
from tests.support.leagues import DAY, HOUR, OWN, LeagueReplay, ScriptedLeague

Json = dict[str, Any]

CWL = Resource(Kind.CWL, OWN)
# The members of the line-up at the first three places.
FIRST, SECOND, THIRD = f"{OWN}0", f"{OWN}2", f"{OWN}8"
BATTLE = DAY + HOUR


def polled(script: ScriptedLeague, *times: float, **options: Any) -> LeagueReplay:
    """Return a league that was polled at its start and at these times (seconds after it)."""
    replay = LeagueReplay(script, **options)
    for at in (0.0, *times):
        replay.poll_at(at)
    return replay


def published(replay: LeagueReplay) -> Json:
    found = state_payloads(CWL, replay.snapshot)
    assert tuple(found) == FACETS[Kind.CWL]
    state: Json = orjson.loads(found["cwl"].encode())
    CwlPayload.model_validate(state)
    return state


def part(replay: LeagueReplay, tag: str) -> PlayerCwlPayload:
    return player_cwl_payload(tag, OWN, replay.snapshot)


def numbers_and_states(state: Json) -> list[Any]:
    return [None if war is None else (war["round"], war["state"]) for war in (state["war"], state["next_war"])]


@pytest.mark.parametrize("own_first", [True, False], ids=["as clan", "as opponent"])
def test_battle_shows_its_war_and_the_next_one_from_the_clans_side(own_first: bool) -> None:
    script = ScriptedLeague(clans=4, size=5, own_first=own_first)
    side = script.own_side(1)
    script.own(1).attack(script.own(1).start + 60, by=0, on=1, stars=3, side=side)
    script.own(1).attack(script.own(1).start + 90, by=1, on=1, stars=2, side=1 - side)
    state = published(polled(script, BATTLE))
    assert {key: value for key, value in state.items() if key not in ("war", "next_war")} == {
        "state": "inWar",
        "season": "2026-10-01",
        "league": None,
        "rounds": 3,
        "clans": 4,
        "round": 1,
        "position": None,
        "stars": 3,
        "standings": [],
        "updated_at": "2026-10-02T09:00:00.000+00:00",
    }
    opponent = script.own(1).clans[1 - side]
    assert state["war"] == {
        "round": 1,
        "war_id": script.own(1).tag,
        "state": "inWar",
        "preparation_start_time": "2026-10-01T08:00:00.000+00:00",
        "start_time": "2026-10-02T07:59:57.000+00:00",
        "end_time": "2026-10-03T07:59:57.000+00:00",
        "team_size": 5,
        "status": "winning",
        "clan": {
            "tag": OWN,
            "name": f"Name of {OWN}",
            "level": 10,
            "stars": 3,
            "attacks": 1,
            "attacks_left": 4,
            "destruction": 20.0,
        },
        "opponent": {
            "tag": opponent,
            "name": f"Name of {opponent}",
            "level": 10,
            "stars": 2,
            "attacks": 1,
            "attacks_left": 4,
            "destruction": 14.2,
        },
        # The place in the line-up: the API's positions are 2, 5, 8 and so on.
        "members_with_attacks_left": [
            {"tag": f"{OWN}{letter}", "name": f"Name of {OWN}{letter}", "position": place, "attacks_left": 1}
            for place, letter in enumerate("289P", 2)
        ],
    }
    assert numbers_and_states(state) == [(1, "inWar"), (2, "preparation")]
    assert state["next_war"]["war_id"] == script.own(2).tag
    assert state["next_war"]["members_with_attacks_left"] == [], "not before the battle"
    assert state["next_war"]["status"] is None


def test_rounds_are_shown_through_gaps_and_overlapping_battles() -> None:
    script = ScriptedLeague(clans=4)
    script.shift(1, end=HOUR)  # a maintenance
    script.shift(3, start=HOUR)
    replay = LeagueReplay(script)
    shown = []
    for at in (HOUR, BATTLE, 2 * DAY + HOUR / 2, 2 * DAY + 2 * HOUR, 3 * DAY + HOUR / 2, 3 * DAY + 2 * HOUR, 5 * DAY):
        replay.poll_at(at)
        state = published(replay)
        shown.append((state["state"], *numbers_and_states(state)))
    assert shown == [
        ("preparation", (1, "preparation"), None),
        ("inWar", (1, "inWar"), (2, "preparation")),
        ("inWar", (1, "inWar"), (2, "inWar")),
        ("inWar", (2, "inWar"), (3, "preparation")),
        ("preparation", (3, "preparation"), None),
        ("inWar", (3, "inWar"), None),
        ("ended", (3, "warEnded"), None),
    ]


def test_standings_are_those_of_the_group_with_the_bonus() -> None:
    script = ScriptedLeague(clans=4)
    for number in (1, 2, 3):
        war, side = script.own(number), script.own_side(number)
        war.attack(war.start + 60, by=number, on=0, stars=3 if number < 3 else 1, side=side)
        war.attack(war.start + 90, by=0, on=0, stars=2, side=1 - side)
    replay = polled(script, DAY, 2 * DAY, BATTLE + 2 * DAY, 5 * DAY, standings=True)
    state = published(replay)
    rows = [(row["position"], row["tag"], row["stars"], row["destruction"]) for row in state["standings"]]
    assert rows == [(position, *row) for position, row in enumerate(script.standings(), 1)]
    own = next(row for row in state["standings"] if row["tag"] == OWN)
    assert own == {
        "position": 1,
        "tag": OWN,
        "name": f"Name of {OWN}",
        "stars": 27,
        "destruction": own["destruction"],
        "wins": 2,
        "losses": 1,
        "ties": 0,
    }
    assert (state["state"], state["position"], state["stars"]) == ("ended", 1, 27)
    table = published(polled(script, DAY, 2 * DAY, BATTLE + 2 * DAY, 5 * DAY))
    assert (table["standings"], table["position"], table["stars"]) == ([], None, 27), "only the clan's own wars"


@pytest.mark.parametrize(
    ("group", "expected"), [(None, "none"), ({"state": "notInWar"}, "searching")], ids=["no league", "signed up"]
)
def test_clan_without_a_group_has_a_state_without_values(group: Json | None, expected: str) -> None:
    snapshot = Snapshot({"group": group, "wars": {}}, {}, 1_795_435_200.0)
    state = orjson.loads(state_payloads(CWL, snapshot)["cwl"].encode())
    assert {key: value for key, value in state.items() if value is not None} == {
        "state": expected,
        "standings": [],
        "updated_at": "2026-11-23T12:00:00.000+00:00",
    }
    assert player_cwl_payload(FIRST, OWN, snapshot) == PlayerCwlPayload(
        clan_tag=OWN, state=expected, round=None, attacks_left=0, attack_pending=False, end_time=None
    )


def test_state_has_a_limited_size() -> None:
    script = ScriptedLeague(clans=8, size=14)
    script.shift(1, end=HOUR)
    replay = polled(script, DAY, 2 * DAY + HOUR / 2, standings=True)
    for war in replay.snapshot.data["wars"].values():  # type: ignore[index]  # it has data
        for side in (war["clan"], war["opponent"]):
            side["members"] = [{**one, "name": "\N{CASTLE}" * 1000} for one in side["members"] * 4]
    state = published(replay)
    assert len(state["standings"]) == 8
    assert [len(state[war]["members_with_attacks_left"]) for war in ("war", "next_war")] == [50, 50]
    assert len(orjson.dumps(state)) < 20_000


def test_player_has_one_attack_in_a_battle_for_which_they_are_in_the_line_up() -> None:
    script = ScriptedLeague(clans=4)
    war = script.own(1)
    war.attack(war.start + 60, by=0, on=1, side=script.own_side(1))
    replay = polled(script)
    ahead = part(replay, FIRST)
    assert (ahead.state, ahead.round, ahead.attacks_left, ahead.attack_pending) == ("preparation", 1, 1, False)
    replay.poll_at(BATTLE)
    end = "2026-10-03T07:59:57.000+00:00"
    for tag, left in ((FIRST, 0), (SECOND, 1), ("#YYY", 0)):
        assert part(replay, tag) == PlayerCwlPayload(
            clan_tag=OWN, state="inWar", round=1, attacks_left=left, attack_pending=left > 0, end_time=end
        )


def test_player_in_two_battles_at_once_has_the_attacks_of_both() -> None:
    script = ScriptedLeague(clans=4)
    script.shift(1, end=HOUR)
    first = script.own(1)
    first.attack(first.start + 60, by=1, on=1, side=script.own_side(1))
    replay = polled(script, BATTLE, 2 * DAY + HOUR / 2)
    both, second_only = part(replay, FIRST), part(replay, SECOND)
    assert (both.attacks_left, both.attack_pending, both.round) == (2, True, 1)
    assert (second_only.attacks_left, second_only.attack_pending, second_only.round) == (1, True, 2)
    replay.poll_at(2 * DAY + 2 * HOUR)
    assert part(replay, FIRST).attacks_left == 1, "the first battle is over"


def test_player_has_no_attack_after_the_league() -> None:
    script = ScriptedLeague(clans=4)
    replay = polled(script, BATTLE, 2 * DAY, 3 * DAY, 5 * DAY)
    after = part(replay, FIRST)
    assert (after.state, after.round, after.attacks_left, after.attack_pending) == ("ended", 3, 0, False)


WAR = PlayerWarPayload(clan_tag=OWN, state="inWar", attacks_left=2, attack_pending=True, end_time=None)
PRIVATE = PlayerWarPayload(clan_tag=OWN, state=None, attacks_left=None, attack_pending=None, end_time=None)
LEAGUE = PlayerCwlPayload(
    clan_tag=OWN, state="preparation", round=2, attacks_left=1, attack_pending=False, end_time=None
)
RAIDS = PlayerRaidPayload(clan_tag=OWN, state="ongoing", attacks_left=5, attack_pending=True, end_time=None)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (PlayerParts(), (None, None)),
        (PlayerParts(war=PRIVATE), (None, None)),
        (PlayerParts(war=PRIVATE, cwl=LEAGUE), (1, False)),
        (PlayerParts(war=WAR), (2, True)),
        (PlayerParts(cwl=LEAGUE, raid=RAIDS), (6, True)),
        (PlayerParts(war=WAR, cwl=LEAGUE, raid=RAIDS), (8, True)),
    ],
)
def test_attacks_of_a_player_are_summed_as_far_as_they_are_known(
    parts: PlayerParts, expected: tuple[int | None, bool | None]
) -> None:
    state = state_payloads(Resource(Kind.PLAYER, "#900PUCPV"), Snapshot(player(), {}, 0.0), parts=parts)["player"]
    assert isinstance(state, PlayerPayload)
    assert (state.attacks_left, state.attack_pending) == expected
    assert (state.war, state.cwl, state.raid) == parts[:3]
