from __future__ import annotations

import time

import orjson
import pytest

from bench.clans import Clans, clan_tags
from bench.parts import Parts
from coc2mqtt.clash.tags import normalize_tag
from coc2mqtt.events.compare.raid_diff import compare_raid, initial_raid_memo
from coc2mqtt.events.compare.validate import validate_league_group, validate_league_war
from coc2mqtt.events.compare.validate_raid import validate_raid_seasons
from coc2mqtt.events.resource import Snapshot


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts()


def test_group_and_wars_are_valid_and_those_of_the_clan(parts: Parts) -> None:
    tag, code = clan_tags(40)[33], Clans(1).code(33)
    group = orjson.loads(parts.group(code))
    assert validate_league_group(group, tag) == []
    tags = [war for entry in group["rounds"] for war in entry["warTags"] if war != "#0"]
    assert [normalize_tag(war) for war in tags] == tags
    own = []
    for war in tags:
        body = orjson.loads(parts.war(code, war[-1], 0))
        assert validate_league_war(body) == []
        own += [body["state"]] * (tag in (body["clan"]["tag"], body["opponent"]["tag"]))
    assert own == ["inWar", "preparation"]


def test_version_of_a_league_has_one_attack_more(parts: Parts) -> None:
    [changing] = [letter for letter in "0289PYLQ" if parts.is_own_battle(letter)]
    wars = [orjson.loads(parts.war(b"00000", changing, version)) for version in range(4)]
    counts = [war["clan"]["attacks"] + war["opponent"]["attacks"] for war in wars]
    assert counts == [counts[0] + version for version in range(4)]


def test_version_of_a_raid_weekend_has_one_attack_more(parts: Parts) -> None:
    old, new = (orjson.loads(parts.raids(version)) for version in (7, 8))
    assert validate_raid_seasons(old, at=time.time()) == []
    assert 85_000 < len(parts.raids(0)) < 95_000
    assert parts.raids(7) != parts.raids(8)
    before, after = old["items"][0], new["items"][0]
    events = compare_raid(Snapshot({"season": before}, initial_raid_memo(before)), after, tag="#2PP", at=0.0).events
    assert [event.event_type.value for event in events].count("raid_attack_new") == 1
