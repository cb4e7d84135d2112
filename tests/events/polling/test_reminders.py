"""The reminders of a clan: when they are sent, and whom they list."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.compare.reminder import is_included
from coc2mqtt.events.polling.scheduler import NextPoll, Scheduler
from coc2mqtt.events.resource import NO_REMINDERS, Kind, Reminders, Resource, Snapshot
from tests.support.bodies import attack
from tests.support.raids import START as FRIDAY
from tests.support.raids import Weekend
from tests.support.reminders import ANN, BOB, DAY, HOUR, MINUTE, NOON, ReminderClan, battle
from tests.support.simulation import Polls, running, simulate

Json = dict[str, Any]


def test_reminders_are_sent_at_their_time_with_the_members() -> None:
    subject = ReminderClan()
    subject.show(battle(attack(ANN, "#8Q2", 1)))
    assert subject.check() == []
    assert subject.latest == 300.0
    assert subject.check(4 * HOUR - 15) == []
    assert subject.requested == [Kind.WAR]
    assert subject.latest == 15.0
    subject.polled()
    assert subject.check(15.0) == [6.0]
    assert subject.events[0].metadata == {
        "hours_left": 6.0,
        "minutes_left": 360,
        "end_at": "2026-11-24T22:00:00.000+00:00",
        "polled_at": "2026-11-24T15:59:45.000+00:00",
        "war_id": "20261101T080000.000Z-2PP-8QQ",
        "war_type": "regular",
        "round": None,
        "opponent_tag": "#8QQ",
        "opponent_name": "Name of #8QQ",
        "stars": 2,
        "opponent_stars": 0,
        "attacks_left": 3,
        "members": 2,
        "members_attacks_left": [
            {"tag": BOB, "name": f"Name of {BOB}", "town_hall": 15, "attacks_left": 2},
            {"tag": ANN, "name": f"Name of {ANN}", "town_hall": 15, "attacks_left": 1},
        ],
    }
    assert subject.check(5 * HOUR) == [1.0]
    assert subject.check(HOUR) == []


def test_war_without_attacks_left_has_no_reminder() -> None:
    subject = ReminderClan()
    attacks = [attack(one, "#8Q2", number) for number, one in enumerate((ANN, ANN, BOB, BOB), 1)]
    subject.show(battle(*attacks))
    assert subject.check() == subject.check(4 * HOUR) == subject.check(5.5 * HOUR) == []


@pytest.mark.parametrize("state", ["preparation", "warEnded", "notInWar"])
def test_only_a_battle_has_reminders(state: str) -> None:
    subject = ReminderClan()
    subject.show({**battle(), "state": state})
    assert subject.check() == subject.check(9.5 * HOUR) == []


def test_first_sight_of_a_war_sends_nothing_that_was_due_before() -> None:
    subject = ReminderClan()
    subject.show(battle(end=NOON + 2 * HOUR))
    assert subject.check() == []
    assert subject.check(HOUR) == [1.0]


def test_new_time_of_the_options_is_not_sent_for_the_past() -> None:
    subject = ReminderClan()
    subject.show(battle(end=NOON + 2 * HOUR))
    subject.check()
    subject.reminders = Reminders(war=(3 * HOUR, HOUR, 0.5 * HOUR))
    subject.restart()
    subject.polled()
    assert subject.check(MINUTE) == []
    assert subject.check(HOUR) == [1.0]


def test_missed_reminder_is_sent_after_the_first_poll_of_the_next_run() -> None:
    subject = ReminderClan()
    subject.show(battle())
    subject.check()
    subject.now += 4.5 * HOUR
    subject.restart()
    assert subject.check() == []
    assert subject.latest == 5.0
    subject.polled()
    assert subject.check(5.0) == [6.0]
    metadata = subject.events[-1].metadata
    assert (metadata["catch_up"], metadata["snapshot_age_seconds"]) == (True, 0.5 * HOUR + 5)
    assert metadata["minutes_left"] == 330
    subject.restart()
    subject.polled()
    assert subject.check() == []


def test_only_the_latest_of_several_missed_reminders_is_sent() -> None:
    subject = ReminderClan()
    subject.show(battle())
    subject.check()
    subject.restart()
    subject.now += 9.5 * HOUR
    subject.polled()
    assert subject.check() == [1.0]
    assert subject.check(MINUTE) == []


def test_nothing_is_sent_after_the_end() -> None:
    subject = ReminderClan()
    subject.show(battle())
    subject.check()
    subject.restart()
    subject.now += 10 * HOUR
    subject.polled()
    assert subject.check() == []


def test_reminder_waits_for_the_end_of_a_maintenance_and_follows_the_war() -> None:
    subject = ReminderClan()
    subject.show(battle())
    subject.check()
    subject.monitor.status = ApiStatus.MAINTENANCE
    assert subject.check(4 * HOUR) == []
    assert subject.latest == 30.0
    subject.now += 30 * MINUTE
    subject.monitor.status, subject.monitor.maintenance_ended_at = ApiStatus.OK, subject.now
    assert subject.check(1.0) == [], "the new end is not known yet"
    subject.show(battle(end=NOON + 10.5 * HOUR))
    assert subject.check(1.0) == [6.0]
    assert subject.events[0].metadata["end_at"] == "2026-11-24T22:30:00.000+00:00"


def test_end_that_moves_after_a_reminder_does_not_repeat_it() -> None:
    subject = ReminderClan()
    subject.show(battle())
    subject.check()
    assert subject.check(4 * HOUR) == [6.0]
    subject.show(battle(end=NOON + 12 * HOUR))
    assert subject.check(2 * HOUR) == []
    assert subject.check(5 * HOUR) == [1.0]


@pytest.mark.parametrize("status", [ApiStatus.UNREACHABLE, ApiStatus.DENIED])
def test_reminder_is_sent_from_the_last_known_data_without_the_api(status: ApiStatus) -> None:
    subject = ReminderClan()
    subject.show(battle())
    subject.check()
    subject.restart()
    subject.monitor.status = status
    assert subject.check(4 * HOUR) == [6.0]


def test_poll_that_fails_delays_a_reminder_for_two_minutes_at_most() -> None:
    subject = ReminderClan()
    subject.show(battle())
    subject.check()
    subject.now += 4 * HOUR
    subject.restart()
    assert subject.check(119.0) == []
    assert subject.check(1.0) == [6.0]


def test_private_war_log_has_no_reminders() -> None:
    subject = ReminderClan()
    subject.show(battle())
    subject.store(Kind.WAR, Snapshot(battle(), {"private": True}, NOON))
    assert subject.check() == subject.check(4 * HOUR) == []


@pytest.mark.parametrize(
    ("options", "listed"),
    [
        ({"min_attacks_left": 2}, [BOB]),
        ({"roles": frozenset({"leader"})}, [ANN]),
        ({"roles": frozenset({"coLeader"})}, None),
        ({"min_town_hall": 15, "max_town_hall": 15}, [BOB, ANN]),
        ({"min_town_hall": 16}, None),
    ],
)
def test_filters_decide_who_is_listed(options: Json, listed: list[str] | None) -> None:
    subject = ReminderClan(Reminders(war=(6 * HOUR,), **options))
    subject.show(battle(attack(ANN, "#8Q2", 1)))
    subject.check()
    assert subject.check(4 * HOUR) == ([] if listed is None else [6.0])
    found = [one["tag"] for event in subject.events for one in event.metadata["members_attacks_left"]]
    assert found == (listed or [])


@pytest.mark.parametrize("unknown", [None, True, "15", []])
def test_unknown_town_hall_is_in_no_range(unknown: object) -> None:
    limited = Reminders(min_town_hall=1)
    assert not is_included(limited, role="leader", town_hall=unknown, attacks_left=1)
    assert is_included(NO_REMINDERS, role=None, town_hall=unknown, attacks_left=1)


def test_raid_weekend_lists_those_who_started_and_those_who_did_not() -> None:
    friday = FRIDAY.timestamp()
    subject = ReminderClan(Reminders(raid=(24 * HOUR,)), now=friday)
    weekend = Weekend()
    weekend.raid("#8QQ")
    weekend.attack(ANN, 40)
    weekend.join("#2PGGG")  # has left the clan
    subject.show(weekend.season, Kind.RAID)
    subject.check()
    assert subject.check(2 * DAY) == [24.0]
    metadata = subject.events[0].metadata
    assert [(one["tag"], one["attacks_left"]) for one in metadata["members_attacks_left"]] == [(ANN, 4)]
    assert [one["tag"] for one in metadata["members_not_started"]] == [BOB]
    assert (metadata["attacks_left"], metadata["members"]) == (4, 2)


def test_reminder_is_on_time_although_a_thousand_polls_are_overdue() -> None:
    async def scenario() -> None:
        polls = Polls()
        scheduler = Scheduler(rng=random.Random(1), rate=10.0)
        for number in range(1000):
            resource = Resource(Kind.CLAN, f"#{number}")
            scheduler.add(resource, 10.0, polls.record(resource, duration=9.0))
        local = Resource(Kind.REMINDER, "#2PP")
        scheduler.add(
            local, 3600.0, polls.record(local, duration=0.0, next_poll=NextPoll(0.0, latest=77.0)), entry_type="local"
        )
        async with running(scheduler):
            await asyncio.sleep(200.0)
            assert scheduler.overdue > 500
            scheduler.pause()
            await asyncio.sleep(200.0)
        assert polls.times[local] == pytest.approx([0.0, 77.0, 154.0, 231.0, 308.0, 385.0], abs=0.1)
        assert scheduler.resource_count == 1000

    simulate(scenario())
