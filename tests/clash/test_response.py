from __future__ import annotations

import pytest

from coc2mqtt.clash import ApiResponse, InvalidResponseError


def test_data_is_the_json_object_of_the_body() -> None:
    assert ApiResponse(200, '{"name": "Der Ärger ✨"}'.encode(), 0.0).data == {"name": "Der Ärger ✨"}


def test_body_is_decoded_only_once() -> None:
    response = ApiResponse(200, b'{"a": [1]}', 0.0)
    assert response.data is response.data


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": }', b'{"a": NaN}', b"[1]", b'"a"', b"null"])
def test_data_raises_if_the_body_is_not_a_json_object(body: bytes) -> None:
    response = ApiResponse(200, body, 60.0)
    with pytest.raises(InvalidResponseError, match=r"check api\.base_url") as raised:
        _ = response.data
    assert (raised.value.status, raised.value.max_age) == (200, 0.0)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'"\xff"', "\ufffd"),
        (b'"x\\ud83d"', "x\ufffd"),
        (b'"\\udffex"', "\ufffdx"),
        (b'"\\ud83d\\ud83d\\ude00"', "\ufffd\U0001f600"),
        (b'"\\\\ud83d \\ud83d"', "\\ud83d \ufffd"),
        (b'"\xed\xa0\xbd"', "\ufffd\ufffd\ufffd"),
    ],
)
def test_invalid_unicode_is_replaced(body: bytes, text: str) -> None:
    response = ApiResponse(200, b'{"a": ' + body + b"}", 0.0)
    assert response.data == {"a": text}
    assert response.repaired


def test_valid_unicode_is_not_replaced() -> None:
    assert not ApiResponse(200, b'{"a": "\\ud83d\\ude00 \\ufffd"}', 0.0).repaired
