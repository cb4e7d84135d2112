"""Reading YAML, also a file of ten thousand watches."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import yaml

# From so many characters on (a second for each million, else) the quick parser is worth the trouble.
_LARGE = 50_000
# The quick parser runs out of its stack, and takes the program with it, where too much is nested.
_DEEPEST = 100
_LONGEST_LINE = 2000
_BRACKET = re.compile(r"[\[\]{}]")
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)


class DuplicateKeyError(yaml.MarkedYAMLError):
    """A key stands twice in the same mapping."""


class _Unique(yaml.constructor.SafeConstructor):
    """Does not let the last of two equal keys win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise DuplicateKeyError(
                        problem=f"has the key '{key.value}' a second time", problem_mark=key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Loader(_Unique, yaml.SafeLoader):
    pass


def parse_yaml(text: str) -> Any:
    """Return what a YAML text holds, plain values alone.

    Raises yaml.YAMLError (of its kinds TwiceError), RecursionError where too much is nested, and whatever else PyYAML
    raises of a value that is none of its type.
    """
    if len(text) >= _LARGE and yaml.__with_libyaml__ and _is_shallow(text):
        # The errors of the slow parser, which then reads the text, are clearer.
        with contextlib.suppress(yaml.YAMLError, ValueError, LookupError, AttributeError):
            return _load(text, _quick_loader())
    return _load(text, _Loader)


def _load(text: str, loader: type) -> Any:
    return yaml.load(text, loader)  # noqa: S506 - a SafeLoader as well: it builds plain values alone


def _quick_loader() -> type:
    class Quick(_Unique, yaml.CSafeLoader):
        pass

    return Quick


def _is_shallow(text: str) -> bool:
    """Tell whether the quick parser can bear it; in doubt it is not."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(_COMMENT.sub("", text)):
        # What closes nothing stands in a text or a remark, and makes nothing shallower that comes after it.
        depth = depth + 1 if bracket in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest <= _DEEPEST and max(map(len, text.splitlines())) <= _LONGEST_LINE
