"""The command ``watch`` for an existing watch, whose missing keys keep their values, and the command ``log_level``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from coc2mqtt.events.resource import Kind, Watch, default_watch
from tests.support.control import LogLevelInMemory, WatchesInMemory, dispatcher

CLAN = Watch(Kind.CLAN, "#2PP", 300.0, members=False, war=False, war_interval=90.0)
ALL = replace(
    default_watch(Kind.CLAN, "#2PP"),
    cwl_interval=300.0,
    cwl_standings=True,
    raid_interval=1200.0,
    raid_defenses=True,
)
PLAYER = Watch(
    Kind.PLAYER, "#2PP", 600.0, include_fields=frozenset({"name"}), exclude_fields=frozenset({"trophies", "donations"})
)


@pytest.mark.parametrize(
    ("payload", "before", "after"),
    [
        (b"#2PP", CLAN, CLAN),
        ({"tag": "#2PP"}, CLAN, CLAN),
        ({"tag": "#2PP", "kind": "player"}, PLAYER, PLAYER),
        ({"tag": "#2PP", "interval": 30}, CLAN, replace(CLAN, interval=30.0)),
        ({"tag": "#2PP", "war": True}, CLAN, replace(CLAN, war=True)),
        ({"tag": "#2PP", "members": True, "war_interval": 30}, CLAN, replace(CLAN, members=True, war_interval=30.0)),
        ({"tag": "#2PP", "war": False}, ALL, replace(ALL, war=False)),
        ({"tag": "#2PP", "cwl": False, "raids": False}, ALL, replace(ALL, cwl=False, raids=False)),
        ({"tag": "#2PP", "cwl_standings": False, "raid_interval": 60}, ALL,
         replace(ALL, cwl_standings=False, raid_interval=60.0)),
        ({"tag": "#2PP", "kind": "player", "exclude_fields": []}, PLAYER, replace(PLAYER, exclude_fields=frozenset())),
        ({"tag": "#2PP", "kind": "player", "include_fields": None}, PLAYER, replace(PLAYER, include_fields=None)),
        ({"tag": "#2PP", "interval": None}, CLAN, replace(CLAN, interval=60.0)),
        ({"tag": "#2PP", "kind": "player", "interval": None}, PLAYER, replace(PLAYER, interval=120.0)),
    ],
)  # fmt: skip
async def test_watch_changes_given_keys_and_keeps_others(payload: Any, before: Watch, after: Watch) -> None:
    watches = WatchesInMemory([before])
    payload = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    response = await dispatcher(watches).execute("watch", payload)
    assert list(watches.watches.values()) == [after]
    assert response.data["interval"] == after.interval


async def test_clan_watch_ignores_player_watch_with_same_tag() -> None:
    watches = WatchesInMemory([PLAYER])
    await dispatcher(watches).execute("watch", b"#2PP")
    assert list(watches.watches.values()) == [PLAYER, default_watch(Kind.CLAN, "#2PP")]


async def set_log_level(log_level: LogLevelInMemory, payload: bytes) -> Any:
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
    assert await set_log_level(log_level, payload) == {"status": "ok", "data": {"level": expected}}
    assert log_level.name == expected


@pytest.mark.parametrize(
    ("payload", "got"),
    [
        (b"loud", "'loud'"),
        (b'{"level": "DEBUG"}', "'DEBUG'"),
        (b'{"level": 10}', "10"),
        (b'{"level": "critical"}', "'critical'"),
        (b'{"level": ["debug"]}', "a list"),
    ],
)
async def test_invalid_log_level_gets_list_of_valid_ones(payload: bytes, got: str) -> None:
    log_level = LogLevelInMemory()
    response = await set_log_level(log_level, payload)
    assert response["error"] == f"level: must be 'debug', 'info', 'warning' or 'error', got {got}"
    assert log_level.name == "info"
