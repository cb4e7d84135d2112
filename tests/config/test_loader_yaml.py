"""The YAML parser of the loader: the fast parser for large texts gives the same results and errors as the slow one."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from coc2mqtt.config.loader import DuplicateKeyError, parse_yaml

# Long enough for the fast parser.
LARGE = "watch:\n  clans:\n" + "    - {tag: '#2PP', interval: 60}\n" * 1600


def test_large_text_is_parsed_like_a_small_one() -> None:
    large: dict[str, Any] = parse_yaml(LARGE)
    assert large == {"watch": {"clans": [{"tag": "#2PP", "interval": 60}] * 1600}}
    assert parse_yaml(LARGE[:200].rpartition("\n")[0]) == {"watch": {"clans": large["watch"]["clans"][:5]}}


@pytest.mark.parametrize(
    "text", ["a: &x [1, 2.5, null]\nb: *x\n", "a: &x {b: yes}\nc: {<<: *x, d: 2026-11-30}\n", "a: |\n  b\n  c\n"]
)
def test_large_text_supports_all_of_yaml(text: str) -> None:
    assert parse_yaml(text + LARGE) == parse_yaml(text) | parse_yaml(LARGE)


@pytest.mark.parametrize("text", ["instance: a\ninstance: b\n", LARGE + "instance: a\ninstance: b\n"])
def test_duplicate_key_raises_with_its_line(text: str) -> None:
    with pytest.raises(DuplicateKeyError) as raised:
        parse_yaml(text)
    assert raised.value.problem == "duplicate key 'instance'"
    assert raised.value.problem_mark is not None
    assert raised.value.problem_mark.line == text.count("\n") - 1


@pytest.mark.parametrize("end", ["\tx: 1\n", "a: [\n", "a: *b\n", "a: 'b\n", "---\nb: 1\n", "a: 1\n  b: 2\n"])
def test_large_text_has_the_errors_of_a_small_one(end: str) -> None:
    errors = []
    for text in (end if end.startswith("a") else f"a: 1\n{end}", LARGE + end):
        with pytest.raises(yaml.MarkedYAMLError) as raised:
            parse_yaml(text)
        errors.append((type(raised.value), raised.value.problem))
    assert errors[0] == errors[1]


# Closing brackets in comments before and between the opening ones.
_COMMENTS = ["# ]\n" * 60_000 + "[\n" * 60_000, "[\n# ]\n" * 60_000]


@pytest.mark.parametrize("text", ["[" * 60_000, "[\n" * 60_000, "- " * 60_000, "{a: " * 30_000, *_COMMENTS])
def test_deeply_nested_text_raises_instead_of_crashing(text: str) -> None:
    with pytest.raises((RecursionError, yaml.YAMLError)):
        parse_yaml(text)
