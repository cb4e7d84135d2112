from __future__ import annotations

import pytest

from coc2mqtt.mqtt.client.messages import check_topic, topic_matches


@pytest.mark.parametrize("topic", ["coc", "games/coc", "a b", "clés/部落", "x" * 200, "coc/$SYS"])
def test_valid_topic_is_accepted(topic: str) -> None:
    check_topic(topic)


@pytest.mark.parametrize(
    ("topic", "error"),
    [
        ("", "is empty"),
        ("x" * 201, "at most 200 characters, got 201"),
        ("coc/#", "must not contain"),
        ("coc/+/x", "must not contain"),
        ("coc\0", "must not contain"),
        ("coc\n", "must not contain"),
        ("\ud800", "must not contain"),
        ("$SYS/x", "must not start with"),
        ("$share/group/coc", "must not start with"),
        ("/coc", "empty level"),
        ("coc/", "empty level"),
        ("coc//x", "empty level"),
    ],
)
def test_invalid_topic_is_rejected_with_reason(topic: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        check_topic(topic)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("coc/clan/+/state/clan", "coc/clan/2PP/state/clan", True),
        ("coc/clan/+/state/clan", "coc/clan/2PP/state/war", False),
        ("coc/clan/+", "coc/clan/2PP/joined", False),
        ("coc/+/+", "coc/clan", False),
        ("coc/clan", "coc/clan", True),
    ],
)
def test_topic_matches_filter_level_by_level(topic_filter: str, topic: str, expected: bool) -> None:
    assert topic_matches(topic_filter, topic) is expected
