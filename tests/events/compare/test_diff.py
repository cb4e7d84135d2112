from __future__ import annotations

import time
from typing import Any

import pytest

from coc2mqtt.events.compare.diff import diff_dicts, diff_member_tags, diff_named_list, diff_paths
from coc2mqtt.events.event import Change, Event, EventType
from coc2mqtt.events.record import EventRecord
from tests.support.bodies import member, unit


def test_diff_dicts_compares_top_level_keys_sorted() -> None:
    old = {"b": 1, "a": {"x": 1}, "gone": 3, "same": [1]}
    new = {"b": 2, "a": {"x": 2}, "come": 4, "same": [1]}
    assert diff_dicts(old, new) == [
        Change("a", {"x": 1}, {"x": 2}),
        Change("b", 1, 2),
        Change("come", None, 4),
        Change("gone", 3, None),
    ]


def test_diff_dicts_applies_included_and_excluded_fields() -> None:
    old, new = {"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 2}
    fields = diff_dicts(old, new, include_fields=frozenset({"a", "b"}), exclude_fields=frozenset({"b"}))
    assert [change.field for change in fields] == ["a"]


def test_diff_paths_compares_down_to_the_leaves() -> None:
    old = {"a": {"b": {"c": 1, "d": 2}}, "list": [1], "grown": None}
    new = {"a": {"b": {"c": 9, "d": 2}}, "list": [2], "grown": {"e": 1}}
    assert diff_paths(old, new) == [
        Change("a.b.c", 1, 9),
        Change("grown", None, {"e": 1}),
        Change("list", [1], [2]),
    ]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ([1, 2, 2], [2, 1, 2], True),
        ([1, 2, 2], [1, 1, 2], False),
        ([{"a": [1, 2]}, {"b": 3}], [{"b": 3}, {"a": [2, 1]}], True),
        ([{"a": [1, 2]}], [{"a": [1, 3]}], False),
        ([[], {}], [{}, []], True),
        ([[]], [{}], False),
        ([None, "1"], [1, None], False),
    ],
)
def test_diff_paths_compares_lists_as_multisets(old: Any, new: Any, same: bool) -> None:
    assert (diff_paths({"x": {"list": old}}, {"x": {"list": new}}) == []) is same


def test_long_lists_are_compared_quickly() -> None:
    numbers, start = list(range(30_000)), time.thread_time()
    assert diff_paths({"x": numbers}, {"x": numbers[::-1]}) == []
    (change,) = diff_paths({"x": numbers}, {"x": [*numbers[1:], -1]})
    event = Event(EventType.CLAN_UPDATED, "#2PP", changes=(change,))
    assert EventRecord.of(event).changes == ({"field": "x", "old_value": [0], "new_value": [-1]},)
    # Each entry with each other one took a minute.
    assert time.thread_time() - start < 3


def test_diff_member_tags_returns_joined_left_and_updated_members() -> None:
    old = [member("#2PA"), member("#2PB"), member("#2PC")]
    new = [member("#2PD"), member("#2PC", role="admin"), member("#2PA")]
    joined, left, updated = diff_member_tags(old, new)
    assert joined == [member("#2PD")]
    assert left == [member("#2PB")]
    assert updated == [(member("#2PC"), member("#2PC", role="admin"))]


def test_diff_named_list_returns_different_items() -> None:
    old = [unit("A", 1), unit("B", 2), unit("C", 3)]
    new = [unit("A", 1), unit("B", 1), unit("D", 4)]
    assert diff_named_list(old, new) == [("B", 2, 1), ("D", None, 4)]
    assert diff_named_list([{"tag": "x", "n": 1}], [{"tag": "x", "n": 2}], key="tag", compare_field="n") == [
        ("x", 1, 2)
    ]
