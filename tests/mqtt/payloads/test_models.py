"""The encoding of payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from coc2mqtt.mqtt.payloads.models import OnlinePayload, ResponsePayload, WatchesPayload, iso_time

if TYPE_CHECKING:
    from collections.abc import Callable

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("unix_time", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000+00:00"),
        (1_795_435_200.123, "2026-11-23T12:00:00.123+00:00"),
        (1_795_435_200.9999, "2026-11-23T12:00:00.999+00:00"),
    ],
)
def test_iso_time_has_milliseconds_and_offset(unix_time: float, text: str) -> None:
    assert iso_time(unix_time) == text


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (OnlinePayload(state="online"), b'{"state":"online"}'),
        (WatchesPayload(watches=[]), b'{"watches":[]}'),
        (ResponsePayload(status="ok", data={}), b'{"status":"ok","data":{}}'),
        (ResponsePayload(status="ok", data={}, transaction=0), b'{"status":"ok","data":{},"transaction":0}'),
        (
            ResponsePayload(status="error", data={}, error="no", transaction=""),
            b'{"status":"error","data":{},"error":"no","transaction":""}',
        ),
    ],
)
def test_payload_is_encoded_as_documented(payload: OnlinePayload | ResponsePayload, expected: bytes) -> None:
    assert payload.encode() == expected


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3))
def test_response_with_arbitrary_data_is_valid_json(data: dict[str, Any]) -> None:
    decoded = orjson.loads(ResponsePayload(status="ok", data=data).encode())
    assert decoded["data"].keys() == data.keys()


@pytest.mark.parametrize(
    "build",
    [
        lambda: OnlinePayload.model_validate({"state": "perhaps"}),
        lambda: OnlinePayload.model_validate({"state": "online", "password": "x"}),
        lambda: ResponsePayload.model_validate({"status": "ok"}),
    ],
)
def test_payload_with_invalid_or_unknown_keys_is_rejected(build: Callable[[], object]) -> None:
    with pytest.raises(ValidationError):
        build()
