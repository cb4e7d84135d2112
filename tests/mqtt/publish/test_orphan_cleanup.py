"""Finding and removing retained messages of clans and players without a watch."""

from __future__ import annotations

from itertools import islice, product
from typing import TYPE_CHECKING

import orjson
import pytest

from coc2mqtt.events.resource import Kind, Watch
from coc2mqtt.journal.sqlite import SqliteJournal
from coc2mqtt.mqtt.client.connection import ConnectionOptions
from coc2mqtt.mqtt.client.errors import ConnectionLostError, SubscribeDeniedError
from coc2mqtt.mqtt.client.messages import Message
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.topics import Topics
from tests.support.bridge_parts import orphan_cleanup, retained_state
from tests.support.control import WatchesInMemory
from tests.support.recording_session import RecordingSession, running
from tests.support.sessions import connected_session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.conftest import StartMosquitto


def config(device: str, instance: str = "home") -> str:
    return f"homeassistant/device/coc2mqtt_{instance}_{device}/config"


DISCOVERY = Discovery(Topics(), instance="home", version="1", prefix="homeassistant")


class CleanupHarness:
    """A bridge that watches the clan #2PP, and a session to a broker that also retains messages of others."""

    def __init__(
        self,
        journal: SqliteJournal,
        *retained: str,
        watches: Sequence[Watch] = (Watch(Kind.CLAN, "#2PP", 60.0, members=False),),
        enabled: bool = True,
        empty: bool = False,
    ) -> None:
        self.watches = WatchesInMemory(watches)
        self.retained = retained_state(journal, self.watches, home_assistant=enabled, device_delays=False)
        self.cleanup = orphan_cleanup(self.retained, self.watches, home_assistant=enabled, broker_starts_empty=empty)
        self.recording = RecordingSession()
        self.recording.retained = [Message(topic, b'{"state":"online"}', retain=True) for topic in retained]

    async def run(self, *, shared: bool = False) -> list[str]:
        """Run the cleanup and return the emptied topics, in order."""
        session = self.recording.session
        await self.cleanup.run(session, shared=shared)
        for _ in range(2):
            async with running(self.retained.run(session)):
                await self.retained.wait_idle()
            async with running(self.retained.announcer.run(session)):
                await self.retained.announcer.wait_idle()
        assert all(message.payload == b"" and message.retain for message in self.recording.published)
        return self.recording.topics


