"""The format of log lines, of the bridge and of libraries, for people and as JSON."""

from __future__ import annotations

import json
import logging
import re
import warnings
from typing import TYPE_CHECKING, Any, Literal

import pytest
import structlog

from coc2mqtt.logs import LogLevel, configure_logging, log_level, set_log_level

if TYPE_CHECKING:
    from coc2mqtt.logs import LogLevelName

SECRET = "secret-that-nobody-may-see"
LEVELS: tuple[LogLevelName, ...] = ("debug", "info", "warning", "error")
# Like the loggers of all modules, created before logging is configured.
EARLY = structlog.get_logger()


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def json_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(capsys)]


def fail_with_a_secret() -> None:
    token = SECRET
    raise ValueError(f"something about {len(token)} characters")


def test_console_line_has_time_level_event_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "console")
    structlog.get_logger().info("connected to the broker", host="localhost")
    (line,) = lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[info +\] connected to the broker +host=localhost", line)


def test_json_line_has_time_level_event_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    structlog.get_logger().info("connected to the broker", host="localhost")
    (line,) = json_lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"level": "info", "event": "connected to the broker", "host": "localhost"}


@pytest.mark.parametrize("style", ["console", "json"])
def test_warning_of_a_library_has_the_same_format(
    capsys: pytest.CaptureFixture[str], style: Literal["console", "json"]
) -> None:
    configure_logging("info", style)
    structlog.get_logger().warning("careful")
    logging.getLogger("library").warning("careful")
    ours, theirs = (re.sub(r"\d{4}-[^ \"]+", "TIME", line).rstrip() for line in lines(capsys))
    assert (json.loads(ours) == json.loads(theirs)) if style == "json" else (ours == theirs)


def test_python_warning_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("this will go away", stacklevel=1)
    (line,) = json_lines(capsys)
    assert line["level"] == "warning"
    assert "this will go away" in line["event"]


def test_libraries_are_logged_from_warning_and_from_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    for level, expected in (("debug", ["warning", "error"]), ("info", ["warning", "error"]), ("error", ["error"])):
        configure_logging(level, "json")
        for name in ("debug", "info", "warning", "error"):
            logging.getLogger("library").log(logging.getLevelNamesMapping()[name.upper()], "something")
        assert [line["level"] for line in json_lines(capsys)] == expected


def test_lines_below_the_level_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "json")
    log = structlog.get_logger()
    for write in (log.debug, log.info, log.warning, log.error):
        write("something")
    assert [line["level"] for line in json_lines(capsys)] == ["warning", "error"]


@pytest.mark.parametrize("style", ["console", "json"])
@pytest.mark.parametrize("logger", ["bridge", "library"])
def test_traceback_contains_no_local_variables(
    capsys: pytest.CaptureFixture[str], style: Literal["console", "json"], logger: str
) -> None:
    configure_logging("info", style)
    log = structlog.get_logger() if logger == "bridge" else logging.getLogger("library")
    try:
        fail_with_a_secret()
    except ValueError:
        log.exception("it failed")
    text = "\n".join(lines(capsys))
    assert "something about 26 characters" in text
    assert "fail_with_a_secret" in text
    assert SECRET not in text
    if style == "json":
        assert json.loads(text)["event"] == "it failed"


def test_set_log_level_applies_to_existing_loggers(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("error", "json")
    used = structlog.get_logger()
    used.error("something")
    lines(capsys)
    for number, level in enumerate(LEVELS):
        set_log_level(level)
        assert log_level() == level
        for log in (EARLY, used, structlog.get_logger(), logging.getLogger("library")):
            for name in LEVELS:
                getattr(log, name)("something")
        levels = [line["level"] for line in json_lines(capsys)]
        assert levels == [*LEVELS[number:] * 3, *LEVELS[max(number, 2) :]]


@pytest.mark.parametrize("level", LEVELS)
def test_log_level_is_the_configured_one(level: LogLevelName) -> None:
    configure_logging(level, "console")
    assert log_level() == level


def test_on_change_is_called_only_if_the_level_differs() -> None:
    configure_logging("info", "json")
    changes: list[str] = []
    level = LogLevel(on_change=lambda: changes.append(level.name))
    for name in ("info", "debug", "debug", "error"):
        level.set(name)
    assert changes == ["debug", "error"]
