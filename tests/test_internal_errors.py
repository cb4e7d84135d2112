"""Unexpected exceptions are counted, logged once with their traceback, and contained in their part."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from coc2mqtt.internal_errors import InternalErrors
from coc2mqtt.mqtt.client.messages import check_topic
from coc2mqtt.util.containment import keep_running

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    Lines = list[MutableMapping[str, Any]]


class Handled(Exception):  # noqa: N818 - its name tells its purpose
    """An error that the program handles elsewhere."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def lines() -> Iterator[Lines]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def errors(clock: Clock) -> InternalErrors:
    return InternalErrors(expected=(Handled,), uptime=clock)


def fail(errors: InternalErrors, error: BaseException, **context: object) -> None:
    with errors.contain("a part", **context):
        raise error


def test_bug_is_suppressed_counted_and_logged_with_its_traceback(errors: InternalErrors, lines: Lines) -> None:
    error = ZeroDivisionError("a bug")
    fail(errors, error, tag="#2PP")
    assert errors.count == 1
    assert errors.seconds_since_last == 0.0
    (line,) = lines
    assert line == {
        "event": "internal error",
        "log_level": "error",
        "part": "a part",
        "error": "ZeroDivisionError: a bug",
        "place": "elsewhere",
        "tag": "#2PP",
        "hint": "this is a bug: please report it with this traceback",
        "exc_info": error,
    }


def test_logged_place_is_the_innermost_one_in_this_program(errors: InternalErrors, lines: Lines) -> None:
    with errors.contain("topics"):
        check_topic(None)  # type: ignore[arg-type]
    assert lines[0]["place"].startswith("mqtt/client/messages.py:")


def test_repeated_bug_is_logged_briefly_at_most_once_a_minute(
    errors: InternalErrors, clock: Clock, lines: Lines
) -> None:
    for _ in range(130):
        fail(errors, ZeroDivisionError("a bug"))
        clock.now += 1.0
    assert errors.count == 130
    assert [(line["event"], line.get("count"), "exc_info" in line) for line in lines] == [
        ("internal error", None, True),
        ("internal error again", 2, False),
        ("internal error again", 62, False),
        ("internal error again", 122, False),
    ]


def test_kinds_beyond_the_maximum_do_not_flood_the_log(errors: InternalErrors, lines: Lines) -> None:
    for number in range(600):
        fail(errors, type(f"Bug{number}", (Exception,), {})())
    assert errors.count == 600
    assert len(lines) == 502


def test_bug_of_another_type_is_logged_with_its_traceback(errors: InternalErrors, lines: Lines) -> None:
    fail(errors, ZeroDivisionError("a bug"))
    fail(errors, KeyError("another"))
    assert [line["event"] for line in lines] == ["internal error", "internal error"]


@pytest.mark.parametrize(
    "error",
    [
        Handled("handled"),
        ExceptionGroup("", [KeyError("a bug"), Handled("handled")]),
        KeyboardInterrupt(),
        BaseExceptionGroup("", [KeyError("a bug"), SystemExit()]),
    ],
    ids=["handled", "group", "interrupt", "group with an exit"],
)
def test_exception_that_is_not_a_bug_is_propagated(errors: InternalErrors, lines: Lines, error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        fail(errors, error)
    assert raised.value is error
    assert (errors.count, lines) == (0, [])


def test_group_of_bugs_is_counted_as_one_with_the_whole_traceback(errors: InternalErrors, lines: Lines) -> None:
    group = ExceptionGroup("", [KeyError("first"), KeyError("second")])
    fail(errors, group)
    assert errors.count == 1
    assert (lines[0]["error"], lines[0]["exc_info"]) == ("KeyError: 'first'", group)


async def test_cancellation_is_propagated(errors: InternalErrors) -> None:
    async def wait() -> None:
        with errors.contain("a part"):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert errors.count == 0


async def test_bug_in_a_task_that_is_being_cancelled_does_not_keep_it_running(errors: InternalErrors) -> None:
    async def wait() -> None:
        while True:
            with errors.contain("a part"):
                try:
                    await asyncio.Event().wait()
                finally:
                    raise KeyError("a bug in cleaning up")

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=1)
    assert task.cancelled()
    assert errors.count == 1


async def test_cancelled_error_without_cancellation_of_the_task_is_a_bug(errors: InternalErrors) -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    with errors.contain("a part"):
        await future
    assert errors.count == 1


async def test_timeout_around_contained_work_is_raised(errors: InternalErrors) -> None:
    async def wait() -> None:
        with errors.contain("a part"):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait(), 0.01)
    assert errors.count == 0


async def test_bug_in_a_callback_of_the_event_loop_is_reported(errors: InternalErrors, lines: Lines) -> None:
    loop = asyncio.get_running_loop()
    previous = loop.get_exception_handler()
    with errors.report_callback_errors():
        loop.call_soon(check_topic, None)  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
    assert errors.count == 1
    assert (lines[0]["part"], lines[0]["place"].split(":")[0]) == ("callback", "mqtt/client/messages.py")
    assert loop.get_exception_handler() is previous


async def test_exception_of_a_library_in_a_callback_is_left_to_the_event_loop(errors: InternalErrors) -> None:
    loop, contexts = asyncio.get_running_loop(), list[Any]()
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    with errors.report_callback_errors():
        loop.call_soon(int, "not a number")
        await asyncio.sleep(0.01)
    assert errors.count == 0
    assert len(contexts) == 1


def test_on_report_is_called_for_each_bug(errors: InternalErrors) -> None:
    counts: list[int] = []
    errors.on_report = lambda: counts.append(errors.count)
    fail(errors, KeyError("a bug"))
    fail(errors, KeyError("a bug"))
    assert counts == [1, 2]


@pytest.mark.looptime
async def test_keep_running_restarts_work_after_a_growing_delay(errors: InternalErrors) -> None:
    started: list[float] = []

    async def work() -> None:
        started.append(asyncio.get_running_loop().time())
        if len(started) < 9:
            raise KeyError("a bug")

    await keep_running("a part", work, errors.contain)
    delays = [after - before for before, after in pairwise(started)]
    assert delays == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])
    assert errors.count == 8
