"""The verdict finds whatever a bridge could do wrong: told on events that the bridge's own code has made."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.demo import World
from coc2mqtt.events.compare.clan import compare_clan
from coc2mqtt.events.compare.player import compare_player
from coc2mqtt.events.compare.war_diff import compare_war, initial_war_memo
from coc2mqtt.events.event import Event, EventType
from coc2mqtt.events.record import EventRecord
from coc2mqtt.events.resource import Kind, Snapshot
from coc2mqtt.journal.protocol import JournalEntry
from coc2mqtt.mqtt.payloads.event import encode_event
from coc2mqtt.mqtt.topics import Topics
from tests.chaos.checks import ApiOutage, CheckResult, Receipt, check_run
from tests.chaos.ground_truth import GroundTruth
from tests.support.observer import ReceivedMessage

if TYPE_CHECKING:
    from collections.abc import Callable

_NOW = 1_800_000_000.0
_TOPICS = Topics()


class Teller:
    """A world, and a bridge that tells of it what it is told to."""

    def __init__(self) -> None:
        self.world = World(seed=3, clans=1, members=20, players=1)
        self.clan, self.player = self.world.clan_tags[0], self.world.player_tags[0]
        self.truth = GroundTruth(self.world)
        self.told: list[ReceivedMessage] = []
        self._numbers = iter(range(1, 1000))

    def happen(self, *verbs: Callable[[World, str], object]) -> list[ReceivedMessage]:
        """Let things happen in the clan between two looks at it, and return what is to be told of them."""
        clan, war = self.world.clan(self.clan) or {}, self.world.current_war(self.clan) or {}
        for verb in verbs:
            verb(self.world, self.clan)
            self.truth.look(self.clan, 0.0)
        events = compare_clan(clan, self.world.clan(self.clan) or {}, at=_NOW)
        now = self.world.current_war(self.clan) or {}
        events += compare_war(Snapshot(war, initial_war_memo(war), _NOW), now, tag=self.clan, at=_NOW).events
        return [self.write(Kind.CLAN, event) for event in events]

    def live(self, verb: Callable[[World, str], object]) -> list[ReceivedMessage]:
        """Let something happen to the player, and return what is to be told of it."""
        before = self.world.player(self.player) or {}
        verb(self.world, self.player)
        self.truth.look(self.player, 0.0)
        after = self.world.player(self.player) or {}
        return [self.write(Kind.PLAYER, event) for event in compare_player(before, after, at=_NOW)]

    def write(self, kind: Kind, event: Event) -> ReceivedMessage:
        number = next(self._numbers)
        payload = encode_event(JournalEntry(number, f"{number:032x}", kind, EventRecord.of(event)))
        return ReceivedMessage(_TOPICS.event(kind, event.tag, event.event_type.value), payload, retain=False)

    def trouble(self, event_type: EventType, at: float, tag: str = "api") -> ReceivedMessage:
        over = event_type in (EventType.MAINTENANCE_END, EventType.API_RESTORED)
        metadata = {"duration_seconds": 1.0} if over else {"error": "maintenance", "message": "later"}
        return self.write(Kind.API, Event(event_type, tag, timestamp=at, metadata=metadata))


@pytest.fixture
def teller() -> Teller:
    return Teller()


def judged(teller: Teller, *received: ReceivedMessage, outages: tuple[ApiOutage, ...] = ()) -> CheckResult:
    return check_run(teller.truth, [Receipt(0.0, seen) for seen in received], outages)


def changed(seen: ReceivedMessage, **values: Any) -> ReceivedMessage:
    return ReceivedMessage(seen.topic, orjson.dumps({**seen.data, **values}), retain=False)


def declare_war(world: World, clan: str) -> None:
    world.declare_war(clan, timedelta(0))


def everything(teller: Teller) -> list[ReceivedMessage]:
    clan = (World.join, World.leave, World.promote, World.donate, World.gain_points, World.rename_member)
    war = (declare_war, World.start_battle, World.attack, World.attack, World.upgrade_member_town_hall)
    player = (World.upgrade_troop, World.upgrade_spell, World.upgrade_hero, World.upgrade_equipment)
    life = (World.upgrade_town_hall, World.upgrade_builder_hall, World.win_trophies, World.rename_player)
    told = [seen for verb in (*clan, *war) for seen in teller.happen(verb)]
    return told + [seen for verb in (*player, *life, World.complete_achievement) for seen in teller.live(verb)]


def test_nothing_is_wrong_where_everything_is_told(teller: Teller) -> None:
    told = everything(teller)
    checked = judged(teller, *told)
    assert checked.violations == []
    assert checked.received == len(told)
    assert checked.told == len(teller.truth.turns) - checked.merged
    assert checked.merged == 0


def test_nothing_is_wrong_where_several_changes_are_told_as_one(teller: Teller) -> None:
    told = teller.happen(World.gain_points, World.gain_points, World.join, World.join, declare_war, World.start_battle)
    checked = judged(teller, *told)
    assert checked.violations == []
    assert checked.merged == 3, "the first points, the first join's count, and the war's preparation"
    assert checked.told + checked.merged == len(teller.truth.turns)


def test_nothing_is_wrong_where_something_is_as_before_again_unseen(teller: Teller) -> None:
    elder = next(one["tag"] for one in (teller.world.clan(teller.clan) or {})["memberList"] if one["role"] == "member")
    told = teller.happen(lambda world, clan: world.promote(clan, elder), lambda world, clan: world.demote(clan, elder))
    checked = judged(teller, *told)
    assert told == []
    assert checked.violations == []
    assert checked.merged == len(teller.truth.turns) == 2


def test_an_event_that_is_sent_again_as_it_was_is_no_violation(teller: Teller) -> None:
    told = everything(teller)
    checked = judged(teller, *told, *told[:3])
    assert checked.violations == []
    assert checked.resent == 3


def test_whichever_event_never_comes_is_lost(teller: Teller) -> None:
    told = everything(teller)
    for missing in told:
        assert judged(teller, *(seen for seen in told if seen is not missing)).lost, missing


def test_a_change_that_never_became_an_event_is_lost(teller: Teller) -> None:
    """The numbers have no gap then: only what happened tells."""
    for verb in (World.join, World.leave, World.promote, World.gain_points, declare_war, World.start_battle):
        teller.happen(verb)
        assert judged(teller).lost


def test_a_change_between_two_that_are_told_is_lost_as_well(teller: Teller) -> None:
    (first,) = teller.happen(World.gain_points)
    teller.happen(World.gain_points)
    (third,) = teller.happen(World.gain_points)
    (lost,) = judged(teller, first, changed(third, seq=2)).lost
    assert "untold" in lost


def test_events_of_a_tag_that_change_places_are_out_of_order(teller: Teller) -> None:
    (first,), (second,) = teller.happen(World.gain_points), teller.happen(World.gain_points)
    assert judged(teller, second, first).disordered
    assert not judged(teller, first, second, first).disordered, "the second receipt of an event does not count"


def test_events_of_two_tags_may_change_places(teller: Teller) -> None:
    (clan,), (player,) = teller.happen(World.gain_points), teller.live(World.upgrade_hero)
    assert judged(teller, player, clan).violations == []


def test_an_event_that_comes_again_with_other_bytes_is_altered(teller: Teller) -> None:
    (seen,) = teller.happen(World.gain_points)
    assert judged(teller, seen, changed(seen, summary="something else")).altered


def test_a_number_with_two_ids_is_altered(teller: Teller) -> None:
    (seen,) = teller.happen(World.gain_points)
    assert judged(teller, seen, changed(seen, id="f" * 32)).altered


def test_a_change_that_is_told_again_under_another_id_is_false(teller: Teller) -> None:
    told = everything(teller)
    for seen in told:
        again = changed(seen, id="f" * 32, seq=len(told) + 1)
        assert judged(teller, *told, again).false, seen


def test_what_never_happened_is_false(teller: Teller) -> None:
    (points,) = teller.happen(World.gain_points)
    change = points.data["changes"][0]
    for lie in ({**change, "new_value": 7}, {**change, "old_value": 7}, {**change, "field": "clanLevel"}):
        assert judged(teller, changed(points, changes=[lie])).false
    left = Event(EventType.MEMBER_LEFT, teller.clan, _NOW, metadata={"member_tag": "#2PP", "member_name": "Nobody"})
    assert judged(teller, points, teller.write(Kind.CLAN, left)).false
    gone = Event(EventType.WATCH_UNAVAILABLE, teller.clan, _NOW, metadata={"message": "not there"})
    assert judged(teller, points, teller.write(Kind.CLAN, gone)).false


def test_what_fits_no_model_is_a_violation(teller: Teller) -> None:
    (seen,) = teller.happen(World.gain_points)
    assert judged(teller, changed(seen, colour="red")).unfit
    assert judged(teller, ReceivedMessage(seen.topic, seen.payload, retain=True)).unfit


def test_who_comes_back_without_having_been_offline_had_no_will(teller: Teller) -> None:
    online, offline = (
        ReceivedMessage("coc/bridge/state", orjson.dumps({"state": state}), retain=True)
        for state in ("online", "offline")
    )
    assert judged(teller, online, offline, online).violations == []
    assert judged(teller, online, online).unwilled
    again = [Receipt(0.0, online, 1), Receipt(1.0, online, 2)]
    assert check_run(teller.truth, again).violations == [], "the broker died, and the will with it"


def test_trouble_of_the_api_is_to_be_told_when_there_is_some_and_to_end(teller: Teller) -> None:
    pause = ApiOutage(_NOW, _NOW + 2)
    start = teller.trouble(EventType.MAINTENANCE_START, _NOW + 1)
    end = teller.trouble(EventType.MAINTENANCE_END, _NOW + 5)
    assert judged(teller, start, end, outages=(pause,)).violations == []
    assert judged(teller, start, outages=(pause,)).lost
    assert judged(teller, start, end).false
    assert judged(teller, changed(end, seq=1), outages=(pause,)).false
