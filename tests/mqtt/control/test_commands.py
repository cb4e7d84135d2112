from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.events.resource import Kind
from coc2mqtt.events.watch import Watch
from coc2mqtt.mqtt.payloads.models import HealthPayload, ResponsePayload
from coc2mqtt.util.event_loop import run
from tests.support.control import HEALTH, WatchedInMemory, commands

COMMANDS = ["watch", "unwatch", "list", "poll", "replay", "log_level", "health_check"]
CLAN = Watch(Kind.CLAN, "#2PP", 60.0)
PLAYER = Watch(Kind.PLAYER, "#2PP", 120.0)
OTHER = Watch(Kind.CLAN, "#8QQ", 60.0)


async def ask(watches: WatchedInMemory, command: str | None, payload: bytes | dict[str, Any], **how: bool) -> Any:
    """Return the answer as whoever asked reads it."""
    payload = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    return orjson.loads((await commands(watches).answer(command, payload, **how)).encode())


@pytest.mark.parametrize(
    ("payload", "watch"),
    [
        (b"#2PP", CLAN),
        (b" 2pp \n", CLAN),
        (b"%232PP", CLAN),
        (b"2022", Watch(Kind.CLAN, "#2022", 60.0)),
        (b'"#2PP"', CLAN),
        ({"tag": "2pp"}, CLAN),
        ({"tag": "#2PO"}, Watch(Kind.CLAN, "#2P0", 60.0)),
        ({"tag": "#2PP", "kind": "clan", "interval": 5, "members": False, "war": False, "war_interval": 9.5},
         Watch(Kind.CLAN, "#2PP", 5.0, members=False, war=False, war_interval=9.5)),
        ({"tag": "#2PP", "kind": "player"}, PLAYER),
        ({"tag": "#2PP", "kind": "player", "interval": 604800, "include_fields": [], "exclude_fields": ["donations"]},
         Watch(Kind.PLAYER, "#2PP", 604800.0, include_fields=frozenset(), exclude_fields=frozenset({"donations"}))),
    ],
)  # fmt: skip
async def test_a_watch_is_asked_for_by_a_bare_tag_or_an_object(payload: Any, watch: Watch) -> None:
    watches = WatchedInMemory()
    answer = await ask(watches, "watch", payload)
    assert answer["status"] == "ok"
    assert (answer["data"]["tag"], answer["data"]["interval"]) == (watch.tag, watch.interval)
    assert list(watches.watches.values()) == [watch]


@pytest.mark.parametrize(
    ("command", "payload", "error"),
    [
        ("watch", b"", "tag: field required"),
        ("watch", b"{}", "tag: field required"),
        ("watch", b"hello", "tag: 'hello' is not a tag: a tag is '#'"),
        ("watch", b"\xff\xfe", "no UTF-8 text"),
        ("watch", b"{", "the request is no JSON: "),
        ("watch", b'{"tag": "#2PP", "interval": NaN}', "the request is no JSON: "),
        ("watch", b'{"tag": "\\ud800"}', "the request is no JSON: "),
        ("watch", b"[]", "must be a tag or a JSON object such as"),
        ("watch", b" " * 70_000, "larger than 64 kB"),
        ("watch", {"tag": "2" * 10_000}, "is not a tag"),
        ("watch", {"tag": "#2PP\0\n"}, "'#2PP\\x00\\n' is not a tag"),
        ("watch", {"tag": 2022}, "tag: input should be a valid string"),
        ("watch", {"tag": None}, "tag: input should be a valid string"),
        ("watch", {"tag": "#2PP", "kind": "war"}, "kind: input should be 'clan' or 'player'"),
        ("watch", {"tag": "#2PP", "interval": 0.5}, "interval: input should be greater than or equal to 1"),
        ("watch", {"tag": "#2PP", "interval": 1e300}, "interval: input should be less than or equal to 604800"),
        ("watch", {"tag": "#2PP", "interval": True}, "interval: input should be a valid number"),
        ("watch", {"tag": "#2PP", "interval": "60"}, "interval: input should be a valid number"),
        ("watch", {"tag": "#2PP", "war": "off"}, "war: input should be a valid boolean"),
        ("watch", {"tag": "#2PP", "members": 0}, "members: input should be a valid boolean"),
        ("watch", {"tag": "#2PP", "include_fields": ["name"]}, "include_fields does not concern a clan: leave it out"),
        ("watch", {"tag": "#2PP", "kind": "player", "war": True}, "war does not concern a player: leave it out"),
        ("watch", {"tag": "#2PP", "kind": "player", "include_fields": ["x" * 65]}, "include_fields: string should"),
        ("watch", {"tag": "#2PP", "kind": "player", "include_fields": ["x"] * 101}, "include_fields: list should"),
        ("watch", {"tag": "#2PP", "intervall": 60}, "'intervall' is no key of this command"),
        ("watch", {"tag": "#2PP", "x" * 1000: 60}, f"'{'x' * 64}' is no key"),
        ("watch", {"tag": "#2PP", "transaction": 1.5}, "transaction: must be a text of at most 256 characters or a"),
        ("unwatch", b"", "tag: field required"),
        ("unwatch", b"#9CC", "#9CC is not watched"),
        ("unwatch", {"tag": "#8QQ", "kind": "player"}, "#8QQ is not watched as a player"),
        ("unwatch", {"tag": "#2PP", "interval": 60}, "'interval' is no key of this command"),
        ("poll", b"#9CC", "#9CC is not watched"),
        ("list", {"kind": "api"}, "kind: input should be 'clan' or 'player'"),
        ("health_check", b"#2PP", "'tag' is no key of this command"),
        ("dance", b"", f"there is no such command: use one of {', '.join(COMMANDS)}"),
        (None, b"", "there is no such command"),
    ],
)
async def test_a_bad_request_is_answered_by_what_is_wrong_with_it_and_not_executed(
    command: str | None, payload: Any, error: str
) -> None:
    watches = WatchedInMemory([CLAN, PLAYER, OTHER])
    answer = await ask(watches, command, payload)
    assert answer.keys() == {"status", "data", "error"}
    assert (answer["status"], answer["data"]) == ("error", {})
    assert error in answer["error"]
    assert watches.done == []


