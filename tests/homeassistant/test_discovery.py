from __future__ import annotations

from typing import Any

import orjson
import pytest

from coc2mqtt.homeassistant import live_components, removal_step

LEVEL, POINTS = {"platform": "sensor", "unique_id": "level"}, {"platform": "sensor", "unique_id": "points"}


def payload(**components: Any) -> bytes:
    return orjson.dumps({"device": {"name": "The Order"}, "components": components})


def next_payload(before: bytes, wanted: bytes) -> bytes:
    return removal_step(live_components(before), wanted)


def test_payload_that_keeps_every_component_is_published_unchanged() -> None:
    assert next_payload(payload(level=POINTS), payload(level=LEVEL)) == payload(level=LEVEL)


def test_removed_component_is_named_by_its_platform_alone_and_then_left_out() -> None:
    wanted = payload(level=LEVEL)
    step = next_payload(payload(level=LEVEL, points=POINTS), wanted)
    assert orjson.loads(step) == orjson.loads(payload(level=LEVEL, points={"platform": "sensor"}))
    assert next_payload(step, wanted) == wanted


def test_component_with_another_platform_is_removed_first() -> None:
    wanted = payload(level={"platform": "number", "unique_id": "level"})
    step = next_payload(payload(level=LEVEL), wanted)
    assert orjson.loads(step)["components"] == {"level": {"platform": "sensor"}}
    assert next_payload(step, wanted) == wanted


@pytest.mark.parametrize("before", [b"", payload()])
def test_device_is_removed_in_one_step(before: bytes) -> None:
    assert next_payload(before, b"") == b""


@pytest.mark.parametrize(
    "before",
    [
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
def test_invalid_payload_is_replaced_at_once(before: bytes) -> None:
    assert next_payload(before, payload(level=LEVEL)) == payload(level=LEVEL)
