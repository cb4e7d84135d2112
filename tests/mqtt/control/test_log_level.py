"""The command ``log_level``."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.support.control import LogLevelInMemory, WatchesInMemory, dispatcher


async def execute(log_level: LogLevelInMemory, payload: bytes) -> Any:
    commands = dispatcher(WatchesInMemory(), log_level=log_level)
    return orjson.loads((await commands.execute("log_level", payload)).encode())


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
async def test_log_level_sets_given_level_and_returns_current_one(payload: bytes, expected: str) -> None:
    log_level = LogLevelInMemory()
    assert await execute(log_level, payload) == {"status": "ok", "data": {"level": expected}}
    assert log_level.name == expected


@pytest.mark.parametrize(
    "payload", [b"loud", b'{"level": "DEBUG"}', b'{"level": 10}', b'{"level": "critical"}', b'{"level": ["debug"]}']
)
async def test_invalid_log_level_gets_list_of_valid_ones(payload: bytes) -> None:
    log_level = LogLevelInMemory()
    response = await execute(log_level, payload)
    assert response["error"] == "level: input should be 'debug', 'info', 'warning' or 'error'"
    assert log_level.name == "info"