async def test_a_request_with_many_mistakes_is_answered_by_some_of_them() -> None:
    answer = await ask(WatchedInMemory(), "watch", {f"wrong{number}": 1 for number in range(5000)})
    assert len(answer["error"]) < 500


async def test_a_retained_request_is_refused() -> None:
    watches = WatchedInMemory()
    answer = await ask(watches, "watch", {"tag": "#2PP", "transaction": "t"}, retained=True)
    assert answer == {
        "status": "error",
        "data": {},
        "error": "a retained request is not executed: publish it again without the retain flag",
        "transaction": "t",
    }
    assert watches.done == []


@pytest.mark.parametrize("transaction", ["x", "", 0, -7, 2**64 - 1, "x" * 256])
@pytest.mark.parametrize(
    ("command", "more"), [("list", {}), ("list", {"nonsense": 1}), ("unwatch", {"tag": "#9CC"}), ("dance", {})]
)
async def test_every_answer_carries_the_requests_transaction(
    command: str, more: dict[str, Any], transaction: Any
) -> None:
    answer = await ask(WatchedInMemory(), command, {"transaction": transaction, **more})
    assert answer["transaction"] == transaction


@pytest.mark.parametrize("transaction", ["true", "1.0", str(2**70), '["x"]', "{}", f'"{"x" * 257}"'])
async def test_what_is_no_transaction_is_refused_and_not_echoed(transaction: str) -> None:
    answer = await ask(WatchedInMemory(), "list", f'{{"transaction": {transaction}}}'.encode())
    assert "transaction: must be" in answer["error"]
    assert "transaction" not in answer


@pytest.mark.parametrize(
    ("payload", "gone"),
    [
        (b"#2PP", [CLAN, PLAYER]),
        ({"tag": "#2PP", "kind": "clan"}, [CLAN]),
        ({"tag": "#2PP", "kind": "player"}, [PLAYER]),
        ({"tag": "#8QQ", "kind": None}, [OTHER]),
    ],
)
async def test_what_is_watched_under_a_tag_is_watched_no_more(payload: Any, gone: list[Watch]) -> None:
    watches = WatchedInMemory([CLAN, PLAYER, OTHER])
    answer = await ask(watches, "unwatch", payload)
    assert answer["data"] == {"unwatched": [{"kind": watch.kind.value, "tag": watch.tag} for watch in gone]}
    assert list(watches.watches.values()) == [watch for watch in (CLAN, PLAYER, OTHER) if watch not in gone]


@pytest.mark.parametrize(
    ("payload", "chosen"),
    [
        (b"", [CLAN, PLAYER, OTHER]),
        (b"{}", [CLAN, PLAYER, OTHER]),
        (b"#2PP", [CLAN, PLAYER]),
        ({"kind": "player"}, [PLAYER]),
        ({"kind": "clan", "tag": "#8QQ"}, [OTHER]),
    ],
)
async def test_watches_are_listed_and_polled_by_kind_and_tag(payload: Any, chosen: list[Watch]) -> None:
    watches = WatchedInMemory([CLAN, PLAYER, OTHER])
    expected = [{"kind": watch.kind.value, "tag": watch.tag} for watch in chosen]
    listed = await ask(watches, "list", payload)
    assert [{"kind": watch["kind"], "tag": watch["tag"]} for watch in listed["data"]["watches"]] == expected
    assert watches.done == []
    polled = await ask(watches, "poll", payload)
    assert polled["data"] == {"polled": expected}
    assert watches.done == [("poll", watch.kind, watch.tag) for watch in chosen]


async def test_a_watch_that_cannot_be_is_answered_by_the_reason() -> None:
    answer = await ask(WatchedInMemory(full=True), "watch", b"#2PP")
    assert answer["error"] == "there is no room for another watch: stop one first"


async def test_the_health_is_told() -> None:
    answer = await ask(WatchedInMemory(), "health_check", b"")
    assert HealthPayload.model_validate(answer["data"]) == HEALTH


def test_the_commands_are_named() -> None:
    assert commands(WatchedInMemory()).names == COMMANDS


# Most of it nearly a request: pure noise would hardly get past the first check.
KEYS = ["tag", "kind", "interval", "members", "war", "war_interval", "include_fields", "exclude_fields", "transaction"]
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
# As deep as the JSON decoder lets through, and Python cannot show.
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
def test_whatever_is_asked_is_answered(command: str | None, payload: bytes, retained: bool) -> None:
    watches = WatchedInMemory([CLAN, PLAYER, OTHER])
    response = run(commands(watches).answer(command, payload, retained=retained))
    said = orjson.loads(response.encode())
    assert ResponsePayload.model_validate(said) == response
    assert (response.status == "ok") is (response.error is None)
    if response.status == "error":
        assert response.data == {}
        assert watches.done == []
    if retained or command not in COMMANDS:
        assert response.status == "error"
    assert all(1 <= watch.interval <= 604_800 for watch in watches.watches.values())


# A test of its own, because hypothesis raises Python's recursion limit.
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("key", DEEP)
async def test_a_request_deeper_than_python_can_show_is_refused(command: str, key: str) -> None:
    watches = WatchedInMemory([CLAN])
    assert (await ask(watches, command, DEEP[key]))["status"] == "error"
    assert watches.done == []