async def test_device_without_a_watch_is_removed_before_its_states(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        emptied = await CleanupHarness(journal, config("bridge"), config("clan_2PP"), config("clan_8QQ")).run()
    assert emptied[0] == config("clan_8QQ")
    assert set(emptied[1:]) == {
        f"coc/clan/8QQ/state/{facet}"
        for facet in ("availability", "badge", "clan", "members", "poll", "war", "last_war", "cwl", "raid", "games")
    }


STATES = [f"coc/{what}/state/availability" for what in ("clan/2PP", "player/8QQ")]


async def test_states_without_a_device_are_emptied(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        emptied = await CleanupHarness(journal, config("bridge"), *STATES).run()
    states = [f"coc/player/8QQ/state/{facet}" for facet in ("player", "poll", "availability", "ranked")]
    assert emptied == [config("player_8QQ"), *states]


async def test_states_that_may_belong_to_another_instance_are_kept(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        assert await CleanupHarness(journal, config("bridge"), *STATES).run(shared=True) == []


async def test_cleanup_that_breaks_two_connections_is_not_tried_again(tmp_path: Path) -> None:
    class BreakingSession(RecordingSession):
        reads = 0

        async def read_retained(self, topic_filter: str, _take: Callable[[Message], None]) -> None:
            self.reads += topic_filter.startswith("homeassistant")
            raise ConnectionLostError("the broker did not acknowledge a message")

    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        harness = CleanupHarness(journal)
        harness.recording = breaking = BreakingSession()
        for _ in range(2):
            with pytest.raises(ExceptionGroup):
                await harness.cleanup.run(breaking.session, shared=False)
        await harness.cleanup.run(breaking.session, shared=False)
        assert breaking.reads == 2


async def test_cleanup_runs_over_one_connection_only(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        harness = CleanupHarness(journal)
        assert await harness.run() == []
        harness.recording.retained = [Message(config("clan_8QQ"), b"{}", retain=True)]
        assert await harness.run() == []


async def test_all_devices_are_removed_without_home_assistant(tmp_path: Path) -> None:
    retained = [config("bridge"), config("clan_2PP"), config("player_8QQ")]
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        emptied = await CleanupHarness(journal, *retained, "coc/clan/2PP/state/availability", enabled=False).run()
    assert emptied == retained


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
async def test_topics_of_others_are_kept(tmp_path: Path, topic: str, enabled: bool) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        assert await CleanupHarness(journal, topic, enabled=enabled).run() == []


async def test_broker_that_starts_empty_is_not_read(tmp_path: Path) -> None:
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        assert await CleanupHarness(journal, config("clan_8QQ"), empty=True).run() == []


async def test_denied_subscription_removes_nothing(tmp_path: Path) -> None:
    class DenyingSession(RecordingSession):
        async def read_retained(self, topic_filter: str, _take: Callable[[Message], None]) -> None:
            raise SubscribeDeniedError(f"the broker does not grant a subscription to {topic_filter}")

    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        harness = CleanupHarness(journal)
        harness.recording = DenyingSession()
        assert await harness.run() == []


async def test_components_removed_by_an_upgrade_are_removed_again_among_many_devices(tmp_path: Path) -> None:
    clan = Watch(Kind.CLAN, "#2PP", 60.0, members=False)
    players = [Watch(Kind.PLAYER, f"#2{''.join(tag)}", 120.0) for tag in islice(product("289PYL", repeat=3), 200)]
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal:
        harness = CleanupHarness(journal, watches=[clan, *players])
        announcements = [DISCOVERY.player(player, "Ann") for player in players]
        found = [Message(player.topic, player.payload, retain=True) for player in announcements]
        announcement = DISCOVERY.clan(clan, "The Order")
        earlier = orjson.loads(announcement.payload)
        earlier["components"]["old"] = {"platform": "sensor", "unique_id": "old"}
        harness.recording.retained = [*found, Message(announcement.topic, orjson.dumps(earlier), retain=True)]
        await harness.cleanup.run(harness.recording.session, shared=False)
        announcer = harness.retained.announcer
        announcer.announce(announcement)
        async with running(announcer.run(harness.recording.session)):
            await announcer.wait_idle()
            announcer.on_ha_online()
            await announcer.wait_idle()
    old = [orjson.loads(one.payload)["components"].get("old", {}) for one in harness.recording.published]
    removed = {"platform": "sensor"}
    assert old == [removed, {}, earlier["components"]["old"], removed, {}]


async def test_last_command_is_read_behind_the_devices_of_hundreds_of_watches(
    tmp_path: Path, mosquitto: StartMosquitto
) -> None:
    options = ConnectionOptions("127.0.0.1", mosquitto().port, "coc2mqtt_home")
    found: list[bytes] = []
    async with SqliteJournal(tmp_path / "coc2mqtt.db") as journal, connected_session(options) as session:
        tags = ["".join(digits) for digits in islice(product("0289PYLQGR", repeat=3), 400)]
        watches = WatchesInMemory([Watch(Kind.CLAN, f"#{tag}", 60.0, members=False) for tag in tags])
        payload = orjson.dumps({"components": {}, "padding": "x" * 25_000})
        for tag in tags:
            await session.publish(config(f"clan_{tag}"), payload, retain=True)
        await session.publish("coc/bridge/last_command", b"the last one", retain=True)
        cleanup = orphan_cleanup(retained_state(journal, watches), watches, on_last_command=found.append)
        await cleanup.run(session, shared=False)
    assert found == [b"the last one"]
