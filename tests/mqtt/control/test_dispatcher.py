"""The execution of requests: decoding, validation, the commands for watches, and error responses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.resource import Kind, Watch, default_watch
from coc2mqtt.mqtt.control.dispatcher import COMMANDS
from coc2mqtt.mqtt.payloads.models import HealthPayload, ResponsePayload
from coc2mqtt.util.runtime import run
from tests.support.control import HEALTH, WatchesInMemory, dispatcher

CLAN = default_watch(Kind.CLAN, "#2PP")
PLAYER = Watch(Kind.PLAYER, "#2PP", 120.0)
OTHER = Watch(Kind.CLAN, "#8QQ", 60.0)


async def execute(
    watches: WatchesInMemory, command: str | None, payload: bytes | dict[str, Any], *, retained: bool = False
) -> Any:
    """Execute a request and return the decoded response."""
    payload = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return orjson.loads((await dispatcher(watches).execute(command, payload, retained=retained)).encode())


@pytest.mark.parametrize(
    ("payload", "watch"),
    [
        (b"#2PP", CLAN),
        (b" 2pp \n", CLAN),
        (b"%232PP", CLAN),
        (b"2022", default_watch(Kind.CLAN, "#2022")),
        (b'"#2PP"', CLAN),
        ({"tag": "2pp"}, CLAN),
        ({"tag": "#2PO"}, default_watch(Kind.CLAN, "#2P0")),
        ({"tag": "#2PP", "kind": "clan", "interval": 5, "members": False, "war": False, "war_interval": 9.5},
         replace(CLAN, interval=5.0, members=False, war=False, war_interval=9.5)),
        ({"tag": "#2PP", "cwl": False, "raids": False, "reminders": False, "inactive_after": False},
         Watch(Kind.CLAN, "#2PP", 60.0)),
        ({"tag": "#2PP", "reminders": {"war": ["2h", 600, "2h"], "roles": ["elder", "leader"], "min_town_hall": 12}},
         replace(CLAN, reminders=replace(CLAN.reminders, war=(7200.0, 600.0), roles=frozenset({"admin", "leader"}),
                                         min_town_hall=12))),
        ({"tag": "#2PP", "reminders": True, "inactive_after": "3d"}, replace(CLAN, inactive_after=259_200.0)),
        ({"tag": "#2PP", "cwl_interval": 300, "cwl_standings": True, "raid_interval": 90, "raid_defenses": True},
         replace(CLAN, cwl_interval=300.0, cwl_standings=True, raid_interval=90.0, raid_defenses=True)),
        ({"tag": "#2PP", "kind": "player"}, PLAYER),
        ({"tag": "#2PP", "kind": "player", "interval": 604800, "include_fields": [], "exclude_fields": ["donations"]},
         Watch(Kind.PLAYER, "#2PP", 604800.0, include_fields=frozenset(), exclude_fields=frozenset({"donations"}))),
    ],
)  # fmt: skip
async def test_watch_accepts_plain_tag_or_object(payload: Any, watch: Watch) -> None:
    watches = WatchesInMemory()
    response = await execute(watches, "watch", payload)
    assert response["status"] == "ok"
    assert (response["data"]["tag"], response["data"]["interval"]) == (watch.tag, watch.interval)
    assert list(watches.watches.values()) == [watch]


@pytest.mark.parametrize(
    ("command", "payload", "error"),
    [
        ("watch", b"", "tag: is missing"),
        ("watch", b"{}", "tag: is missing"),
        ("watch", b"hello", "tag: 'hello' is not a tag: a tag is '#'"),
        ("watch", b"\xff\xfe", "the request is not valid UTF-8"),
        ("watch", b"{", "the request is not valid JSON: "),
        ("watch", b'{"tag": "#2PP", "interval": NaN}', "the request is not valid JSON: "),
        ("watch", b'{"tag": "\\ud800"}', "the request is not valid JSON: "),
        ("watch", b"[]", "must be a tag or a JSON object such as"),
        ("watch", b" " * 70_000, "larger than 64 kB"),
        ("watch", {"tag": "2" * 10_000}, "is not a tag"),
        ("watch", {"tag": "#2PP\0\n"}, "'#2PP\\x00\\n' is not a tag"),
        ("watch", {"tag": 2022}, "tag: must be text, got 2022"),
        ("watch", {"tag": None}, "tag: must be text, got null"),
        ("watch", {"tag": "#2PP", "kind": "war"}, "kind: must be 'clan' or 'player'"),
        ("watch", {"tag": "#2PP", "interval": 0.5}, "interval: must be at least 1, got 0.5"),
        ("watch", {"tag": "#2PP", "interval": 1e300}, "interval: must be at most 604800, got 1e+300"),
        ("watch", {"tag": "#2PP", "interval": True}, "interval: must be a number, got true"),
        ("watch", {"tag": "#2PP", "interval": "60"}, "interval: must be a number, got '60'"),
        ("watch", {"tag": "#2PP", "war": "off"}, "war: must be true or false, got 'off'"),
        ("watch", {"tag": "#2PP", "members": 0}, "members: must be true or false, got 0"),
        ("watch", {"tag": "#2PP", "include_fields": ["name"]}, "include_fields does not apply to a clan: remove it"),
        ("watch", {"tag": "#2PP", "kind": "player", "war": True}, "war does not apply to a player: remove it"),
        (
            "watch",
            {"tag": "#2PP", "kind": "player", "include_fields": ["x" * 65]},
            "include_fields[0]: must have at most 64 characters, got",
        ),
        (
            "watch",
            {"tag": "#2PP", "kind": "player", "include_fields": ["x"] * 101},
            "include_fields: must have at most 100 entries, got 101",
        ),
        ("watch", {"tag": "#2PP", "reminders": {"wars": ["6h"]}}, "unknown key 'reminders.wars': remove it or fix"),
        ("watch", {"tag": "#2PP", "reminders": {"war": [6]}}, "reminders.war[0]: must be between 1m and 7d before"),
        ("watch", {"tag": "#2PP", "reminders": {"roles": []}}, "reminders.roles: must have at least 1 entry, got 0"),
        ("watch", {"tag": "#2PP", "reminders": "6h"}, "reminders: must be times such as {war: [6h, 1h]}, or true or"),
        ("watch", {"tag": "#2PP", "kind": "player", "games": True}, "games does not apply to a player: remove it"),
        ("watch", {"tag": "#2PP", "intervall": 60}, "unknown key 'intervall'"),
        ("watch", {"tag": "#2PP", "x" * 1000: 60}, f"unknown key '{'x' * 64}'"),
        ("watch", {"tag": "#2PP", "transaction": 1.5}, "transaction: must be a string of at most 256 characters or an"),
        ("unwatch", b"", "tag: is missing"),
        ("unwatch", b"#9CC", "#9CC is not watched"),
        ("unwatch", {"tag": "#8QQ", "kind": "player"}, "#8QQ is not watched as a player"),
        ("unwatch", {"tag": "#2PP", "interval": 60}, "unknown key 'interval'"),
        ("poll", b"#9CC", "#9CC is not watched"),
        ("list", {"kind": "api"}, "kind: must be 'clan' or 'player'"),
        ("health_check", b"#2PP", "unknown key 'tag'"),
        ("dance", b"", f"unknown command: use one of {', '.join(COMMANDS)}"),
        (None, b"", "unknown command"),
    ],
)
async def test_invalid_request_is_not_executed_and_response_explains_error(
    command: str | None, payload: Any, error: str
) -> None:
    watches = WatchesInMemory([CLAN, PLAYER, OTHER])
    response = await execute(watches, command, payload)
    assert response.keys() == {"status", "data", "error"}
    assert (response["status"], response["data"]) == ("error", {})
    assert error in response["error"]
    assert watches.calls == []


async def test_request_with_many_errors_gets_short_response() -> None:
    response = await execute(WatchesInMemory(), "watch", {f"wrong{number}": 1 for number in range(5000)})
    assert len(response["error"]) < 500


async def test_retained_request_is_not_executed() -> None:
    watches = WatchesInMemory()
    response = await execute(watches, "watch", {"tag": "#2PP", "transaction": "t"}, retained=True)
    assert response == {
        "status": "error",
        "data": {},
        "error": "retained requests are not executed: publish it without the retain flag",
        "transaction": "t",
    }
    assert watches.calls == []


@pytest.mark.parametrize("transaction", ["x", "", 0, -7, 2**64 - 1, "x" * 256])
@pytest.mark.parametrize(
    ("command", "more"), [("list", {}), ("list", {"nonsense": 1}), ("unwatch", {"tag": "#9CC"}), ("dance", {})]
)
async def test_response_contains_transaction_of_request(command: str, more: dict[str, Any], transaction: Any) -> None:
    response = await execute(WatchesInMemory(), command, {"transaction": transaction, **more})
    assert response["transaction"] == transaction


@pytest.mark.parametrize("transaction", ["true", "1.0", str(2**70), '["x"]', "{}", f'"{"x" * 257}"'])
async def test_invalid_transaction_is_rejected_and_not_returned(transaction: str) -> None:
    response = await execute(WatchesInMemory(), "list", f'{{"transaction": {transaction}}}'.encode())
    assert "transaction: must be" in response["error"]
    assert "transaction" not in response


@pytest.mark.parametrize(
    ("payload", "removed"),
    [
        (b"#2PP", [CLAN, PLAYER]),
        ({"tag": "#2PP", "kind": "clan"}, [CLAN]),
        ({"tag": "#2PP", "kind": "player"}, [PLAYER]),
        ({"tag": "#8QQ", "kind": None}, [OTHER]),
    ],
)
async def test_unwatch_removes_selected_watches(payload: Any, removed: list[Watch]) -> None:
    watches = WatchesInMemory([CLAN, PLAYER, OTHER])
    response = await execute(watches, "unwatch", payload)
    assert response["data"] == {"unwatched": [{"kind": watch.kind.value, "tag": watch.tag} for watch in removed]}
    assert list(watches.watches.values()) == [watch for watch in (CLAN, PLAYER, OTHER) if watch not in removed]


SELECTIONS = pytest.mark.parametrize(
    ("payload", "selected"),
    [
        (b"", [CLAN, PLAYER, OTHER]),
        (b"{}", [CLAN, PLAYER, OTHER]),
        (b"#2PP", [CLAN, PLAYER]),
        ({"kind": "player"}, [PLAYER]),
        ({"kind": "clan", "tag": "#8QQ"}, [OTHER]),
    ],
)


@SELECTIONS
async def test_list_returns_selected_watches(payload: Any, selected: list[Watch]) -> None:
    watches = WatchesInMemory([CLAN, PLAYER, OTHER])
    listed = (await execute(watches, "list", payload))["data"]["watches"]
    assert [(watch["kind"], watch["tag"]) for watch in listed] == [(watch.kind, watch.tag) for watch in selected]
    assert watches.calls == []


@SELECTIONS
async def test_poll_polls_selected_watches(payload: Any, selected: list[Watch]) -> None:
    watches = WatchesInMemory([CLAN, PLAYER, OTHER])
    response = await execute(watches, "poll", payload)
    assert response["data"] == {"polled": [{"kind": watch.kind.value, "tag": watch.tag} for watch in selected]}
    assert watches.calls == [("poll", watch.kind, watch.tag) for watch in selected]


async def test_watch_beyond_maximum_gets_error_of_watch_list() -> None:
    response = await execute(WatchesInMemory(full=True), "watch", b"#2PP")
    assert response["error"] == "too many watches: remove one first"


async def test_health_check_returns_health() -> None:
    response = await execute(WatchesInMemory(), "health_check", b"")
    assert HealthPayload.model_validate(response["data"]) == HEALTH


# Mostly almost valid requests: pure noise would hardly pass the first check.
KEYS = [
    *("tag", "kind", "interval", "members", "war", "war_interval", "cwl", "cwl_interval", "cwl_standings", "raids"),
    *("raid_interval", "raid_defenses", "include_fields", "exclude_fields", "transaction"),
]
SCALAR: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["#2PP", "2pp", "clan", "player", "war", 60, 0.5, 1e308, "2" * 10_000, "\0#2PP", "\u202e"])
)
VALUE: st.SearchStrategy[Any] = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=10
)
OBJECT = st.dictionaries(st.sampled_from(KEYS) | st.text(), VALUE, max_size=6) | st.fixed_dictionaries(
    {"tag": st.just("#2PP")}, optional=dict.fromkeys(KEYS[1:], VALUE)
)
# As deep as the JSON decoder accepts, which is too deep for repr().
DEEP = {key: f'{{"{key}":{"[" * 1000}{"]" * 1000}}}'.encode() for key in [*KEYS, "unknown"]}
REQUEST = (
    st.binary()
    | st.text().map(str.encode)
    | OBJECT.map(orjson.dumps)
    | VALUE.map(orjson.dumps)
    | st.integers(1, 30_000).map(lambda depth: b"[" * depth)
    | st.sampled_from(list(DEEP.values()))
    | st.sampled_from([b'{"interval":1e999}', b'{"tag":-0,"transaction":' + b"9" * 5000 + b"}", b'"\\udfff"', b"\0"])
)


@given(command=st.sampled_from([*COMMANDS, "nonsense", None]), payload=REQUEST, retained=st.booleans())
def test_arbitrary_request_gets_valid_response(command: str | None, payload: bytes, retained: bool) -> None:
    watches = WatchesInMemory([CLAN, PLAYER, OTHER])
    response = run(dispatcher(watches).execute(command, payload, retained=retained))
    assert ResponsePayload.model_validate(orjson.loads(response.encode())) == response
    assert (response.status == "ok") is (response.error is None)
    if response.status == "error":
        assert response.data == {}
        assert watches.calls == []
    if retained or command not in COMMANDS:
        assert response.status == "error"
    assert all(1 <= watch.interval <= 604_800 for watch in watches.watches.values())


# A separate test, because hypothesis raises Python's recursion limit.
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("key", DEEP)
async def test_deeply_nested_request_is_rejected(command: str, key: str) -> None:
    watches = WatchesInMemory([CLAN])
    assert (await execute(watches, command, DEEP[key]))["status"] == "error"
    assert watches.calls == []
