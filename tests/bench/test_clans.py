from __future__ import annotations

from typing import Any

import orjson
import pytest

from bench.clans import MEMBERS, Clans, clan_tags
from coc2mqtt.clash.tags import normalize_tag
from coc2mqtt.events.compare.clan import compare_clan
from coc2mqtt.events.compare.validate import validate_clan, validate_war

CLANS = Clans(40, width=5)


def body(number: int, version: int) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(CLANS.body(number, version))
    return found


def test_tags_are_valid_and_unique() -> None:
    tags = [tag for number, clan in enumerate(clan_tags(40)) for tag in (clan, *CLANS.donations(number, 0))]
    assert len(set(tags)) == 40 * (1 + MEMBERS)
    assert [normalize_tag(tag) for tag in tags] == tags


def test_clan_is_found_by_its_tag() -> None:
    for number, tag in enumerate(clan_tags(40)):
        assert CLANS.number(tag.removeprefix("#")) == number
        assert body(number, 0)["tag"] == tag


@pytest.mark.parametrize("tag", ["", "2", "2PPPPP", "900000", "20000A"])
def test_unknown_tag_has_no_number(tag: str) -> None:
    assert CLANS.number(tag) is None


def test_bodies_are_valid_and_have_documented_size() -> None:
    for number, tag in enumerate(clan_tags(20)):
        validate_clan(body(number, 0), tag)
        validate_war(orjson.loads(CLANS.war(number)), tag)
        assert 15_000 < len(CLANS.body(number, 0)) < 25_000


def test_full_bodies_are_longer_and_otherwise_identical() -> None:
    full: dict[str, Any] = orjson.loads(Clans(40, full=True).body(7, 3))
    short = body(7, 3)
    assert len(Clans(40, full=True).body(7, 3)) > 45_000
    assert {one["tag"]: one["donations"] for one in full["memberList"]} == CLANS.donations(7, 3)
    assert {key: full[key] for key in full if key != "memberList"} == {
        key: short[key] for key in short if key != "memberList"
    }


@pytest.mark.parametrize("version", [1, 2, 10, 11, 37])
def test_version_has_exactly_five_donations(version: int) -> None:
    events = compare_clan(body(33, version - 1), body(33, version), at=0.0)
    reported = [(event.metadata["member_tag"], event.changes[0].new_value) for event in events]
    assert {str(event.event_type.value) for event in events} == {"member_donations"}
    assert sorted(reported) == sorted(CLANS.changed(33, version))
    assert len(reported) == 5


@pytest.mark.parametrize("version", [0, 3, 44])
def test_donations_match_the_body(version: int) -> None:
    assert CLANS.donations(21, version) == {one["tag"]: one["donations"] for one in body(21, version)["memberList"]}
