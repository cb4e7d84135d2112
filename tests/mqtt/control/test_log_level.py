"""The command ``log_level``."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.support.control import LevelInMemory, WatchedInMemory, commands


async def ask(level: LevelInMemory, payload: bytes) -> Any:
    return orjson.loads((await commands(WatchedInMemory(), level=level).answer("log_level", payload)).encode())


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"debug", "debug"),
        (b" WARNING\n", "warning"),
        (b'"error"', "error"),
        (b'{"level": "info"}', "info"),
        (b"", "info"),
        (b"{}", "info"),
        (b'{"level": null}', "info"),
    ],
)
async def test_a_level_is_set_and_without_one_only_told(payload: bytes, expected: str) -> None:
    level = LevelInMemory()
    assert await ask(level, payload) == {"status": "ok", "data": {"level": expected}}
    assert level.name == expected


@pytest.mark.parametrize(
    "payload", [b"loud", b'{"level": "DEBUG"}', b'{"level": 10}', b'{"level": "critical"}', b'{"level": ["debug"]}']
)
async def test_what_is_no_level_is_refused_with_those_that_there_are(payload: bytes) -> None:
    level = LevelInMemory()
    said = await ask(level, payload)
    assert said["error"] == "level: input should be 'debug', 'info', 'warning' or 'error'"
    assert level.name == "info"
