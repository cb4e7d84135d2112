from __future__ import annotations

from typing import Any

import orjson
import pytest

from coc2mqtt.homeassistant import next_step

LEVEL, POINTS = {"platform": "sensor", "unique_id": "level"}, {"platform": "sensor", "unique_id": "points"}


def payload(**components: Any) -> bytes:
    return orjson.dumps({"device": {"name": "The Order"}, "components": components})


def test_what_stays_is_announced_as_it_is() -> None:
    assert next_step(payload(level=POINTS), payload(level=LEVEL)) == payload(level=LEVEL)


def test_what_goes_is_named_with_its_platform_alone_and_then_left_out() -> None:
    wanted = payload(level=LEVEL)
    step = next_step(payload(level=LEVEL, points=POINTS), wanted)
    assert orjson.loads(step) == orjson.loads(payload(level=LEVEL, points={"platform": "sensor"}))
    assert next_step(step, wanted) == wanted


def test_what_becomes_something_else_is_taken_back_first() -> None:
    wanted = payload(level={"platform": "number", "unique_id": "level"})
    step = next_step(payload(level=LEVEL), wanted)
    assert orjson.loads(step)["components"] == {"level": {"platform": "sensor"}}
    assert next_step(step, wanted) == wanted


@pytest.mark.parametrize("before", [None, b"", payload()])
def test_a_device_is_removed_in_one_step(before: bytes | None) -> None:
    assert next_step(before, b"") == b""


@pytest.mark.parametrize(
    "before",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"components": []}',
        payload(level=5),
        payload(points={"platform": 5, "x": 1}),
        payload(points={"platform": "a b", "x": 1}),
        payload(**{"not an id": POINTS}),
        payload(points={"platform": "sensor"}),
    ],
)
def test_what_is_no_announcement_of_ours_is_simply_replaced(before: bytes | None) -> None:
    assert next_step(before, payload(level=LEVEL)) == payload(level=LEVEL)
