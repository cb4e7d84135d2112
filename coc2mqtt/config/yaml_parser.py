"""A safe YAML parser that rejects duplicate keys and is fast enough for ten thousand watches."""

from __future__ import annotations

import contextlib
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor

# A text of this length takes PyYAML's own parser about 50 ms. libyaml's is five times as fast.
_LARGE_TEXT = 50_000


class DuplicateKeyError(yaml.MarkedYAMLError):
    """A mapping contains the same key twice."""


class _UniqueKeyConstructor(SafeConstructor):
    """Raises DuplicateKeyError, where PyYAML silently keeps the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise DuplicateKeyError(problem=f"duplicate key '{key.value}'", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Loader(_UniqueKeyConstructor, yaml.SafeLoader):
    """PyYAML's own parser, which has the clearer error messages."""


def parse_yaml(text: str) -> Any:
    """Parse a YAML text into plain values.

    Raises yaml.YAMLError (DuplicateKeyError is one), RecursionError if the text is nested too deeply, and whatever
    PyYAML raises for a value that is invalid for its type (ValueError, LookupError or AttributeError).
    """
    if len(text) >= _LARGE_TEXT and yaml.__with_libyaml__:
        # After an error, PyYAML's own parser reads the text again for its message.
        with contextlib.suppress(yaml.YAMLError, ValueError, LookupError, AttributeError):
            return _load(text, _fast_loader())
    return _load(text, _Loader)


def _load(text: str, loader: type) -> Any:
    return yaml.load(text, loader)  # noqa: S506 - it has a SafeConstructor, which builds plain values only


def _fast_loader() -> type:
    class FastLoader(Composer, _UniqueKeyConstructor, yaml.CSafeLoader):
        """libyaml's parser with PyYAML's composer: libyaml's overflows the C stack if a text is nested deeply."""

        def __init__(self, stream: str) -> None:
            yaml.CSafeLoader.__init__(self, stream)
            Composer.__init__(self)

    return FastLoader
