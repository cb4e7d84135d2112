"""A malformed or missing field affects only that field, and causes no event."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from coc2mqtt.clash import ApiResponse
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind
from tests.support.bodies import CLAN_TAG, Json, attack, clan, member, player, unit, war
from tests.support.paths import SHARED
from tests.support.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Iterator

CASE = SHARED / "cases" / "i01_lone_surrogate.json"
ANN, BOB, CAT = "#2PA", "#2PB", "#2PC"
SURROGATE = (
    b'{"tag": "#2PP", "name": "Alpha", "clanLevel": 5, "members": 2, "memberList": [{"tag": "#P0Y", '
    b'"name": "M0 \\ud83d", "role": "leader"}, {"tag": "#P2Y", "name": "M1", "role": "member"}]}'
)
CLAN = clan(
    member(ANN, expLevel=200, builderBaseLeague={"id": 1, "name": "Wood"}, playerHouse={"elements": []}),
    member(BOB),
    warWins=7,
    warWinStreak=2,
    isWarLogPublic=True,
    labels=[{"id": 1, "name": "Clan Wars"}],
    badgeUrls={"large": "https://api-assets.clashofclans.com/badges/1.png"},
    clanCapital={"capitalHallLevel": 5},
)
PLAYER = player(
    expLevel=200,
    bestTrophies=5000,
    warStars=700,
    attackWins=3,
    defenseWins=1,
    donations=10,
    donationsReceived=20,
    clanCapitalContributions=1000,
    warPreference="in",
    role="admin",
    clan={"tag": CLAN_TAG, "name": "The Order"},
    townHallWeaponLevel=2,
    achievements=[{"name": "Gold", "village": "home", "info": "more", "stars": 2, "value": 7, "target": 9}],
    heroes=[{**unit("Barbarian King", 80), "equipment": [unit("Giant Gauntlet", 20)]}],
)
WAR = war("inWar", attack("#2P2", "#8Q2", 1))
BODIES = {Kind.CLAN: CLAN, Kind.PLAYER: PLAYER, Kind.WAR: WAR}
# Without these a response cannot be identified.
NEEDED = {"tag", "state"}
# A player without a clan lacks these.
MEMBERSHIP = {"clan", "role"}
JUNK: list[Any] = [None, 1.5, "x", True, [], {}, [7]]


def watching(kind: Kind, body: Json, *, now: float = 1_793_606_400.0) -> Replay:
    replay = Replay(kind, CLAN_TAG if kind is Kind.WAR else body["tag"], now=now)
    assert replay.feed(body, after=0) == []
    return replay


def without(body: Json, path: tuple[Any, ...], junk: Any = ...) -> Json:
    copied = copy.deepcopy(body)
    place: Any = copied
    for key in path[:-1]:
        place = place[key]
    if junk is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = junk
    return copied


def fields(kind: Kind) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all fields that a response may lack: its own, a member's or a unit's."""
    body = BODIES[kind]
    yield from ((key,) for key in body if key not in NEEDED | MEMBERSHIP)
    nested: dict[Kind, list[tuple[Any, ...]]] = {
        Kind.CLAN: [("memberList", 0), ("warLeague",)],
        Kind.PLAYER: [
            ("leagueTier",),
            ("troops", 0),
            ("heroes", 0),
            ("spells", 0),
            ("heroEquipment", 0),
            ("achievements", 0),
        ],
        Kind.WAR: [("clan",), ("opponent",), ("clan", "members", 0), ("opponent", "members", 0)],
    }
    for outer in nested[kind]:
        parent: Any = body
        for key in outer:
            parent = parent[key]
        yield from ((*outer, key) for key in parent if key not in NEEDED)


PLACES = [pytest.param(kind, path, id=f"{kind} {path}") for kind in BODIES for path in fields(kind)]


@pytest.mark.parametrize(("kind", "path"), PLACES)
def test_field_that_vanishes_temporarily_causes_no_event(kind: Kind, path: tuple[Any, ...]) -> None:
    replay = watching(kind, BODIES[kind])
    gone = without(BODIES[kind], path)
    assert [replay.feed(gone, after=140) for _ in range(3)] == [[]] * 3
    replay.restart()
    assert replay.feed(gone) == []
    assert [replay.feed(BODIES[kind], after=140) for _ in range(3)] == [[]] * 3


