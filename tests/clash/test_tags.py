from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.clash import InvalidTagError, normalize_tag, tag_to_path, tag_to_topic

ALPHABET = "0289PYLQGRJCUV"
TAGS = st.text(ALPHABET, min_size=3, max_size=15).map(lambda letters: f"#{letters}")


@pytest.mark.parametrize(
    ("raw", "tag"),
    [
        ("#2PP", "#2PP"),
        ("2PP", "#2PP"),
        ("%232PP", "#2PP"),
        ("#2pp", "#2PP"),
        ("  #2PP\n", "#2PP"),
        ("#2POP", "#2P0P"),
        ("2pop", "#2P0P"),
        ("#G8YP9GL08", "#G8YP9GL08"),
    ],
)
def test_tag_is_normalized_from_every_common_spelling(raw: str, tag: str) -> None:
    assert normalize_tag(raw) == tag


@pytest.mark.parametrize(
    "raw", ["", "#", "#0", "#22", "##2PP", "#%232PP", "#2P P", "#ABC", "#2PP/x", "#2PP+", "2" * 16, "#2P\u0662"]
)
def test_invalid_tag_is_rejected_with_an_example(raw: str) -> None:
    with pytest.raises(InvalidTagError, match="such as '#2PP'"):
        normalize_tag(raw)


def test_long_invalid_tag_is_truncated_in_the_message() -> None:
    with pytest.raises(InvalidTagError) as raised:
        normalize_tag("x" * 1000)
    assert len(str(raised.value)) < 200


@given(TAGS)
def test_tag_survives_conversion_to_topics_and_paths(tag: str) -> None:
    assert normalize_tag(tag) == tag
    assert normalize_tag(tag_to_topic(tag)) == tag
    assert normalize_tag(tag_to_path(tag)) == tag
    assert normalize_tag(f" {tag.lower()} ") == tag


@given(TAGS)
def test_topics_and_paths_contain_no_special_characters(tag: str) -> None:
    assert not set(tag_to_topic(tag)) & set("#+/")
    assert not set(tag_to_path(tag)) & set("#?/")


@given(st.text())
def test_any_text_is_either_normalized_or_rejected(text: str) -> None:
    try:
        tag = normalize_tag(text)
    except InvalidTagError:
        return
    assert normalize_tag(tag) == tag
