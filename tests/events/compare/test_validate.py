"""Any response is either rejected, or can be compared and its events recorded."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.clash import InvalidResponseError
from coc2mqtt.events.compare.clan import clan_looks_stale, compare_clan, restore_missing_members
from coc2mqtt.events.compare.player import compare_player, player_looks_stale, restore_progress
from coc2mqtt.events.compare.validate import validate_clan, validate_depth, validate_player, validate_size, validate_war
from coc2mqtt.events.compare.war import next_war_poll, war_sides
from coc2mqtt.events.compare.war_diff import compare_war, initial_war_memo, war_ended_unobserved, war_looks_stale
from coc2mqtt.events.compare.war_result import WarOutcome
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Snapshot
from tests.support.bodies import CLAN_TAG, Json, attack, clan, member, no_war, player, unit, war

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coc2mqtt.events import Event
    from coc2mqtt.events.compare.validate import MalformedField

JUNK: list[Any] = [None, True, -1, 0.5, "", "x", [], [None], [1], ["x"], [[]], [{}], {}, {"name": 1}, {"tag": "#2PX"}]
MISSING = object()

CLAN = clan(member("#2PA"), member("#2PB", donations=7), labels=[{"id": 1, "name": "Clan Wars"}])
NEXT_CLAN = clan(member("#2PA", role="admin", donations=120), member("#2PC"), clanPoints=2200)
PLAYER = player()
NEXT_PLAYER = player(
    name="Kirsten",
    townHallLevel=16,
    builderHallLevel=10,
    leagueTier={"id": 105000022, "name": "Golem League 22"},
    labels=[{"id": 57000007, "name": "Farming"}],
    troops=[unit("Barbarian", 11), unit("Baby Dragon", 5), unit("Baby Dragon", 10, "builderBase")],
    heroes=[unit("Barbarian King", 81)],
    spells=[unit("Lightning Spell", 9), unit("Rage Spell", 1)],
)
WAR = war("inWar", attack("#2P2", "#8Q2", 1))
NEXT_WAR = war("warEnded", attack("#2P2", "#8Q2", 1), attack("#8Q2", "#2P2", 2, stars=3))


def compare_clans(old: Json, new: Json) -> list[Event]:
    before = restore_missing_members(None, old).clan
    clan_looks_stale(before, new)
    return compare_clan(before, restore_missing_members(before, new, left=["#2PB"]).clan, at=1.0)


def compare_players(old: Json, new: Json) -> list[Event]:
    player_looks_stale(old, new)
    return compare_player(old, restore_progress(old, new), at=1.0)


def compare_wars(old: Json, new: Json) -> list[Event]:
    war_sides(old, CLAN_TAG)[0].get("name")
    snapshot = Snapshot(old, initial_war_memo(old))
    next_war_poll(new, final=False, at=1.0)
    war_looks_stale(snapshot, new, tag=CLAN_TAG, at=1.0)
    gone = war_ended_unobserved(snapshot, new, tag=CLAN_TAG)
    outcome = None if gone is None else WarOutcome(war=gone)
    first = compare_war(snapshot, new, tag=CLAN_TAG, at=1.0, outcome=outcome)
    return first.events + compare_war(Snapshot(new, first.memo), new, tag=CLAN_TAG, at=61.0).events


CASES = [
    pytest.param(CLAN, NEXT_CLAN, validate_clan, compare_clans, id="clan"),
    pytest.param(PLAYER, NEXT_PLAYER, validate_player, compare_players, id="player"),
    pytest.param(WAR, NEXT_WAR, validate_war, compare_wars, id="war"),
    pytest.param(NEXT_WAR, no_war(), validate_war, compare_wars, id="no war"),
]


def paths(body: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a body."""
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in items:
        yield (key,)
        yield from ((key, *rest) for rest in paths(value))


def with_junk(body: Json) -> Iterator[tuple[str, Json]]:
    """Yield copies of the body in which one value is missing or replaced by junk."""
    for path in paths(body):
        for junk in (MISSING, *JUNK):
            copied = copy.deepcopy(body)
            place = copied
            for key in path[:-1]:
                place = place[key]
            if junk is MISSING:
                del place[path[-1]]
            else:
                place[path[-1]] = junk
            yield f"{path} {junk!r}", copied


def accepted(check: Callable[[Json, str], object], body: Json) -> bool:
    try:
        check(body, body["tag"] if body.get("tag") == "#900PUCPV" else CLAN_TAG)
    except InvalidResponseError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new", "check", "compare"), CASES)
def test_accepted_response_can_be_compared_and_recorded(
    old: Json,
    new: Json,
    check: Callable[[Json, str], object],
    compare: Callable[[Json, Json], list[Event]],
) -> None:
    failures, count = [], 0
    for before, after in ((old, new), (new, old)):
        assert accepted(check, before)
        for what, body in with_junk(after):
            if accepted(check, body):
                count += 1
                try:
                    for event in compare(before, body) + compare(body, before) + compare(body, body):
                        orjson.dumps(EventRecord.of(event))
                except Exception as error:  # noqa: BLE001 - all findings are reported together
                    failures.append(f"{what}: {error!r}")
    assert failures == []
    assert count > 50, "rejecting everything is not a solution"