@pytest.mark.parametrize(("kind", "path"), PLACES)
def test_field_that_is_malformed_temporarily_causes_no_event(kind: Kind, path: tuple[Any, ...]) -> None:
    value: Any = BODIES[kind]
    for key in path:
        value = value[key]
    for junk in JUNK:
        if type(junk) is type(value) or (type(junk) is float and path[-1] == "destructionPercentage"):
            continue
        replay = watching(kind, BODIES[kind])
        odd = without(BODIES[kind], path, junk)
        assert [replay.feed(odd, after=140) for _ in range(3)] == [[]] * 3, junk
        assert [replay.feed(BODIES[kind], after=140) for _ in range(3)] == [[]] * 3, junk


@pytest.mark.parametrize("field", ["id", "name"])
@pytest.mark.parametrize("junk", [..., None])
def test_member_league_that_loses_a_field_temporarily_causes_no_event(field: str, junk: Any) -> None:
    replay = watching(Kind.CLAN, CLAN)
    odd = without(CLAN, ("memberList", 0, "leagueTier", field), junk)
    assert [replay.feed(body, after=140) for body in (odd, odd, CLAN)] == [[]] * 3


def test_change_next_to_a_malformed_nested_field_is_reported_alone() -> None:
    replay = watching(Kind.CLAN, CLAN)
    odd = {**CLAN, "warLeague": {"id": "x", "name": "Master League I"}}
    assert replay.feed(odd) == ["clan_updated"]
    assert [change.field for change in replay.events[-1].changes] == ["warLeague.name"]
    assert replay.accepted["warLeague"] == {**CLAN["warLeague"], "name": "Master League I"}


@pytest.mark.parametrize("field", sorted(MEMBERSHIP))
@pytest.mark.parametrize("junk", [7, "x", [], True])
def test_malformed_clan_membership_is_not_reported_as_a_leave(field: str, junk: Any) -> None:
    if field == "role" and junk == "x":
        return
    replay = watching(Kind.PLAYER, PLAYER)
    assert [replay.feed({**PLAYER, field: junk}) for _ in range(3)] == [[]] * 3
    assert replay.feed(PLAYER) == []


@pytest.mark.parametrize("junk", JUNK[:4])
def test_changes_are_reported_while_a_member_field_is_malformed(junk: Any) -> None:
    replay = watching(Kind.CLAN, clan(member(ANN), member(BOB)))
    odd = member(ANN, donations=junk)
    assert replay.feed(clan(odd, member(BOB, role="admin"), member(CAT))) == [
        "clan_updated",
        "member_joined",
        "member_role_changed",
    ]


@pytest.mark.parametrize("field", ["trophies", "troops", "townHallLevel", "name"])
def test_player_without_a_field_at_first_is_watched(field: str) -> None:
    bare = {key: value for key, value in PLAYER.items() if key != field}
    replay = watching(Kind.PLAYER, bare)
    assert replay.feed(PLAYER) == [], "the first value is the baseline"
    assert replay.feed({**PLAYER, "spells": [unit("Lightning Spell", 9)]}) == ["spell_upgraded"]


@pytest.mark.parametrize("field", ["name", "clanLevel", "members", "memberList", "clanPoints"])
def test_clan_without_a_field_at_first_is_watched(field: str) -> None:
    before = clan(member(ANN), member(BOB))
    replay = watching(Kind.CLAN, {key: value for key, value in before.items() if key != field})
    reported = replay.feed(before)
    assert reported == (["clan_updated"] if field == "name" else [])
    assert replay.feed({**clan(member(ANN), member(BOB), member(CAT)), "members": 2}) == ["member_joined"]


def test_donations_are_unknown_until_they_are_well_formed() -> None:
    replay = watching(Kind.CLAN, clan(member(ANN, donations=None), member(BOB)))
    assert replay.feed(clan(member(ANN, donations=500), member(BOB))) == []
    assert replay.feed(clan(member(ANN, donations="x"), member(BOB))) == []
    assert replay.feed(clan(member(ANN, donations=530), member(BOB))) == ["member_donations"]
    assert replay.events[-1].metadata["donations"] == 30


def test_vanished_field_is_removed_and_its_change_is_reported_later() -> None:
    replay = watching(Kind.CLAN, CLAN)
    gone = {key: value for key, value in CLAN.items() if key != "clanPoints"}
    replay.feed(gone)
    assert "clanPoints" in replay.accepted, "a partial response has to be confirmed"
    replay.feed(gone)
    assert "clanPoints" not in replay.accepted
    assert replay.feed({**CLAN, "clanPoints": 2200}) == ["clan_updated"]
    assert [(one.old_value, one.new_value) for one in replay.events[-1].changes] == [(2100, 2200)]


