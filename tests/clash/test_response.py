from __future__ import annotations

import pytest

from coc2mqtt.clash import ApiResponse, InvalidResponseError


def test_the_data_of_an_answer_is_its_json_object() -> None:
    assert ApiResponse(200, '{"name": "Der Ärger ✨"}'.encode(), 0.0).data == {"name": "Der Ärger ✨"}


def test_an_answer_is_decoded_once_however_often_it_is_looked_into() -> None:
    answer = ApiResponse(200, b'{"a": [1]}', 0.0)
    assert answer.data is answer.data


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": }', b'{"a": NaN}', b"[1]", b'"a"', b"null"])
def test_a_body_that_is_no_object_shows_when_it_is_looked_into(body: bytes) -> None:
    answer = ApiResponse(200, body, 60.0)
    with pytest.raises(InvalidResponseError, match=r"check api\.base_url") as raised:
        _ = answer.data
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
def test_text_that_is_not_valid_unicode_is_replaced(body: bytes, text: str) -> None:
    answer = ApiResponse(200, b'{"a": ' + body + b"}", 0.0)
    assert answer.data == {"a": text}
    assert answer.repaired


def test_valid_text_is_not_repaired() -> None:
    assert not ApiResponse(200, b'{"a": "\\ud83d\\ude00 \\ufffd"}', 0.0).repaired
