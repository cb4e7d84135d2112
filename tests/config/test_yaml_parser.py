"""Reading YAML: a large text is read like a small one, only quicker."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from coc2mqtt.config.yaml_parser import DuplicateKeyError, parse_yaml

# More than enough to be read by the quick parser.
LARGE = "watch:\n  clans:\n" + "    - {tag: '#2PP', interval: 60}\n" * 1600


def test_a_large_text_holds_what_a_small_one_would() -> None:
    held: dict[str, Any] = parse_yaml(LARGE)
    assert held == {"watch": {"clans": [{"tag": "#2PP", "interval": 60}] * 1600}}
    assert parse_yaml(LARGE[:200].rpartition("\n")[0]) == {"watch": {"clans": held["watch"]["clans"][:5]}}


@pytest.mark.parametrize("text", ["instance: a\ninstance: b\n", LARGE + "instance: a\ninstance: b\n"])
def test_a_key_that_stands_twice_is_an_error_that_says_where(text: str) -> None:
    with pytest.raises(DuplicateKeyError) as caught:
        parse_yaml(text)
    assert caught.value.problem == "has the key 'instance' a second time"
    assert caught.value.problem_mark is not None
    assert caught.value.problem_mark.line + 1 == text.count("\n")


@pytest.mark.parametrize("end", ["\tx: 1\n", "a: [\n", "a: *b\n", "a: 'b\n", "---\nb: 1\n", "a: 1\n  b: 2\n"])
def test_what_is_wrong_in_a_large_text_is_said_as_in_a_small_one(end: str) -> None:
    said = []
    for text in (end if end.startswith("a") else f"a: 1\n{end}", LARGE + end):
        with pytest.raises(yaml.MarkedYAMLError) as caught:
            parse_yaml(text)
        said.append((type(caught.value), caught.value.problem))
    assert said[0] == said[1]


# Brackets that close something only where nobody reads them: in remarks, in front of the others and among them.
_REMARKS = ["# ]\n" * 60_000 + "[\n" * 60_000, "[\n# ]\n" * 60_000]


@pytest.mark.parametrize("text", ["[" * 60_000, "[\n" * 60_000, "- " * 60_000, "{a: " * 30_000, *_REMARKS])
def test_a_text_in_which_too_much_is_nested_does_not_take_the_program_with_it(text: str) -> None:
    with pytest.raises((RecursionError, yaml.YAMLError)):
        parse_yaml(text)
