"""Requests: arbitrary bytes, arbitrary JSON, and almost valid requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.fuzz.malformed import ANY_BYTES, JSON, VALUES, corrupted, to_bytes

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

COMMANDS = ["watch", "unwatch", "list", "poll", "replay", "log_level", "health_check"]
NAMES = st.sampled_from([*COMMANDS * 4, "watch", "watch", "unwatch", "replay", "nonsense", None])
# Few tags, so that requests refer to watches of earlier requests.
TAGS = ["#2PP", "#8QQ", "2pp", " %232PP ", "#2po", "2PP\n", '"#2PP"']
ODD_TAGS = [
    *(
        "",
        "#",
        "#2P",
        "##2PP",
        "#2PP#",
        "#2PP/+",
        "#2PP/#",
        "../2PP",
        "2PP\0",
        "2PP;",
        "' OR 1=1 --",
        "#2PP#8QQ",
        "#2PP\0",
    ),
    *("#" + "2" * 15, "#" + "2" * 16, "2" * 70_000, "#\uff12PP", "#2P\u1e9e", "#2P\u0131", "\u202e#2PP"),
    *("{tag}", "%2523", "$SYS", "api", "#API"),
]
TAG = (
    st.sampled_from(TAGS)
    | st.sampled_from(ODD_TAGS)
    | st.text("0289PYLQGRJCUVO#pylq ", max_size=17)
    | st.text(max_size=9)
)
_CLAN_KEYS = (
    *("members", "war", "war_interval", "cwl", "cwl_interval", "cwl_standings"),
    *("raids", "raid_interval", "raid_defenses"),
)
_GOOD: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(["clan", "player"]),
    "interval": st.sampled_from([1, 1.0, 60, 604_800, 1.5]),
    "members": st.booleans(),
    "war": st.booleans(),
    "war_interval": st.sampled_from([1, 30, 604_800.0]),
    "cwl": st.booleans(),
    "cwl_interval": st.sampled_from([1, 600, 604_800.0]),
    "cwl_standings": st.booleans(),
    "raids": st.booleans(),
    "raid_interval": st.sampled_from([1, 600, 604_800.0]),
    "raid_defenses": st.booleans(),
    "include_fields": st.none() | st.lists(st.sampled_from(["name", "trophies", "", "x" * 64]), max_size=3),
    "exclude_fields": st.none() | st.just([]) | st.just(["troops"] * 100),
    "transaction": st.sampled_from(["x", "", 0, -1, 2**64 - 1, "x" * 256]),
}
_ODD: dict[str, st.SearchStrategy[Any]] = {
    "kind": st.sampled_from(["war", "api", "Clan", ""]) | VALUES,
    "interval": st.sampled_from([0, 0.999, -1, 604_801, True, "60", 2**70]) | VALUES,
    "include_fields": st.sampled_from([["x" * 65], ["x"] * 101, [["x"]], [1], "name", {}]) | VALUES,
    "transaction": st.sampled_from(["x" * 257, 2**64, 1.5, True, [], {}]) | VALUES,
    **dict.fromkeys([*_CLAN_KEYS, "exclude_fields", "Tag", "tags", "", "tag "], VALUES),
}


@st.composite
def _objects(draw: DrawFn) -> bytes:
    """A request with up to two odd values."""
    request: dict[str, Any] = draw(st.fixed_dictionaries({"tag": st.sampled_from(TAGS)}, optional=_GOOD))
    if draw(st.booleans()):
        # The keys that all commands share.
        request = {key: value for key, value in request.items() if key in {"tag", "kind", "transaction"}}
    else:
        # Otherwise most watch requests would have keys of the wrong kind.
        for key in ("include_fields", "exclude_fields") if request.get("kind") != "player" else _CLAN_KEYS:
            request.pop(key, None)
    for key in draw(st.lists(st.sampled_from(["tag", "tag", *_ODD]), max_size=2)):
        request[key] = draw(TAG if key == "tag" else _ODD[key])
    return to_bytes(request)


_REPLAY: dict[str, st.SearchStrategy[Any]] = {
    "since_seq": st.sampled_from([0, 1, 2**63 - 1, 2**63, -1, None, True, "1"]) | st.integers(),
    "since": st.sampled_from(["1h", "7 d", "1e3s", "9" * 400 + "d", "2026-11-24T12:00:00Z", None, 5])
    | st.datetimes().map(lambda time: f"{time.isoformat()}+14:00"),
    "kind": st.sampled_from(["clan", "player", "api", "war", None]),
    "tag": TAG,
    "event_type": st.sampled_from(["member_joined", "war_new", "dance", None]),
    "limit": st.sampled_from([1, 500, 0, 501, 1.0]),
    "level": st.sampled_from(["debug", "DEBUG", "loud", None]),
}


def _replays() -> st.SearchStrategy[bytes]:
    """A replay request with a few of its keys, or a bare value."""
    some = st.lists(st.sampled_from([*_REPLAY, "since_seq"]), min_size=1, max_size=3, unique=True).flatmap(
        lambda keys: st.fixed_dictionaries({key: _REPLAY[key] for key in keys})
    )
    return (some | _REPLAY["since"] | _REPLAY["since_seq"]).map(to_bytes)


@st.composite
def _at_the_limit(draw: DrawFn) -> bytes:
    """A request of about 64 kB."""
    size = 64 * 1024 + draw(st.sampled_from([-1, 0, 1, 2, 40_000]))
    prefix, filling, suffix = draw(
        st.sampled_from(
            [
                (b"#2PP", b" ", b""),
                (b'{"tag":"#2PP"', b" ", b"}"),
                (b'{"transaction":"', b"x", b'"}'),
                (b"", b"\xc3\xa9", b""),
                (b"", b"[", b""),
            ]
        )
    )
    return (prefix + filling * ((size - len(prefix) - len(suffix)) // len(filling)) + suffix).ljust(size)


# Each alternative has the same probability, however many values it has.
PAYLOADS: st.SearchStrategy[bytes] = st.sampled_from(
    [
        _objects(),
        _objects(),
        _objects(),
        _objects().flatmap(corrupted),
        _replays(),
        TAG.map(lambda text: text.encode(errors="surrogatepass")),
        ANY_BYTES,
        JSON.map(lambda value: to_bytes({"tag": "#2PP", "transaction": value})),
        _at_the_limit(),
    ]
).flatmap(lambda way: way)
