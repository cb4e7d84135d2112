"""The topic ``bridge/last_command`` and the log lines of commands, on simulated time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from coc2mqtt.events.resource import Kind
from coc2mqtt.mqtt.client.messages import Message
from coc2mqtt.mqtt.control.last_command import LastCommand
from coc2mqtt.mqtt.control.request import CommandError
from coc2mqtt.mqtt.control.sentences import IN_MAINTENANCE, not_checked, of_text
from coc2mqtt.translations import language_of
from tests.support.bridge_parts import Parts, TimedSession
from tests.support.recording_session import running

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    Lines = list[MutableMapping[str, Any]]

pytestmark = pytest.mark.looptime

LAST_COMMAND = "coc/bridge/last_command"
# Read here, because tests may not read files in an event loop.
_GERMAN = language_of("de")
NOTHING = dict.fromkeys(["command", "kind", "tag", "status", "summary", "time", "running"])


def request(command: str, payload: bytes | dict[str, Any] = b"") -> Message:
    return Message(f"coc/bridge/request/{command}", payload if isinstance(payload, bytes) else orjson.dumps(payload))


async def published(*requests: Message, parts: Parts | None = None) -> list[Any]:
    """Return what is published about these requests, each of which is sent after the one before has ended."""
    recording = TimedSession()
    async with running((parts or Parts()).bridge.serve(recording.session)):
        await asyncio.sleep(5)
        assert recording.published_on(LAST_COMMAND) == [NOTHING]
        for one in requests:
            recording.incoming.put_nowait(one)
            await asyncio.sleep(5)
    assert all(message.retain for message in recording.published if message.topic == LAST_COMMAND)
    return recording.published_on(LAST_COMMAND)[1:]


async def sentence(command: str, payload: bytes | dict[str, Any] = b"") -> str:
    """Return the status and the sentence that a command leads to."""
    last = (await published(request(command, payload)))[-1]
    assert last["running"] is None
    assert last["command"] == command
    return f"{last['status']}: {last['summary']}"


@pytest.mark.parametrize(
    ("command", "payload", "expected"),
    [
        ("watch", b"#8QQ", "ok: Now watching The Order (#8QQ)"),
        ("watch", {"tag": "#8QQ", "kind": "player"}, "ok: Now watching The Order (#8QQ)"),
        ("watch", {"tag": "#8QQ", "force": True}, "ok: Now watching #8QQ"),
        ("watch", b"#2pp", "ok: #2PP is already watched"),
        ("watch", {"tag": "#2PP", "interval": 5}, "ok: Changed the watch of #2PP"),
        ("watch", b"hello", "error: tag: 'hello' is not a tag: a tag is '#' and three or more of the characters"),
        ("unwatch", b"#2PP", "ok: Stopped watching #2PP"),
        ("unwatch", b"#8QQ", "error: #8QQ is not watched"),
        ("unwatch", {"tag": "#2PP", "kind": "player"}, "error: #2PP is not watched as a player"),
        ("poll", b"#2PP", "ok: Polling #2PP"),
        ("poll", b"", "ok: Polling #2PP"),
        ("poll", {"kind": "player"}, "ok: Nothing to poll"),
        ("log_level", b"debug", "ok: The log level is now debug"),
        ("reset", b"", "ok: Nothing to reset: no command has changed a watch"),
        ("dance", b"", "error: unknown command: use one of watch, unwatch, list, poll, "),
    ],
)
async def test_last_command_has_a_sentence_about_its_result(command: str, payload: Any, expected: str) -> None:
    assert (await sentence(command, payload)).startswith(expected)


async def test_command_with_a_tag_is_published_as_running_for_a_second() -> None:
    parts, recording = Parts(), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(5)
        recording.incoming.put_nowait(request("unwatch", b" 2pp "))
        await asyncio.sleep(5)
    before, started, ended = recording.published_on(LAST_COMMAND)
    assert before == NOTHING
    assert started["running"] == {"command": "unwatch", "kind": None, "tag": "#2PP"}
    assert (ended["running"], ended["tag"], ended["status"]) == (None, "#2PP", "ok")
    at = recording.published_at[LAST_COMMAND]
    assert at[2] - at[1] == pytest.approx(1.0, abs=0.01)


async def test_queries_are_not_published_as_last_command() -> None:
    queries = ("list", b""), ("list", b"#2PP"), ("replay", b"1"), ("health_check", b""), ("log_level", b"")
    assert await published(*(request(*query) for query in queries)) == []


async def test_flood_is_published_once_per_second_and_its_last_result_remains() -> None:
    recording = TimedSession()
    async with running(Parts().bridge.serve(recording.session)):
        await asyncio.sleep(5)
        before = len(recording.published)
        for number in range(250):  # takes five seconds
            tag = f"#2{'0289PYLQGR'[number % 10]}{'0289PYLQGR'[number // 10 % 10]}{'0289PYLQGR'[number // 100]}"
            recording.incoming.put_nowait(request("watch", tag.encode()))
        await asyncio.sleep(20)
    about = [message for message in recording.published[before:] if message.topic == LAST_COMMAND]
    assert 5 <= len(about) <= 9
    assert about[-1].data["summary"] == "Now watching The Order (#2RP8)"
    assert about[-1].data["running"] is None


async def test_long_input_is_shortened_in_sentence_and_log(log_lines: Lines) -> None:
    payload = {"tag": "x" * 60_000, "force": True, "y" * 60: 1, "\x1b[31m": 1}
    (last,) = await published(request("watch", payload))
    assert len(last["summary"]) <= 255
    (line,) = [line for line in log_lines if line["event"] == "command executed"]
    assert len(str(line)) < 500
    assert "\x1b" not in line["summary"]


async def test_every_command_is_logged_with_tag_and_result(log_lines: Lines) -> None:
    await published(request("watch", b"8qq"), request("unwatch", b"#9CC"), request("list"), request("health_check"))
    lines = [line for line in log_lines if line["event"] == "command executed"]
    assert [(line["log_level"], line["command"], line["tag"], line["status"]) for line in lines] == [
        ("info", "watch", "#8QQ", "ok"),
        ("info", "unwatch", "#9CC", "error"),
        ("info", "list", None, "ok"),
        ("debug", "health_check", None, "ok"),
    ]
    assert lines[1]["summary"] == "#9CC is not watched"


async def test_secret_is_removed_before_the_sentence_is_shortened() -> None:
    last = LastCommand(redact=lambda text: text.replace("SECRET", "***"))
    with last.report("watch", published=True) as report:
        report.fail(of_text("x" * 251 + "SECRET"))
    assert last.take().summary == "x" * 251 + "***"
    with last.report("watch", published=True) as report:
        report.fail(of_text("SECRET" + "{braces}" * 100))
    summary = last.take().summary
    assert summary is not None
    assert summary.startswith("***{braces}")


async def test_sentence_is_in_the_language_of_home_assistant() -> None:
    last = LastCommand(language=_GERMAN)
    with last.report("watch", published=True) as report:
        report.fail(not_checked("#2PP", IN_MAINTENANCE))
    summary = last.take().summary
    assert summary is not None
    assert summary.startswith("#2PP wurde nicht hinzugefügt, denn Clash of Clans wird gerade gewartet: Versuche es")


async def test_command_that_a_lost_connection_interrupts_is_not_published_as_running() -> None:
    asked = asyncio.Event()

    async def look_up(_kind: Kind, _tag: str) -> str | None:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    parts, recording = Parts(look_up=look_up), TimedSession()
    async with running(parts.bridge.serve(recording.session)):
        recording.incoming.put_nowait(request("watch", b"#8QQ"))
        await asked.wait()
        await asyncio.sleep(5)
        assert recording.published_on(LAST_COMMAND)[-1]["running"]["tag"] == "#8QQ"
    assert parts.watches.find(Kind.CLAN, "#8QQ") is None
    second = TimedSession()
    async with running(parts.bridge.serve(second.session)):
        await asyncio.sleep(5)
    last = second.published_on(LAST_COMMAND)[-1]
    assert (last["command"], last["tag"], last["status"], last["running"]) == ("watch", "#8QQ", "error", None)
    assert last["summary"].startswith("The connection to the broker was lost during the command")


async def test_refused_command_is_published_as_running_first() -> None:
    async def look_up(_kind: Kind, _tag: str) -> str | None:
        raise CommandError("no")

    (started, ended) = await published(request("watch", b"#8QQ"), parts=Parts(look_up=look_up))
    assert (started["running"]["tag"], ended["running"], ended["summary"]) == ("#8QQ", None, "no")


async def test_overwritten_last_command_is_restored() -> None:
    recording = TimedSession()
    async with running(Parts().bridge.serve(recording.session)):
        await asyncio.sleep(5)
        recording.incoming.put_nowait(request("unwatch", b"#8QQ"))
        await asyncio.sleep(5)
        before = recording.published_on(LAST_COMMAND)
        recording.incoming.put_nowait(Message(LAST_COMMAND, b"foreign"))
        await asyncio.sleep(5)
        assert recording.published_on(LAST_COMMAND) == [*before, before[-1]]


LAST: dict[str, Any] = {
    "command": "watch",
    "kind": "clan",
    "tag": "#8QQ",
    "status": "ok",
    "summary": "Now watching The Order (#8QQ)",
    "time": "2026-11-24T12:00:00.000+00:00",
    "running": None,
}


async def restored(parts: Parts, payload: bytes) -> Any:
    """Start the bridge at a broker that retains this last command; return the first and only one that it publishes."""
    recording = TimedSession()
    recording.retained = [Message(LAST_COMMAND, payload, retain=True)]
    async with running(parts.bridge.serve(recording.session)):
        await asyncio.sleep(10)
    (first,) = recording.published_on(LAST_COMMAND)
    return first


async def test_last_command_survives_a_restart_of_the_bridge() -> None:
    assert await restored(Parts(), orjson.dumps(LAST)) == LAST
    interrupted = {**LAST, "running": {"command": "poll", "kind": None, "tag": "#2PP"}}
    assert await restored(Parts(), orjson.dumps(interrupted)) == LAST, "the command does not run any more"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"foreign",
        b"[]",
        orjson.dumps(LAST)[:-1],
        *(
            orjson.dumps({**LAST, **wrong})
            for wrong in (
                {"time": None},
                {"time": "yesterday"},
                {"tag": "#hello"},
                {"kind": "war"},
                {"status": 5},
                {"color": "red"},
            )
        ),
    ],
)
async def test_invalid_last_command_of_another_client_is_not_restored(payload: bytes) -> None:
    assert await restored(Parts(), payload) == NOTHING


async def test_long_texts_of_a_restored_last_command_are_shortened() -> None:
    found = await restored(Parts(), orjson.dumps({**LAST, "command": "x" * 1000, "summary": "y" * 1000}))
    assert len(found["command"]) == 64
    assert len(found["summary"]) == 255


async def test_command_of_this_run_is_not_replaced_by_the_retained_one() -> None:
    parts = Parts()
    await published(request("unwatch", b"#9CC"), parts=parts)
    assert (await restored(parts, orjson.dumps(LAST)))["tag"] == "#9CC"
