"""The lookup of a new tag by the command ``watch``, and the commands that are executed meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import orjson
import pytest

from coc2mqtt.events.resource import Kind, Watch
from coc2mqtt.mqtt.client.messages import Message
from coc2mqtt.mqtt.control.request import CommandError
from tests.support.bridge_parts import Parts, TimedSession
from tests.support.control import WatchesInMemory, dispatcher
from tests.support.recording_session import running

CLAN = Watch(Kind.CLAN, "#2PP", 300.0, members=False, war=False, war_interval=90.0)
RESPONSES = "coc/bridge/response/"


class Api:
    """Looks tags up: each one takes ``seconds``, and those in ``unknown`` do not exist."""

    def __init__(self, *, seconds: float = 0.0, unknown: tuple[str, ...] = ()) -> None:
        self.asked: list[tuple[Kind, str]] = []
        self._seconds = seconds
        self._unknown = unknown

    async def look_up(self, kind: Kind, tag: str) -> str | None:
        self.asked.append((kind, tag))
        await asyncio.sleep(self._seconds)
        if tag in self._unknown:
            raise CommandError(f"nobody has the tag {tag}")
        return "The Order"


async def watch(watches: WatchesInMemory, api: Api, **keys: Any) -> Any:
    response = await dispatcher(watches, look_up=api.look_up).execute("watch", orjson.dumps(keys))
    return orjson.loads(response.encode())


@pytest.mark.parametrize("kind", [Kind.CLAN, Kind.PLAYER])
async def test_new_tag_is_looked_up_and_its_name_returned(kind: Kind) -> None:
    watches, api = WatchesInMemory([CLAN]), Api()
    response = await watch(watches, api, tag="8qq", kind=kind.value)
    assert response["data"]["name"] == "The Order"
    assert api.asked == [(kind, "#8QQ")]


async def test_unknown_tag_is_refused() -> None:
    watches, api = WatchesInMemory([CLAN]), Api(unknown=("#8QQ",))
    response = await watch(watches, api, tag="#8QQ")
    assert (response["status"], response["error"]) == ("error", "nobody has the tag #8QQ")
    assert watches.calls == []


async def test_forced_watch_is_not_looked_up() -> None:
    watches, api = WatchesInMemory([CLAN]), Api(unknown=("#8QQ",))
    assert (await watch(watches, api, tag="#8QQ", force=True))["status"] == "ok"
    assert api.asked == []
    assert watches.find(Kind.CLAN, "#8QQ") is not None


async def test_existing_watch_is_changed_without_lookup() -> None:
    watches, api = WatchesInMemory([CLAN]), Api(unknown=("#2PP",))
    assert (await watch(watches, api, tag="#2PP", interval=5))["data"]["interval"] == 5
    assert api.asked == []


async def test_configured_watch_that_was_removed_is_restored_as_configured_without_lookup() -> None:
    watches, api = WatchesInMemory([CLAN]), Api(unknown=("#2PP",))
    await watches.unwatch(CLAN.kind, CLAN.tag)
    assert (await watch(watches, api, tag="#2PP"))["status"] == "ok"
    assert watches.find(Kind.CLAN, "#2PP") == CLAN
    await watches.unwatch(CLAN.kind, CLAN.tag)
    await watch(watches, api, tag="#2PP", interval=5, war=True)
    assert watches.find(Kind.CLAN, "#2PP") == Watch(Kind.CLAN, "#2PP", 5.0, members=False, war_interval=90.0)
    assert api.asked == []


async def test_invalid_option_is_refused_before_the_lookup() -> None:
    api = Api()
    assert "does not apply" in (await watch(WatchesInMemory(), api, tag="#8QQ", include_fields=[]))["error"]
    assert api.asked == []


def request(command: str, payload: bytes) -> Message:
    return Message(f"coc/bridge/request/{command}", payload)


@pytest.mark.looptime
async def test_commands_are_not_delayed_by_a_lookup() -> None:
    parts, recording = Parts(look_up=Api(seconds=10.0).look_up), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(5)
        started = asyncio.get_running_loop().time()
        for command, payload in (("watch", b"#8QQ"), ("watch", b"#9QQ"), ("list", b""), ("unwatch", b"#2PP")):
            recording.incoming.put_nowait(request(command, payload))
        await asyncio.sleep(20)
    answered = {
        command: [round(at - started) for at in recording.published_at[f"{RESPONSES}{command}"]]
        for command in ("watch", "list", "unwatch")
    }
    assert answered == {"watch": [10, 10], "list": [0], "unwatch": [0]}


@pytest.mark.looptime
async def test_commands_about_one_tag_are_executed_in_order() -> None:
    parts, recording = Parts(look_up=Api(seconds=10.0).look_up), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(5)
        for command in ("watch", "poll", "unwatch", "watch"):
            recording.incoming.put_nowait(request(command, b"#8QQ"))
        recording.incoming.put_nowait(request("poll", b"#2PP"))
        await asyncio.sleep(60)
    assert parts.watches.calls == [
        ("poll", Kind.CLAN, "#2PP"),
        *((command, Kind.CLAN, "#8QQ") for command in ("watch", "poll", "unwatch", "watch")),
    ]
    assert all(message.data["status"] == "ok" for message in recording.published if "response" in message.topic)


@pytest.mark.looptime
async def test_more_lookups_than_can_wait_are_all_made() -> None:
    api = Api(seconds=10.0)
    parts, recording = Parts(look_up=api.look_up), TimedSession()
    tags = [f"#{first}{second}{third}" for first in "0289RY" for second in "0289RY" for third in "0289RY"]
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(5)
        for tag in tags:
            recording.incoming.put_nowait(request("watch", tag.encode()))
        await asyncio.sleep(60)
    assert [tag for _, tag in api.asked] == tags
    assert parts.requests.metrics.dropped == 0
    assert len(recording.published_on(f"{RESPONSES}watch")) == len(tags)


@pytest.mark.looptime
async def test_next_connection_executes_commands_after_an_interrupted_lookup() -> None:
    api = Api(seconds=10.0)
    parts, first, second = Parts(look_up=api.look_up), TimedSession(), TimedSession()
    async with running(parts.bridge.serve(first.session)):
        await asyncio.sleep(5)
        first.incoming.put_nowait(request("watch", b"#8QQ"))
        await asyncio.sleep(5)
    assert parts.watches.calls == []
    async with running(parts.bridge.serve(second.session)):
        second.incoming.put_nowait(request("watch", b"#8QQ"))
        await asyncio.sleep(20)
    assert parts.watches.calls == [("watch", Kind.CLAN, "#8QQ")]
    assert [response["status"] for response in second.published_on(f"{RESPONSES}watch")] == ["ok"]


def tags(count: int) -> list[str]:
    return ["#" + "".join(digits) for digits in itertools.islice(itertools.product("0289PYLQGR", repeat=4), count)]


@pytest.mark.looptime
@pytest.mark.parametrize(("seconds", "until_last"), [(1.0, 150.0), (0.0, 12.0)], ids=["slow", "fast"])
async def test_commands_are_not_delayed_by_hundreds_of_lookups(seconds: float, until_last: float) -> None:
    """A script adds 600 watches at once, and the API executes four requests concurrently."""
    api = Api(seconds=seconds)
    concurrent = asyncio.Semaphore(4)

    async def look_up(kind: Kind, tag: str) -> str | None:
        async with concurrent:
            return await api.look_up(kind, tag)

    parts, recording = Parts(look_up=look_up), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(5)
        started = asyncio.get_running_loop().time()
        for tag in tags(600):
            recording.incoming.put_nowait(request("watch", tag.encode()))
        last = tags(600)[-1]
        for command, payload in (("unwatch", last), ("list", last), ("list", ""), ("unwatch", "#2PP")):
            recording.incoming.put_nowait(request(command, payload.encode()))
        await asyncio.sleep(160)
    for command in ("list", "unwatch"):
        assert recording.published_at[f"{RESPONSES}{command}"][0] - started < 0.2
    assert recording.published_at[f"{RESPONSES}watch"][-1] - started == pytest.approx(until_last, abs=1.0)
    assert len(recording.published_on(f"{RESPONSES}watch")) == 600
    about_last = [
        message for message in recording.published if "response" in message.topic and last in str(message.data)
    ]
    assert [message.topic.removeprefix(RESPONSES) for message in about_last] == ["watch", "unwatch"]
    assert recording.published_on(f"{RESPONSES}list")[1]["data"]["watches"] == [], "the watch of the last tag is gone"


@pytest.mark.looptime
async def test_waiting_lookups_are_limited_in_number_and_size() -> None:
    for size, most in ((10, 1000), (60_000, 18)):
        asked = 0

        async def look_up(_kind: Kind, _tag: str) -> str | None:
            nonlocal asked
            asked += 1
            await asyncio.Event().wait()
            raise AssertionError

        parts, recording = Parts(look_up=look_up), TimedSession()
        async with running(parts.bridge.serve(recording.session)):
            await asyncio.sleep(5)
            for number, tag in enumerate(tags(3000)):
                if number % 1000 == 0:
                    await asyncio.sleep(30)
                recording.incoming.put_nowait(request("watch", tag.encode().ljust(size)))
            await asyncio.sleep(30)
        assert asked == most
        assert parts.requests.metrics.dropped > 0
