"""Malformed JSON: mutations of valid bodies, and bytes that are not JSON."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hypothesis.strategies import DrawFn

Container = dict[str, Any] | list[Any]

# Values that Python cannot encode as JSON, or not briefly: inserted into the encoded text.
_RAW = {
    "\x01inf": "1e999",
    "\x01minus": "-0",
    "\x01huge": "9" * 5000,
    "\x01long": '"' + "x" * 100_000 + '"',
    "\x01broken": '"\\ud800"',
    "\x01escape": '"\\q"',
    "\x01hex": "0x10",
    "\x01members": json.dumps([{"tag": f"#2PP{number}", "name": "x"} for number in range(3000)]),
    **{
        f"\x01deep{depth}": "[" * depth + "]" * depth
        for depth in (100, 240, 248, 250, 251, 252, 253, 254, 255, 300, 1100)
    },
    **{f"\x01nest{depth}": '{"tag":' * depth + "0" + "}" * depth for depth in (100, 250, 253, 300)},
}
_TEXTS = [
    *(
        "",
        " ",
        "0",
        "null",
        "#",
        "+",
        "/",
        "#2PP",
        "2PP",
        "#2PP/+",
        "%23",
        "../../etc/passwd",
        "$SYS/x",
        "\0",
        "\n",
        "\x1b[31m",
    ),
    *(
        "\u202e",
        "\ufeff",
        "\ud800",
        "🏴\u200d☠️",
        "clé 部落",
        "{name}",
        "%s",
        "'; DROP TABLE event; --",
        "<b>",
        "x" * 300,
    ),
    *("notInWar", "preparation", "inWar", "warEnded", "member", "leader", "home", "builderBase", "win"),
    *("20261101T080000.000Z", "99991231T235959.999999Z", "00010101T000000.000Z", "20261301T080000.000Z"),
]
_NUMBERS = [0, -1, 1, 2, 3, 4, 50, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**30]
_FLOATS = [0.0, -0.0, 1.5, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")]
SCALARS = st.sampled_from([None, True, False, *_NUMBERS, *_FLOATS, *_TEXTS]) | st.text(max_size=8) | st.integers()
VALUES: st.SearchStrategy[Any] = (
    SCALARS
    | st.sampled_from(list(_RAW))
    | st.sampled_from([[], {}, [None], [[]], [{}], {"": None}, {"tag": 5}, {"tag": "#2PP"}, {"name": None}])
)
JSON: st.SearchStrategy[Any] = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_TEXTS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


def to_bytes(value: Any) -> bytes:
    """Encode JSON, and values that are almost JSON."""
    text = json.dumps(value)
    if "\\u0001" in text:
        text = re.sub(r'"\\u0001(\w+)"', lambda found: _RAW.get(f"\x01{found[1]}", "null"), text)
    return text.encode()


@st.composite
def mutated(draw: DrawFn, good: dict[str, Any]) -> dict[str, Any]:
    """Apply one to three mutations to a valid body."""
    body: dict[str, Any] = copy.deepcopy(good)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        # Places near the top matter more, but there are fewer of them.
        places = list(_places(body, draw(st.sampled_from([1, 2, 9]))))
        if not places:
            break
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        draw(st.sampled_from(_MUTATIONS))(draw, holder, key)
    return body


def _places(holder: Container, depth: int) -> Iterator[tuple[Any, Any]]:
    """Yield each place, down to a depth, as its container and key."""
    items = list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder))
    for key, value in items:
        yield holder, key
        if depth > 1 and isinstance(value, dict | list):
            yield from _places(value, depth - 1)


def _replace(draw: DrawFn, holder: Any, key: Any) -> None:
    holder[key] = copy.deepcopy(draw(VALUES))


def _replace_by_anything(draw: DrawFn, holder: Any, key: Any) -> None:
    holder[key] = copy.deepcopy(draw(JSON))


def _drop(_: DrawFn, holder: Any, key: Any) -> None:
    del holder[key]


def _rename(draw: DrawFn, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[draw(st.sampled_from([*holder, *_TEXTS]))] = holder.pop(key)
    else:
        holder.insert(0, holder.pop(key))


def _repeat(draw: DrawFn, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.extend([copy.deepcopy(holder[key])] * draw(st.sampled_from([1, 2, 60])))
    elif isinstance(holder[key], list):
        holder[key] = holder[key] * 2
    else:
        holder[f"{key}2"] = holder[key]


def _shift(draw: DrawFn, holder: Any, key: Any) -> None:
    value = holder[key]
    if isinstance(value, int | float):
        holder[key] = draw(
            st.sampled_from([value + 1, value - 1, -value, value * 1000, float(value), str(value), bool(value)])
        )
    elif isinstance(value, str):
        holder[key] = draw(st.sampled_from([value[:-1], value + "\n", value.lower(), value * 50, f" {value}", [value]]))
    elif isinstance(value, list):
        holder[key] = draw(
            st.sampled_from([value[::-1], value[:1], value[1:], [value], dict.fromkeys(map(str, value))])
        )
    else:
        holder[key] = [value]


def _enlarge(draw: DrawFn, holder: Any, key: Any) -> None:
    """Add more data than fits into an event."""
    much = {f"new{number}": draw(st.sampled_from(["x" * 150, "\0" * 150, "🏴" * 150])) for number in range(25)}
    if isinstance(holder, dict):
        holder |= much
    else:
        holder[key] = much


_MUTATIONS: list[Callable[[DrawFn, Any, Any], None]] = [
    *(_replace, _replace, _replace, _replace_by_anything, _drop, _drop, _rename, _repeat, _shift, _shift, _enlarge)
]


def difference(good: Any, odd: Any, path: str = "") -> Iterator[str]:
    """Yield short descriptions of the differences between two bodies."""
    if isinstance(good, dict) and isinstance(odd, dict):
        for key in sorted(good.keys() | odd.keys()):
            yield from difference(good.get(key, ...), odd.get(key, ...), f"{path}.{key}")
    elif isinstance(good, list) and isinstance(odd, list) and len(good) == len(odd):
        for number, (one, other) in enumerate(zip(good, odd, strict=True)):
            yield from difference(one, other, f"{path}[{number}]")
    elif good != odd:
        yield f"{path[:80]}: {ascii(good)[:80]} -> {ascii(odd)[:80]}"


@st.composite
def corrupted(draw: DrawFn, good: bytes) -> bytes:
    """Corrupt the bytes of a body."""
    at = draw(st.integers(0, len(good)))
    return draw(
        st.sampled_from(
            [
                good[:at],
                good[at:],
                good[:at] + good[at + 1 :],
                good[:at] + b"\xff" + good[at:],
                good[:at] + b"\xed\xa0\x80" + good[at:],
                good[:at] + b"\0" + good[at:],
                b"\xef\xbb\xbf" + good,
                good.decode(errors="replace").encode("utf-16"),
                good + good,
                good + b"x",
                b" \n" + good + b"\r\n",
                b"[" + good + b"]",
                b'{"reason":"x",' + good[1:],
                good[:1] + b'"tag":"#8QQ",' + good[1:],
                good[:-1] + b',"tag":"#8QQ"}',
                b"\x1f\x8b\x08" + good,
            ]
        )
    )


ANY_BYTES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=50).map(lambda text: text.encode(errors="surrogatepass")),
    JSON.map(to_bytes),
    st.sampled_from(
        [b"", b"null", b"true", b"0", b'""', b"[]", b"{}", b"{", b"}", b"[" * 2000, b"{}{}", b"<html></html>"]
    ),
    st.sampled_from([b'{"state":"notInWar"}', b'{"items":[]}', b'{"items":null}', b'{"reason":"notFound"}']),
)
