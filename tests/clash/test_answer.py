from __future__ import annotations

import pytest

from coc2mqtt.clash import Answer, BadAnswerError


def test_the_data_of_an_answer_is_its_json_object() -> None:
    assert Answer(200, '{"name": "Der Ärger ✨"}'.encode(), 0.0).data == {"name": "Der Ärger ✨"}


def test_an_answer_is_decoded_once_however_often_it_is_looked_into() -> None:
    answer = Answer(200, b'{"a": [1]}', 0.0)
    assert answer.data is answer.data


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": }', b'{"a": NaN}', b'{"a": "\xff"}', b"[1]", b'"a"', b"null"])
def test_a_body_that_is_no_object_shows_when_it_is_looked_into(body: bytes) -> None:
    answer = Answer(200, body, 60.0)
    with pytest.raises(BadAnswerError, match=r"check api\.base_url") as raised:
        _ = answer.data
    assert (raised.value.status, raised.value.max_age) == (200, 0.0)
