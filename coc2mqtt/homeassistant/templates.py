"""The Jinja templates that read our retained JSON objects inside Home Assistant.

Each of them renders ``None``, which is *unknown* there, for a key that is missing and for the empty payload by which
retained state is removed: ``value_json`` is undefined then, and reading it would be logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def read(key: str) -> str:
    """Return the template that gives the value of a key."""
    return f"{{{{ {_value(key)} }}}}"


def translate(key: str, words: Mapping[str, str]) -> str:
    """Return the template that gives what a value is called in Home Assistant, unknown for any other value.

    Keys and values must be plain words: they stand in the template in quotes.
    """
    return f"{{{{ {dict(words)!r}.get({_value(key)}) }}}}"


def _value(key: str) -> str:
    return f"(value_json | default({{}})).get({key!r})"
