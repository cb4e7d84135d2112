"""The checks find every possible error of a bridge; the events are made by the bridge's own code."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.demo import ImpossibleError, World
from coc2mqtt.events.compare.clan import compare_clan
from coc2mqtt.events.compare.cwl_diff import Sighting, WarSighting, compare_league
from coc2mqtt.events.compare.player import compare_player
from coc2mqtt.events.compare.raid import latest_season
from coc2mqtt.events.compare.raid_diff import compare_raid, initial_raid_memo
from coc2mqtt.events.compare.war_diff import compare_war, initial_war_memo
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind, Snapshot
from coc2mqtt.journal.protocol import JournalEntry
from coc2mqtt.mqtt.payloads.models import EventPayload
from coc2mqtt.mqtt.topics import Topics
from tests.chaos.checks import ApiOutage, CheckResult, Receipt, check_run
from tests.chaos.ground_truth import GroundTruth
from tests.support.observer import ReceivedMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    Verb = Callable[[World, str], object]

_NOW = 1_800_000_000.0
_TOPICS = Topics()


class FakeBridge:
    """A world, and the events that a bridge would publish about it."""

    def __init__(self) -> None:
        self.world = World(seed=3, clans=1, members=20, players=1)
        self.clan, self.player = self.world.clan_tags[0], self.world.player_tags[0]
        self.truth = GroundTruth(self.world)
        self.reported: list[ReceivedMessage] = []
        self._numbers = iter(range(1, 1000))
        self._league = Snapshot(*compare_league(None, self._sighting(), tag=self.clan, at=_NOW)[1:3], _NOW)
        self._raids = Snapshot({"season": None}, initial_raid_memo(None), _NOW)

    def change_clan(self, *verbs: Callable[[World, str], object]) -> list[ReceivedMessage]:
        """Apply changes to the clan between two polls, and return the resulting events."""
        clan, war = self.world.clan(self.clan) or {}, self.world.current_war(self.clan) or {}
        for change in verbs:
            change(self.world, self.clan)
            self.truth.record(self.clan, 0.0)
        events = compare_clan(clan, self.world.clan(self.clan) or {}, at=_NOW)
        now = self.world.current_war(self.clan) or {}
        events += compare_war(Snapshot(war, initial_war_memo(war), _NOW), now, tag=self.clan, at=_NOW).events
        events += [*self._compare_league(), *self._compare_raids()]
        return [self.encode(Kind.CLAN, event) for event in events]

    def _compare_league(self) -> list[Event]:
        result = compare_league(self._league, self._sighting(), tag=self.clan, at=_NOW)
        self._league = Snapshot(result.data, result.memo, _NOW)
        return result.events

    def _compare_raids(self) -> list[Event]:
        season = latest_season(self.world.raid_seasons(self.clan, 1) or {})
        result = compare_raid(self._raids, season, tag=self.clan, at=_NOW, defenses=True)
        self._raids = Snapshot(result.data, result.memo, _NOW)
        return result.events

    def _sighting(self) -> Sighting:
        group = self.world.league_group(self.clan)
        tags = [tag for one in (group or {"rounds": []})["rounds"] for tag in one["warTags"] if tag != "#0"]
        return Sighting(group, {tag: WarSighting(self.world.league_war(tag) or {}, _NOW) for tag in tags})

    def change_player(self, change: Callable[[World, str], object]) -> list[ReceivedMessage]:
        """Apply a change to the player, and return the resulting events."""
        before = self.world.player(self.player) or {}
        change(self.world, self.player)
        self.truth.record(self.player, 0.0)
        after = self.world.player(self.player) or {}
        return [self.encode(Kind.PLAYER, event) for event in compare_player(before, after, at=_NOW)]

    def encode(self, kind: Kind, event: Event) -> ReceivedMessage:
        number = next(self._numbers)
        payload = EventPayload.of(JournalEntry(number, f"{number:032x}", kind, EventRecord.of(event))).encode()
        return ReceivedMessage(_TOPICS.event(kind, event.tag, event.event_type.value), payload, retain=False)

    def api_event(self, event_type: EventType, at: float, tag: str = "api") -> ReceivedMessage:
        has_ended = event_type in (EventType.MAINTENANCE_END, EventType.API_RESTORED)
        metadata = {"duration_seconds": 1.0} if has_ended else {"error": "maintenance", "message": "later"}
        return self.encode(Kind.API, Event(event_type, tag, timestamp=at, metadata=metadata))


@pytest.fixture
def bridge() -> FakeBridge:
    return FakeBridge()


def check(bridge: FakeBridge, *received: ReceivedMessage, outages: tuple[ApiOutage, ...] = ()) -> CheckResult:
    return check_run(bridge.truth, [Receipt(0.0, message) for message in received], outages)


def changed(message: ReceivedMessage, **values: Any) -> ReceivedMessage:
    return ReceivedMessage(message.topic, orjson.dumps({**message.data, **values}), retain=False)


def declare_war(world: World, clan: str) -> None:
    world.declare_war(clan, timedelta(0))


def start_league(world: World, clan: str) -> None:
    world.start_league(clan, clans=2, team_size=5)


def use_all_attacks(world: World, clan: str) -> None:
    for _ in range(10):
        world.league_attack(clan)


def start_raids(world: World, clan: str) -> None:
    world.start_raids(clan, districts=2)


def destroy_clan(world: World, clan: str) -> None:
    with suppress(ImpossibleError):
        while True:
            world.raid_attack(clan)


def all_events(bridge: FakeBridge) -> list[ReceivedMessage]:
    clan = (World.join, World.leave, World.promote, World.donate, World.gain_points, World.rename_member)
    war = (declare_war, World.start_battle, World.attack, World.attack, World.upgrade_member_town_hall)
    player = (World.upgrade_troop, World.upgrade_spell, World.upgrade_hero, World.upgrade_equipment)
    broker_run = (World.upgrade_town_hall, World.upgrade_builder_hall, World.win_trophies, World.rename_player)
    league: tuple[Verb, ...] = (start_league, World.start_league_battle, use_all_attacks, World.end_league_battle)
    raids: tuple[Verb, ...] = (start_raids, *[World.raid_attack] * 3, destroy_clan, World.raid_defense, World.end_raids)
    reported = [message for change in (*clan, *war, *league, *raids) for message in bridge.change_clan(change)]
    return reported + [
        message
        for change in (*player, *broker_run, World.complete_achievement)
        for message in bridge.change_player(change)
    ]


def test_complete_events_have_no_violation(bridge: FakeBridge) -> None:
    reported = all_events(bridge)
    checked = check(bridge, *reported)
    assert checked.violations == []
    assert checked.received == len(reported)
    assert checked.reported == len(bridge.truth.changes) - checked.merged
    assert checked.merged == 0


def test_merged_changes_have_no_violation(bridge: FakeBridge) -> None:
    reported = bridge.change_clan(
        World.gain_points, World.gain_points, World.join, World.join, declare_war, World.start_battle
    )
    checked = check(bridge, *reported)
    assert checked.violations == []
    assert checked.merged == 3, "the first points, the first join's count, and the war's preparation"
    assert checked.reported + checked.merged == len(bridge.truth.changes)


def test_reverted_change_between_polls_is_no_violation(bridge: FakeBridge) -> None:
    elder = next(one["tag"] for one in (bridge.world.clan(bridge.clan) or {})["memberList"] if one["role"] == "member")
    reported = bridge.change_clan(
        lambda world, clan: world.promote(clan, elder), lambda world, clan: world.demote(clan, elder)
    )
    checked = check(bridge, *reported)
    assert reported == []
    assert checked.violations == []
    assert checked.merged == len(bridge.truth.changes) == 2


def test_identical_resent_event_is_counted_as_resent(bridge: FakeBridge) -> None:
    reported = all_events(bridge)
    checked = check(bridge, *reported, *reported[:3])
    assert checked.violations == []
    assert checked.resent == 3


def test_missing_event_is_lost(bridge: FakeBridge) -> None:
    reported = all_events(bridge)
    for missing in reported:
        assert check(bridge, *(message for message in reported if message is not missing)).lost, missing


def test_change_without_event_is_lost(bridge: FakeBridge) -> None:
    """The sequence numbers have no gap in this case."""
    for change in (World.join, World.leave, World.promote, World.gain_points, declare_war, World.start_battle):
        bridge.change_clan(change)
        assert check(bridge).lost


def test_change_missing_between_two_events_is_lost(bridge: FakeBridge) -> None:
    (first,) = bridge.change_clan(World.gain_points)
    bridge.change_clan(World.gain_points)
    (third,) = bridge.change_clan(World.gain_points)
    (lost,) = check(bridge, first, changed(third, seq=2)).lost
    assert "unreported" in lost


def test_swapped_events_of_one_tag_are_out_of_order(bridge: FakeBridge) -> None:
    (first,), (second,) = bridge.change_clan(World.gain_points), bridge.change_clan(World.gain_points)
    assert check(bridge, second, first).out_of_order
    assert not check(bridge, first, second, first).out_of_order, "the second receipt is ignored"


def test_swapped_events_of_two_tags_are_accepted(bridge: FakeBridge) -> None:
    (clan,), (player,) = bridge.change_clan(World.gain_points), bridge.change_player(World.upgrade_hero)
    assert check(bridge, player, clan).violations == []


def test_resent_event_with_other_bytes_is_altered(bridge: FakeBridge) -> None:
    (message,) = bridge.change_clan(World.gain_points)
    assert check(bridge, message, changed(message, summary="something else")).altered


def test_number_with_two_ids_is_altered(bridge: FakeBridge) -> None:
    (message,) = bridge.change_clan(World.gain_points)
    assert check(bridge, message, changed(message, id="f" * 32)).altered


def test_repeated_change_with_another_id_is_false(bridge: FakeBridge) -> None:
    reported = all_events(bridge)
    for message in reported:
        repeated = changed(message, id="f" * 32, seq=len(reported) + 1)
        assert check(bridge, *reported, repeated).false, message


def test_event_about_nothing_that_happened_is_false(bridge: FakeBridge) -> None:
    (points,) = bridge.change_clan(World.gain_points)
    change = points.data["changes"][0]
    for altered_change in ({**change, "new_value": 7}, {**change, "old_value": 7}, {**change, "field": "clanLevel"}):
        assert check(bridge, changed(points, changes=[altered_change])).false
    member_left = Event(
        EventType.MEMBER_LEFT, bridge.clan, _NOW, metadata={"member_tag": "#2PP", "member_name": "Nobody"}
    )
    assert check(bridge, points, bridge.encode(Kind.CLAN, member_left)).false
    unavailable = Event(EventType.WATCH_UNAVAILABLE, bridge.clan, _NOW, metadata={"message": "not there"})
    assert check(bridge, points, bridge.encode(Kind.CLAN, unavailable)).false


def test_payload_that_matches_no_model_is_invalid(bridge: FakeBridge) -> None:
    (message,) = bridge.change_clan(World.gain_points)
    assert check(bridge, changed(message, colour="red")).invalid
    assert check(bridge, ReceivedMessage(message.topic, message.payload, retain=True)).invalid


def test_online_twice_without_offline_is_a_missing_will(bridge: FakeBridge) -> None:
    online, offline = (
        ReceivedMessage("coc/bridge/state", orjson.dumps({"state": state}), retain=True)
        for state in ("online", "offline")
    )
    assert check(bridge, online, offline, online).violations == []
    assert check(bridge, online, online).missing_will
    repeated = [Receipt(0.0, online, 1), Receipt(1.0, online, 2)]
    assert check_run(bridge.truth, repeated).violations == [], "the broker died, and the will with it"


def test_api_failure_must_be_reported_during_outage_and_must_end(bridge: FakeBridge) -> None:
    pause_s = ApiOutage(_NOW, _NOW + 2)
    start = bridge.api_event(EventType.MAINTENANCE_START, _NOW + 1)
    end = bridge.api_event(EventType.MAINTENANCE_END, _NOW + 5)
    assert check(bridge, start, end, outages=(pause_s,)).violations == []
    assert check(bridge, start, outages=(pause_s,)).lost
    assert check(bridge, start, end).false
    assert check(bridge, changed(end, seq=1), outages=(pause_s,)).false
