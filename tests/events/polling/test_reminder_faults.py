"""Reminders despite faults of the store, of the clock and of the data, and several of them at the same time."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from coc2mqtt.events.compare.api_state import ApiStatus
from coc2mqtt.events.compare.reminder import DueReminder, Occasion, ReminderHistory
from coc2mqtt.events.polling import reminder_poller
from coc2mqtt.events.polling.scheduler import MAX_CONCURRENT_LOCAL, NextPoll, Scheduler
from coc2mqtt.events.resource import Kind, Reminders, Resource, Snapshot
from tests.support.leagues import START, ScriptedLeague, poll_until, snapshot_of, watched_from_the_start
from tests.support.raids import START as FRIDAY
from tests.support.raids import Weekend
from tests.support.reminders import ANN, DAY, HOUR, MINUTE, NOON, ReminderClan, api_text, battle
from tests.support.simulation import Polls, running, simulate

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

SUNDAY = FRIDAY.timestamp() + 2 * DAY
SATURDAY_REMINDERS = Reminders(war=(HOUR,), raid=(24 * HOUR,))


def weekend() -> Json:
    scripted = Weekend()
    scripted.raid("#8QQ")
    scripted.attack(ANN, 40)
    return scripted.season


def war_and_raid(reminders: Reminders = SATURDAY_REMINDERS, *, war_end: float = SUNDAY + HOUR) -> ReminderClan:
    """Return a clan on Sunday 06:30, half an hour before reminders of its raid weekend and its war."""
    subject = ReminderClan(reminders, now=SUNDAY - 0.5 * HOUR)
    subject.show(battle(end=war_end))
    subject.show(weekend(), Kind.RAID)
    assert subject.check() == []
    return subject


def test_short_battle_has_no_reminder_from_before_its_start() -> None:
    friendly = {**battle(end=NOON + 0.5 * HOUR), "startTime": api_text(NOON)}
    subject = ReminderClan(Reminders(war=(6 * HOUR, HOUR, 600.0)))
    subject.check()
    subject.now += DAY
    subject.show({**friendly, "startTime": api_text(NOON + DAY), "endTime": api_text(NOON + DAY + 0.5 * HOUR)})
    assert subject.check() == []
    assert subject.check(20 * MINUTE) == [pytest.approx(1 / 6, abs=1e-3)]


def test_reminder_for_a_whole_battle_is_sent_at_its_start() -> None:
    subject = ReminderClan(Reminders(war=(24 * HOUR,)))
    subject.check()
    subject.now += HOUR
    subject.show({**battle(end=NOON + 25 * HOUR - 1), "startTime": api_text(NOON + HOUR)})
    assert subject.check(1.0) == [24.0]


def test_part_that_is_watched_later_begins_with_a_baseline() -> None:
    subject = ReminderClan(kinds=[Kind.RAID])
    subject.check()
    subject.now += HOUR
    subject.restart([Kind.WAR, Kind.RAID])
    subject.show(battle(end=subject.now + 5.5 * HOUR))
    assert subject.check() == [], "six hours before the end the war was not watched"
    assert subject.check(4.5 * HOUR) == [1.0]


def test_times_that_were_configured_by_a_clock_ahead_are_valid_at_once() -> None:
    subject = ReminderClan(now=NOON + 365 * DAY)
    subject.check()
    subject.set_clock(-365 * DAY)
    subject.show(battle())
    assert subject.check(300.0) == []
    assert subject.check(4 * HOUR) == [6.0]


def test_clock_that_was_past_the_end_is_noticed() -> None:
    subject = ReminderClan()
    subject.show(battle())
    subject.set_clock(11 * HOUR)
    assert subject.check() == []
    assert subject.latest == 300.0


@pytest.mark.parametrize("jump", [-5 * HOUR, -HOUR, HOUR, 5 * HOUR])
def test_clock_jumps_send_nothing_twice(jump: float) -> None:
    subject = ReminderClan()
    subject.show(battle())
    sent = subject.check() + subject.check(HOUR)
    subject.set_clock(jump)
    for _ in range(15 * 12):
        sent += subject.check(300.0)
    subject.set_clock(-jump)
    for _ in range(15 * 12):
        sent += subject.check(300.0)
    assert sent == [6.0, 1.0]


def test_all_parts_are_polled_before_reminders_of_the_same_moment() -> None:
    subject = war_and_raid(war_end=SUNDAY + HOUR + 5)
    subject.check(0.5 * HOUR - 10)
    assert sorted(subject.requested) == [Kind.CLAN, Kind.RAID, Kind.WAR], "the clan has those who did not start"
    assert subject.check(10.0) == [24.0]
    assert subject.check(5.0) == [1.0]
    assert len(subject.requested) == 3


def test_reminder_that_waits_for_a_poll_requests_it_and_delays_no_other_one() -> None:
    subject = war_and_raid(war_end=SUNDAY + 0.5 * HOUR + MINUTE)
    subject.now = SUNDAY - 50
    subject.restart()
    subject.now = SUNDAY - 1.5
    subject.polled(Kind.RAID)
    assert subject.check() == []
    assert subject.requested.count(Kind.WAR) == 1
    assert subject.latest == 1.5
    assert subject.check(1.5) == [24.0]
    assert subject.check(1.0) == []
    assert subject.requested.count(Kind.WAR) == 1
    subject.polled(Kind.WAR)
    assert subject.check() == [1.0]


def test_reminder_requests_a_poll_after_a_maintenance() -> None:
    subject = ReminderClan()
    subject.show(battle())
    subject.check(4 * HOUR - 10)
    subject.monitor.status = ApiStatus.MAINTENANCE
    subject.check(HOUR)
    assert subject.requested == [Kind.WAR]
    subject.monitor.status, subject.monitor.maintenance_ended_at = ApiStatus.OK, subject.now
    assert subject.check(1.0) == []
    assert subject.requested == [Kind.WAR, Kind.WAR]


def test_all_parts_are_read_although_only_one_was_polled() -> None:
    subject = war_and_raid()
    subject.restart()
    subject.polled(Kind.WAR)
    subject.monitor.status = ApiStatus.UNREACHABLE
    assert subject.check() == []
    assert sorted(subject.check(0.5 * HOUR)) == [1.0, 24.0]


def test_part_that_could_not_be_read_is_read_again() -> None:
    subject = ReminderClan()
    subject.show(battle())
    subject.check()
    subject.show(battle(end=NOON + 8 * HOUR))
    subject.journal.broken = {Kind.WAR}
    with pytest.raises(OSError, match="cannot read war"):
        subject.check()
    subject.journal.broken.clear()
    subject.check(1.0)
    assert subject.check(2 * HOUR - 1) == [6.0]


def test_reminder_is_not_lost_if_the_next_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = war_and_raid()
    commit = subject.journal.commit
    subject.now = SUNDAY

    async def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(subject.journal, "commit", fail)
    with pytest.raises(OSError, match="disk full"):
        subject.check()
    monkeypatch.setattr(subject.journal, "commit", commit)
    subject.journal.broken = {Kind.CLAN}
    with pytest.raises(OSError, match="cannot read clan"):
        subject.check()
    subject.journal.broken.clear()
    assert sorted(subject.check(1.0)) == [1.0, 24.0]
    assert subject.check(1.0) == []


def broken(original: Callable[..., Any], is_broken: Callable[..., bool]) -> Callable[..., Any]:
    def function(*args: Any, **options: Any) -> Any:
        if is_broken(*args):
            raise KeyError("a bug")
        return original(*args, **options)

    return function


@pytest.mark.parametrize("name", ["occasions_of", "reminder_event"])
def test_bug_about_one_part_does_not_stop_the_reminders_of_the_others(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def is_raid(first: object, *_: object) -> bool:
        return first is Kind.RAID or (isinstance(first, DueReminder) and first.occasion.part == "raid")

    monkeypatch.setattr(reminder_poller, name, broken(getattr(reminder_poller, name), is_raid))
    subject = war_and_raid()
    assert subject.check(0.5 * HOUR) == [1.0]
    assert set(subject.bugs) == {Kind.RAID}
    assert subject.check(1.0) == []


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"since": None, "sent": {}},
        {"since": {"war": 5}, "sent": {}},
        {"since": {}, "sent": {"war x": [1]}},
        {"since": {}, "sent": {"war x": {"end": "soon", "times": []}}},
        {"sent": ["war"]},
    ],
)
def test_unreadable_history_begins_with_a_baseline(data: Json) -> None:
    subject = ReminderClan()
    subject.store(Kind.REMINDER, Snapshot(data, {}, NOON))
    subject.show(battle(end=NOON + 5 * HOUR))
    assert subject.check() == []
    assert subject.check(4 * HOUR) == [1.0]
    subject.restart()
    subject.polled()
    assert subject.check(MINUTE) == []


def test_every_league_round_in_battle_has_its_reminders() -> None:
    league = ScriptedLeague(clans=6)
    league.shift(1, end=2 * DAY)
    league.shift(2, end=DAY)
    replay = watched_from_the_start(league)
    end = league.own(3).end
    poll_until(replay, end - 1.5 * HOUR - START, begin=HOUR, step=4 * HOUR)
    subject = ReminderClan(Reminders(cwl=(HOUR,)), now=replay.now, kinds=[Kind.CWL])
    subject.store(Kind.CWL, snapshot_of(replay))
    subject.polled(Kind.CWL)
    subject.check()
    subject.now = end - HOUR
    subject.check()
    assert {event.metadata["round"] for event in subject.events} >= {3}


def test_age_of_a_league_war_is_that_of_its_response() -> None:
    league = ScriptedLeague()
    replay = watched_from_the_start(league, max_age=600.0)
    battle_at = league.own(1).start + HOUR - START
    replay.poll_at(battle_at)
    replay.poll_at(battle_at + 500.0)
    assert replay._poller.polled_at == START + battle_at
    replay.poll_at(battle_at + 600.0)
    assert replay._poller.polled_at == START + battle_at + 600.0


def test_history_is_bounded_and_keeps_what_ends_last() -> None:
    history = ReminderHistory()
    games = Occasion("games", "1", NOON + 6 * DAY)
    history.record(DueReminder(games, HOUR, NOON), NOON)
    for number in range(1000):
        friendly = Occasion("war", f"{number}", NOON + number)
        history.record(DueReminder(friendly, 60.0, NOON), NOON + number)
    assert len(history.sent) <= 32
    assert history.is_sent(games, HOUR)
    later = Occasion("war", "later", NOON + 30 * DAY)
    history.record(DueReminder(later, 60.0, NOON), NOON + 30 * DAY - 60)
    assert list(history.sent) == ["war later"]


def test_thousand_reminders_of_the_same_second_are_sent_a_few_at_a_time() -> None:
    async def scenario() -> None:
        polls = Polls()
        scheduler = Scheduler(rng=random.Random(1), rate=10.0)
        for number in range(1000):
            local = Resource(Kind.REMINDER, f"#{number}")
            scheduler.add(
                local,
                3600.0,
                polls.record(local, duration=0.01, next_poll=NextPoll(0.0, latest=60.0)),
                entry_type="local",
            )
        clan = Resource(Kind.CLAN, "#2PP")
        scheduler.add(clan, 60.0, polls.record(clan, duration=0.01))
        async with running(scheduler):
            await asyncio.sleep(65.0)
        assert polls.max_in_progress <= MAX_CONCURRENT_LOCAL + 1
        times = [times for resource, times in polls.times.items() if resource.kind is Kind.REMINDER]
        assert len(times) == 1000
        assert all(len(one) == 2 for one in times)
        assert max(one[1] for one in times) < 62.0
        assert polls.times[clan] == pytest.approx([0.0, 60.0], abs=1.1)

    simulate(scenario())
