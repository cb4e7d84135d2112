"""Any MQTT message: each request gets one response on an allowed topic, and nothing else happens."""

from __future__ import annotations

import asyncio
import itertools
import math
import re
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub
from pydantic import SecretStr

from coc2mqtt.clash import ClashClient
from coc2mqtt.events.polling.engine import Engine
from coc2mqtt.events.resource import Kind, Watch
from coc2mqtt.journal import SqliteJournal
from coc2mqtt.mqtt.client.session import Message
from coc2mqtt.mqtt.payloads.models import ResponsePayload
from coc2mqtt.util.runtime import loop_factory
from coc2mqtt.watch_list import WatchList
from tests.fuzz.examples import fuzzed
from tests.fuzz.requests import COMMANDS, PAYLOADS
from tests.support.bridge_parts import STATUS, BridgeParts
from tests.support.recording_session import RecordingSession, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.recording_session import Published

pytestmark = pytest.mark.fuzz

REQUEST = "coc/bridge/request/"
RESPONSE = "coc/bridge/response/"
DEFAULT_RESPONSE_TOPIC = re.compile(r"coc/bridge/response/[a-z][a-z0-9_]{0,31}")
RETAINED = re.compile(
    r"coc/(clan|player)/[0289PYLQGRJCUV]{3,15}/state/[a-z_]+|coc/api/state/status"
    r"|coc/bridge/(state|info|health|watches|last_command)"
    r"|homeassistant/device/coc2mqtt_home_(bridge|clan_[0289PYLQGRJCUV]{3,15})/config"
)
WORDS = st.text(max_size=12) | st.sampled_from(
    [
        *COMMANDS,
        "",
        "/",
        "#",
        "+",
        "\0",
        "\n",
        "WATCH",
        "watch/now",
        "watch\0",
        "../watch",
        "$SYS",
        "\ud800",
        "x" * 33,
        "x" * 70_000,
    ]
)
TOPICS = (
    st.sampled_from(COMMANDS).map(REQUEST.__add__)
    | WORDS.map(REQUEST.__add__)
    | st.sampled_from(
        [STATUS, f"{STATUS}/x", "coc/bridge/state", "coc/bridge/request", "coc/clan/2PP/member_joined", "$SYS/x", ""]
    )
    | WORDS
)
SIMILAR_PREFIXES = st.sampled_from(["coc/", "homeassistant/", RESPONSE, "reply/", "/", "COC/", "coc", " coc/"])
OWN_TOPICS = [
    STATUS,
    "coc/bridge/state",
    "coc/clan/2PP/state/clan",
    "coc/api/maintenance_start",
    "coc/bridge/request/list",
]
RESPONSE_TOPICS = st.none() | st.one_of(
    WORDS, st.builds("{}{}".format, SIMILAR_PREFIXES, WORDS), st.sampled_from(OWN_TOPICS)
)
MESSAGES = st.builds(
    Message,
    TOPICS,
    PAYLOADS | st.sampled_from([b"online", b"offline", b"", b"ONLINE"]),
    retain=st.sampled_from([False, False, False, True]),
    response_topic=RESPONSE_TOPICS,
    correlation_data=st.none() | st.binary(max_size=20) | st.just(b"\0" * 65_535),
)


def is_allowed_response_topic(topic: str | None) -> bool:
    """Return whether a response on this topic cannot be mistaken for another message of the bridge."""
    if not topic or len(topic) > 200 or topic.startswith("$") or not topic.isprintable():
        return False
    if any(level == "" or set(level) & set("+#") for level in topic.split("/")):
        return False
    return topic.startswith(RESPONSE) or not topic.startswith(("coc/", "homeassistant/"))


class BridgeHarness:
    """A whole bridge with a session that records its messages; nothing is polled."""

    def __init__(self, journal: SqliteJournal) -> None:
        engine = Engine(ClashClient([SecretStr("any")]), journal)
        self.watches = WatchList(journal, engine, on_change=self._on_watch_change)
        self.recording = RecordingSession()
        self._parts = BridgeParts(journal, self.watches, requests_per_second=math.inf, look_up=None)
        self.bridge = self._parts.bridge
        self._numbers = itertools.count(1)

    def _on_watch_change(self, watch: Watch) -> None:
        self._parts.on_watch_change(watch)

    async def deliver(self, messages: list[Message]) -> list[Published]:
        """Deliver messages and a final request; return the messages published before its response."""
        self.recording.published.clear()
        last = f"last {next(self._numbers)}"
        request = orjson.dumps({"transaction": last})
        for message in [*messages, Message(f"{REQUEST}list", request, response_topic="reply/last")]:
            self.recording.incoming.put_nowait(message)

        def is_last(published: Published) -> bool:
            return published.topic == "reply/last" and published.data.get("transaction") == last

        await self.recording.wait_until(lambda: any(map(is_last, self.recording.published)))
        return [published for published in self.recording.published if not is_last(published)]


def test_any_request_gets_one_response_on_an_allowed_topic(tmp_path: Path, count_example: Callable[[], None]) -> None:
    async def start() -> BridgeHarness:
        harness = BridgeHarness(await stack.enter_async_context(SqliteJournal(tmp_path / "coc2mqtt.db")))
        await harness.watches.load([Watch(Kind.CLAN, "#2PP", 60.0)])
        await stack.enter_async_context(running(harness.bridge.serve(harness.recording.session)))
        return harness

    async def example(messages: list[Message]) -> None:
        for watch in harness.watches.select():
            await harness.watches.unwatch(watch.kind, watch.tag)
        published = await harness.deliver(messages)
        responses = [one for one in published if not one.retain]
        # A broker delivers only messages on subscribed topics.
        requests = [message for message in messages if topic_matches_sub(f"{REQUEST}+", message.topic)]
        assert len(responses) == len(requests)
        for response, request in zip(responses, requests, strict=True):
            ResponsePayload.model_validate(response.data)
            assert response.correlation_data == request.correlation_data
            requested_topic = request.response_topic
            assert (
                response.topic == requested_topic
                if is_allowed_response_topic(requested_topic)
                else DEFAULT_RESPONSE_TOPIC.fullmatch(response.topic)
            )
        assert all(RETAINED.fullmatch(one.topic) for one in published if one.retain)

    stack = AsyncExitStack()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        harness = runner.run(start())

        @fuzzed(short=200, long=10_000)
        @given(st.lists(MESSAGES, min_size=1, max_size=4))
        def check_messages(messages: list[Message]) -> None:
            count_example()
            runner.run(example(messages))

        try:
            check_messages()
        finally:
            runner.run(stack.aclose())
    assert [path.name for path in tmp_path.iterdir()] == ["coc2mqtt.db"]
