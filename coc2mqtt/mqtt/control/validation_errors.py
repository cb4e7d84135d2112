"""Error messages of requests: the key, what is wrong with its value, and the value."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_MAX_ERRORS = 5
_MAX_SHOWN_CHARS = 60
_MAX_KEY_CHARS = 64

# By the type of pydantic's error: the rule that the value breaks. Other errors have a message of their own.
_RULES: Mapping[str, str] = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_long": "must have at most {max_length} characters",
}
_LENGTHS = {"too_long": "must have at most {max_length} entries", "too_short": "must have at least {min_length} entry"}


def describe_errors(error: ValidationError) -> str:
    """Return the first validation errors as one sentence."""
    return "; ".join(_describe(item) for item in error.errors(include_url=False)[:_MAX_ERRORS])


def _describe(error: ErrorDetails) -> str:
    kind, value = error["type"], error["input"]
    context = {key: f"{bound:g}" if isinstance(bound, float) else bound for key, bound in error.get("ctx", {}).items()}
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:_MAX_KEY_CHARS]}" for part in error["loc"])[1:]
    if kind == "extra_forbidden":
        return f"unknown key {key!r}: remove it or fix the spelling"
    if kind == "missing":
        return f"{key}: is missing"
    if kind in _LENGTHS:
        return f"{key}: {_LENGTHS[kind].format_map(context)}, got {context['actual_length']}"
    if kind in _RULES:
        return f"{key}: {_RULES[kind].format_map(context)}, got {_format(value)}"
    return f"{key}: {error['msg'].removeprefix('Value error, ')}"


def _format(value: object) -> str:
    """Return a value in the notation of JSON, shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}…"
