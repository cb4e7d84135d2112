"""Parts of devices that come and go with the options of a watch, and reminders' filters in a player's state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events.compare.games import Games
from coc2mqtt.events.resource import DEFAULT_REMINDERS, Kind, Resource, Watch, default_watch
from coc2mqtt.journal.sqlite import SqliteJournal
from tests.mqtt.publish.test_clan_parts import PLAYER_STATE, RAID, weekend
from tests.support.bodies import clan, member, player
from tests.support.retained import CLAN, PLAYER, PLAYER_WATCH, RetainedStateHarness

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

ALL = default_watch(Kind.CLAN, "#2PP")
ANN = member("#2P2", name="Ann")
RANKED_PLAYER = replace(PLAYER_WATCH, ranked=True)


def config(part: str) -> str:
    return f"homeassistant/device/coc2mqtt_home_{part}/config"


@pytest.mark.parametrize(
    ("part", "without"),
    [
        ("clan_2PP_activity", replace(ALL, members=False)),
        ("clan_2PP_reminders", replace(ALL, reminders=replace(DEFAULT_REMINDERS, war=(), cwl=(), raid=(), games=()))),
        ("clan_2PP_cwl", replace(ALL, cwl=False)),
    ],
)
async def test_part_is_removed_with_its_option_and_announced_again(
    harness: RetainedStateHarness, part: str, without: Watch
) -> None:
    harness.watch(ALL)
    await harness.poll(CLAN, clan(ANN))
    first = await harness.publish()
    assert first.published_on(config(part))[-1]["components"]
    harness.watch(without)
    assert (await harness.publish()).published_on(config(part)) == [None]
    harness.watch(ALL)
    assert (await harness.publish()).published_on(config(part))[-1]["components"]
    assert config("clan_2PP") not in (await harness.publish()).topics


async def test_all_parts_are_removed_with_the_clan(harness: RetainedStateHarness) -> None:
    watch = replace(ALL, games=True)
    harness.watch(watch)
    await harness.poll(CLAN, clan(ANN))
    await harness.publish()
    harness.unwatch(watch)
    recording = await harness.publish()
    removed = [one.topic for one in recording.published if not one.payload and one.topic.startswith("homeassistant/")]
    parts = ("activity", "reminders", "games", "cwl", "raid")
    assert set(removed) == {config("clan_2PP"), *(config(f"clan_2PP_{part}") for part in parts)}
    assert await harness.journal.resources() == []


async def test_ranked_battles_are_announced_with_the_player_and_removed_with_their_option(
    harness: RetainedStateHarness,
) -> None:
    topic = config("player_900PUCPV_ranked")
    harness.watch(RANKED_PLAYER)
    await harness.poll(PLAYER, player())
    assert (await harness.publish()).published_on(topic)[-1]["components"]
    harness.watch(PLAYER_WATCH)
    assert (await harness.publish()).published_on(topic) == [None]
    harness.watch(RANKED_PLAYER)
    await harness.publish()
    harness.unwatch(RANKED_PLAYER)
    assert (await harness.publish()).published_on(topic) == [None]


async def test_part_found_after_a_restart_is_removed_if_its_option_was_turned_off(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        first = RetainedStateHarness(journal)
        first.watch(ALL)
        await first.poll(CLAN, clan(ANN))
        payloads = {one.topic: one.payload for one in (await first.publish()).published}
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        later = RetainedStateHarness(journal)
        later.watch(replace(ALL, members=False))
        await later.publish()
        topic = config("clan_2PP_activity")
        later.state.announcer.on_found(topic, payloads[topic])
        later.state.on_found_part(CLAN)
        assert (await later.publish()).published_on(topic) == [None]


@pytest.mark.parametrize(
    ("filters", "pending"),
    [
        ({}, True),
        ({"min_attacks_left": 5}, True),
        ({"min_attacks_left": 6}, False),
        ({"roles": frozenset({"leader", "coLeader"})}, True),
        ({"roles": frozenset({"member"})}, False),
        ({"min_town_hall": 15, "max_town_hall": 16}, True),
        ({"min_town_hall": 17}, False),
        ({"max_town_hall": 14}, False),
    ],
)
async def test_pending_attack_of_a_player_follows_the_filters_of_the_clans_reminders(
    harness: RetainedStateHarness, filters: Json, pending: bool
) -> None:
    harness.watch(replace(ALL, reminders=replace(DEFAULT_REMINDERS, **filters)))
    harness.watch(PLAYER_WATCH)
    await harness.poll(CLAN, clan(ANN))
    await harness.poll(RAID, weekend())
    await harness.poll(PLAYER, player(clan={"tag": "#2PP", "name": "A"}, role="leader", townHallLevel=16))
    state = (await harness.publish()).published_on(PLAYER_STATE)[-1]
    assert (state["attack_pending"], state["raid"]["attack_pending"]) == (pending, pending)
    assert (state["attacks_left"], state["raid"]["attacks_left"]) == (5, 5)
    # The next filters apply at once.
    harness.watch(replace(ALL, reminders=DEFAULT_REMINDERS))
    later = (await harness.publish()).published_on(PLAYER_STATE)
    assert [one["attack_pending"] for one in later] == ([] if pending else [True])


async def test_clan_games_are_published_again_only_when_the_members_of_the_clan_change(
    harness: RetainedStateHarness,
) -> None:
    topic, ben = "coc/clan/2PP/state/games", member("#2P8", name="Ben")
    games = Games(
        0.0, 86_400.0, 4000, started=True, members={"#2P2": ("Ann", 0, 50, False), "#2P8": ("Ben", 0, 0, False)}
    )

    async def below() -> list[list[str]]:
        states = (await harness.publish()).published_on(topic)
        return [[one["name"] for one in state["members_below"]] for state in states]

    harness.watch(replace(ALL, raids=False, games=True))
    await harness.poll(CLAN, clan(ANN, ben))
    await harness.poll(Resource(Kind.GAMES, "#2PP"), games.to_json())
    assert await below() == [["Ben", "Ann"]]
    await harness.poll(CLAN, clan({**ANN, "donations": 101}, ben))
    assert await below() == []
    await harness.poll(CLAN, clan(ANN))
    assert await below() == [["Ann"]]
    # The points of those who have left stay.
    await harness.poll(CLAN, clan(ANN, member("#2P9", name="Cid")))
    assert await below() == []