def test_removed_donation_fields_do_not_end_the_season() -> None:
    members = [member(f"#2P{letter}", donations=500) for letter in "0289PYLQ"]
    bare = [{key: value for key, value in one.items() if "onations" not in key} for one in members]
    replay = watching(Kind.CLAN, clan(*members))
    assert [replay.feed(clan(*bare)) for _ in range(3)] == [[]] * 3
    assert replay.feed(clan(*members)) == []


def test_each_kind_of_malformed_field_is_counted_and_logged_once() -> None:
    with capture_logs() as lines:
        replay = watching(Kind.CLAN, clan(member(ANN, donations=None), member(BOB, donations=1.5)))
        replay.feed(clan(member(ANN, donations=None), member(BOB), clanPoints="many"))
    assert replay.context.malformed_fields.counts == {"clan.memberList.donations": 3, "clan.clanPoints": 1}
    logged = [line for line in lines if line["event"] == "response field is malformed"]
    assert [(line["field"], line["tag"], line["value"]) for line in logged] == [
        ("clan.memberList.donations", CLAN_TAG, "None"),
        ("clan.clanPoints", CLAN_TAG, "'many'"),
    ]
    assert all(line["hint"] for line in logged)


def case() -> bytes:
    return CASE.read_bytes()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda: SURROGATE, id="inline"),
        pytest.param(case, id="file", marks=pytest.mark.skipif(not CASE.exists(), reason="no ../shared/cases")),
    ],
)
def test_lone_surrogate_in_a_name_is_replaced(body: Any) -> None:
    replay = Replay(Kind.CLAN, "#2PP")
    with capture_logs() as lines:
        assert replay.feed(body()) == []
    assert replay.accepted["memberList"][0]["name"] == "M0 \ufffd"
    assert [line["field"] for line in lines] == ["clan.memberList.name"]
    promoted = body().replace(b'"role": "member"', b'"role": "admin"')
    assert replay.feed(promoted) == ["member_role_changed"]
    assert orjson.dumps(EventRecord.of(replay.events[-1]))


def test_temporarily_unreadable_name_is_not_reported_as_changed() -> None:
    good = clan(member(ANN, name="Änn 🏰"), member(BOB), name="The 🏰")
    replay = watching(Kind.CLAN, good)
    text = orjson.dumps(good)
    for broken in (
        text.replace("🏰".encode(), b"\\ud83c"),
        text.replace("Ä".encode(), b"\xc4"),
        text.replace("🏰".encode(), b"\xf0\x9f\x8f"),
    ):
        assert [replay.feed(broken), replay.feed(broken), replay.feed(good)] == [[]] * 3
    assert replay.feed({**good, "name": "The Order"}) == ["clan_updated"]


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(codec=None, exclude_categories=()), max_size=20), tail=st.binary(max_size=3))
def test_any_text_can_be_decoded_and_encoded(text: str, tail: bytes) -> None:
    escaped = "".join(f"\\u{ord(one):04x}" if ord(one) < 0x10000 else one for one in text)
    tail = tail.translate(None, b'"\\' + bytes(range(32)))
    response = ApiResponse(200, b'{"a": "' + escaped.encode() + tail + b'"}', 0.0)
    assert orjson.loads(orjson.dumps(response.data)) == response.data
    assert response.repaired is _invalid(text, tail)


def _invalid(text: str, tail: bytes) -> bool:
    try:
        text.encode("utf-16", "surrogatepass").decode("utf-16")
        tail.decode()
    except UnicodeDecodeError:
        return True
    return False


def test_unit_without_a_village_is_not_confused_with_its_namesake() -> None:
    home, builder = unit("Baby Dragon", 5), unit("Baby Dragon", 9, "builderBase")
    nowhere = {key: value for key, value in builder.items() if key != "village"}
    replay = watching(Kind.PLAYER, player(troops=[home, builder]))
    assert replay.feed(player(troops=[home, {**nowhere, "level": 10}])) == ["troop_upgraded"]
    assert replay.events[-1].metadata["village"] == "builderBase", "the other one is listed too"
    lost = {key: value for key, value in home.items() if key != "village"}
    assert replay.feed(player(troops=[{**lost, "level": 6}, nowhere])) == [], "they cannot be distinguished"
    assert replay.feed(player(troops=[{**home, "level": 6}, {**builder, "level": 10}])) == ["troop_upgraded"]
    replay = watching(Kind.PLAYER, player(troops=[home]))
    assert replay.feed(player(troops=[home, nowhere])) == [], "an unknown namesake"
    assert replay.feed(player(troops=[home, builder])) == ["troop_upgraded"]
