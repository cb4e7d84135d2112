"""The retained calendar of the game is published when it changes, and removed when it is turned off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.events.calendar import ClanGames
from coc2mqtt.events.compare.calendar_state import calendar_at
from coc2mqtt.events.resource import API, CALENDAR, Snapshot
from coc2mqtt.mqtt.client.errors import PublishDeniedError
from tests.support.recording_session import RecordingSession
from tests.support.retained import RetainedStateHarness, retained_messages

if TYPE_CHECKING:
    from typing import Any

TOPIC = "coc/api/state/calendar"
DATA = calendar_at(1_800_000_000.0, ClanGames(), gold_pass=None)
LATER = calendar_at(1_800_000_000.0 + 7 * 86_400, ClanGames(), gold_pass=None)


async def store(harness: RetainedStateHarness, data: dict[str, Any]) -> None:
    """Store a calendar as the bridge does: the API's state is published with it."""
    await harness.journal.commit(CALENDAR, Snapshot(data, {}, 1_800_000_000.0), [])
    harness.state.mark(API)


async def test_calendar_is_published_only_when_it_changes(harness: RetainedStateHarness) -> None:
    await store(harness, DATA)
    recording = await harness.publish()
    calendar = retained_messages(recording)[TOPIC]
    assert calendar["ranked_week_end_at"] == "2027-01-18T05:00:00.000+00:00"
    assert calendar["gold_pass_end_at"] is None
    await store(harness, DATA)
    assert TOPIC not in (await harness.publish()).topics
    await store(harness, LATER)
    assert TOPIC in (await harness.publish()).topics


async def test_calendar_that_was_turned_off_is_removed_once(harness: RetainedStateHarness) -> None:
    harness = RetainedStateHarness(harness.journal, calendar=False)
    await store(harness, DATA)
    assert (await harness.publish()).published_on(TOPIC) == [None]
    assert await harness.journal.snapshot(CALENDAR) is None
    harness.state.mark(API)
    assert TOPIC not in (await harness.publish()).topics


async def test_calendar_whose_removal_the_broker_rejects_is_removed_later(harness: RetainedStateHarness) -> None:
    async def reject(topic: str, _payload: bytes) -> None:
        if topic == TOPIC:
            raise PublishDeniedError("allow the topic")

    harness = RetainedStateHarness(harness.journal, calendar=False)
    await store(harness, DATA)
    await harness.publish_over(RecordingSession(reject).session)
    assert await harness.journal.snapshot(CALENDAR) is not None