@pytest.mark.parametrize(
    ("check", "body"),
    [
        pytest.param(validate_clan, {}, id="empty"),
        pytest.param(validate_clan, {**CLAN, "tag": "#2PX"}, id="another clan"),
        pytest.param(validate_clan, {"name": "The Order"}, id="a clan without a tag"),
        pytest.param(validate_player, {**PLAYER, "tag": "#2PX"}, id="another player"),
        pytest.param(validate_player, {**PLAYER, "spells": [unit("Rage Spell", 1)] * 1001}, id="a huge list"),
        pytest.param(validate_war, {**WAR, "state": None}, id="a war without a state"),
        pytest.param(validate_war, {**WAR, "clan": {**WAR["clan"], "tag": "#2PX"}}, id="another clan's war"),
        pytest.param(validate_war, {"reason": "notFound"}, id="an error's body"),
    ],
)
def test_response_of_another_kind_is_rejected(check: Callable[[Json, str], object], body: Json) -> None:
    tag = "#900PUCPV" if check is validate_player else CLAN_TAG
    with pytest.raises(InvalidResponseError, match="the response is ignored"):
        check(body, tag)


@pytest.mark.parametrize(
    ("check", "body", "malformed"),
    [
        pytest.param(validate_clan, {"tag": CLAN_TAG}, [], id="bare clan"),
        pytest.param(validate_clan, {**CLAN, "name": 7, "clanLevel": 1.5}, ["name", "clanLevel"], id="clan"),
        pytest.param(validate_clan, {**CLAN, "memberList": "x"}, ["memberList"], id="member list"),
        pytest.param(validate_clan, clan(member("#2PA", donations=None)), ["memberList.donations"], id="null"),
        pytest.param(validate_clan, clan(member("#2PA", donations=True)), ["memberList.donations"], id="boolean"),
        pytest.param(validate_clan, clan(member("#2PA"), 7), ["memberList"], id="not a member"),  # type: ignore[arg-type]
        pytest.param(validate_player, {"tag": "#900PUCPV"}, [], id="bare player"),
        pytest.param(validate_player, {**PLAYER, "troops": {}}, ["troops"], id="troops"),
        pytest.param(validate_player, player(troops=[{"level": 1}]), ["troops.name"], id="unit without a name"),
        pytest.param(validate_player, player(clan={"tag": None}), ["clan"], id="clan without a tag"),
        pytest.param(validate_war, {"state": "inWar"}, [], id="bare war"),
        pytest.param(validate_war, {**WAR, "opponent": None}, ["opponent"], id="no opponent"),
        pytest.param(
            validate_war,
            war("inWar", {**attack("#2P2", "#8Q2", 1), "order": "1"}),
            ["clan.members.attacks.order"],
            id="attack",
        ),
    ],
)
def test_malformed_fields_are_removed_and_others_kept(
    check: Callable[[Json, str], list[MalformedField]], body: Json, malformed: list[str]
) -> None:
    copied = copy.deepcopy(body)
    tag = "#900PUCPV" if check is validate_player else CLAN_TAG
    assert [found.path for found in check(copied, tag)] == malformed
    assert check(copied, tag) == [], "the rest is well-formed"
    assert all(
        copied[key] == value for key, value in body.items() if key not in {one.split(".")[0] for one in malformed}
    )


@pytest.mark.parametrize(
    ("check", "body"),
    [
        pytest.param(validate_clan, {**CLAN, "type": "wholly new", "somethingNew": {"a": [1]}}, id="clan"),
        pytest.param(validate_player, {**PLAYER, "role": "emperor", "somethingNew": [1]}, id="player"),
        pytest.param(validate_war, {**WAR, "state": "suddenDeath", "battleModifier": "mud"}, id="war"),
        pytest.param(validate_war, {**no_war(), "state": "inMatchmaking"}, id="no war yet"),
    ],
)
def test_unknown_fields_and_values_are_accepted(check: Callable[[Json, str], object], body: Json) -> None:
    assert accepted(check, body)


def nested(depth: int) -> Json:
    return {"x": orjson.loads("[" * depth + "]" * depth)}


@pytest.mark.parametrize("depth", [244, 254, 1000])
def test_too_deeply_nested_response_is_rejected(depth: int) -> None:
    with pytest.raises(InvalidResponseError, match="nested too deeply"):
        validate_depth(nested(depth))


def test_response_nested_deeper_than_any_of_the_game_is_accepted() -> None:
    validate_depth(nested(200))


def test_too_large_response_is_rejected() -> None:
    validate_size(b"x" * 512 * 1024)
    with pytest.raises(InvalidResponseError, match="the response is larger than 512 kB: the response is ignored"):
        validate_size(b"x" * (512 * 1024 + 1))
