"""What is left with a broker, found and taken away."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.events.resource import Kind
from coc2mqtt.events.watch import Watch
from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.client.errors import ConnectionLostError, SubscribeDeniedError
from coc2mqtt.mqtt.client.inbox import Message
from coc2mqtt.mqtt.publish.device_announcer import DeviceAnnouncer
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.publish.orphan_cleanup import DiscoveryOptions, OrphanCleanup
from coc2mqtt.mqtt.publish.retained_state import RetainedState
from coc2mqtt.mqtt.topics import Topics
from tests.support.control import WatchedInMemory
from tests.support.recording_session import RecordingSession, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def config(rest: str, instance: str = "home") -> str:
    return f"homeassistant/device/coc2mqtt_{instance}_{rest}/config"


class House:
    """A bridge that watches the clan #2PP, and a broker on which more than that is retained."""

    def __init__(self, journal: SqliteJournal, *kept: str, enabled: bool = True, empty: bool = False) -> None:
        topics = Topics()
        self.watches = WatchedInMemory([Watch(Kind.CLAN, "#2PP", 60.0)])
        self.retained = RetainedState(
            journal,
            topics,
            watches=self.watches,
            discovery=Discovery(topics, instance="home", version="1", prefix="homeassistant") if enabled else None,
            announcer=partial(DeviceAnnouncer, min_repeat=0.0, spacing=0.0),
        )
        self.sweep = OrphanCleanup(
            topics,
            discovery=DiscoveryOptions("homeassistant", "home", enabled),
            retained=self.retained,
            watches=self.watches,
            broker_starts_empty=empty,
        )
        self.recording = RecordingSession()
        self.recording.kept = [Message(topic, b'{"state":"online"}', retain=True) for topic in kept]

    async def clean(self, *, shared: bool = False) -> list[str]:
        """Sweep, and return what was emptied, in order."""
        session = self.recording.session
        await self.sweep.run(session, shared=shared)
        for _ in range(2):
            async with running(self.retained.run(session)):
                await self.retained.wait_idle()
            async with running(self.retained.announcer.run(session)):
                await self.retained.announcer.wait_idle()
        assert all(message.payload == b"" and message.retain for message in self.recording.published)
        return self.recording.topics


async def test_a_device_that_no_watch_stands_behind_is_removed_and_then_its_states(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        gone = await House(journal, config("bridge"), config("clan_2PP"), config("clan_8QQ")).clean()
    assert gone[0] == config("clan_8QQ")
    assert set(gone[1:]) == {
        f"coc/clan/8QQ/state/{facet}" for facet in ("availability", "badge", "clan", "poll", "war")
    }


STATES = [f"coc/{what}/state/availability" for what in ("clan/2PP", "player/8QQ")]


async def test_states_that_are_left_without_a_device_are_emptied(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        gone = await House(journal, config("bridge"), *STATES).clean()
    emptied = [f"coc/player/8QQ/state/{facet}" for facet in ("player", "poll", "availability")]
    assert gone == [config("player_8QQ"), *emptied]


async def test_states_that_another_instance_may_have_said_are_left_alone(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        assert await House(journal, config("bridge"), *STATES).clean(shared=True) == []


async def test_a_look_that_breaks_two_connections_is_given_up(tmp_path: Path) -> None:
    class Breaking(RecordingSession):
        looks = 0

        async def look(self, topic_filter: str, _take: Callable[[Message], None]) -> None:
            self.looks += topic_filter.startswith("homeassistant")
            raise ConnectionLostError("the broker did not acknowledge a message")

    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        house = House(journal)
        house.recording = breaking = Breaking()
        for _ in range(2):
            with pytest.raises(ExceptionGroup):
                await house.sweep.run(breaking.session, shared=False)
        await house.sweep.run(breaking.session, shared=False)
        assert breaking.looks == 2


async def test_what_was_looked_at_once_is_not_looked_at_over_the_next_connection(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        house = House(journal)
        assert await house.clean() == []
        house.recording.kept = [Message(config("clan_8QQ"), b"{}", retain=True)]
        assert await house.clean() == []


async def test_without_home_assistant_whatever_was_announced_is_removed(tmp_path: Path) -> None:
    kept = [config("bridge"), config("clan_2PP"), config("player_8QQ")]
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        gone = await House(journal, *kept, "coc/clan/2PP/state/availability", enabled=False).clean()
    assert gone == kept


@pytest.mark.parametrize(
    "topic",
    [
        config("clan_8QQ", instance="flat"),
        "homeassistant/device/zigbee2mqtt_1/config",
        config("clan_8qq"),
        "coc/clan/not-a-tag/state/availability",
        "coc/clan/8Q/state/availability",
    ],
)
@pytest.mark.parametrize("enabled", [True, False])
async def test_what_is_none_of_ours_is_left_alone(tmp_path: Path, topic: str, enabled: bool) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        assert await House(journal, topic, enabled=enabled).clean() == []


async def test_at_a_broker_that_has_just_begun_nothing_is_looked_for(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        assert await House(journal, config("clan_8QQ"), empty=True).clean() == []


async def test_where_the_broker_does_not_let_us_look_the_bridge_goes_on(tmp_path: Path) -> None:
    class Closed(RecordingSession):
        async def look(self, topic_filter: str, _take: Callable[[Message], None]) -> None:
            raise SubscribeDeniedError(f"the broker does not grant a subscription to {topic_filter}")

    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        house = House(journal)
        house.recording = Closed()
        assert await house.clean() == []
