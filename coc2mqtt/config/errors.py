"""Sentences about the configuration: what is wrong with which key, and what to do."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from coc2mqtt.config.settings import SECRETS, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

# Values that are never repeated; a user name may be a password in the wrong place.
_HIDDEN = {*SECRETS.values(), ("mqtt", "username")}
_LONGEST_SHOWN = 60
_SIMILAR = 0.6

_EMPTY = "is empty: give it a value or remove it"
_EMPTY_TAG = f"{_EMPTY}; '#' begins a comment in YAML, so put a tag in quotes: \"#2PP\""
_EMPTY_SECTION = "is empty: indent its keys below it, or remove it"
_QUOTES = "put it in quotes"
_SECTION_REMEDY = "put each of its keys with its value on a line of its own below it, indented"
_LIST_REMEDY = "begin each item with '- ' on a line of its own, or write [a, b]"
# What a value must be, and what to do about one that is not, where that is more than to change it.
_RULES: Mapping[str, tuple[str, str | None]] = {
    "string_pattern_mismatch": ("must be 1 to 32 letters, digits, '-' or '_'", None),
    "literal_error": ("must be {expected}", None),
    **dict.fromkeys(("string_type", "path_type"), ("must be text", _QUOTES)),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float", "int_parsing_size"), ("must be a whole number", None)
    ),
    **dict.fromkeys(("float_type", "float_parsing"), ("must be a number", None)),
    **dict.fromkeys(("bool_type", "bool_parsing"), ("must be true or false", None)),
    **dict.fromkeys(("list_type", "frozen_set_type"), ("must be a list", _LIST_REMEDY)),
    **dict.fromkeys(("model_type", "dict_type"), ("must consist of keys with values", _SECTION_REMEDY)),
}
_BOUNDS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"}


def known_keys() -> list[str]:
    """Return every key of the configuration that is not within a list, such as ``mqtt.tls.verify``."""
    return list(_keys(Settings, ""))


def unknown_setting(loc: Sequence[str | int]) -> str:
    """Return the sentence about a key that does not exist, with the one that was probably meant."""
    key = _dotted(loc)
    meant = _suggestion(loc)
    hint = "see 'coc2mqtt config schema'" if meant is None else f"did you mean {meant}?"
    return f"unknown setting {key}: remove it or fix the spelling, {hint}"


def sentence(error: ErrorDetails) -> str:
    """Return in one sentence what pydantic found, beginning with the key; no secret is repeated."""
    loc, kind, value = error["loc"], error["type"], error["input"]
    key = _dotted(loc)
    if kind in {"extra_forbidden", "invalid_key"}:
        return unknown_setting(loc)
    if value is None or kind in {"missing", "string_too_short"}:
        return f"{key}: {'is missing' if kind == 'missing' else _empty(loc)}"
    if kind in _BOUNDS:
        return f"{key}: must be {_bounds(loc)}, got {_shown(loc, value)}"
    if kind in _RULES:
        rule, remedy = _RULES[kind]
        got = f"{rule.format_map(error.get('ctx', {}))}, got {_shown(loc, value)}"
        return f"{key}: {got}" if remedy is None or _is_no_help(remedy, value) else f"{key}: {got}: {remedy}"
    message = error["msg"].removeprefix("Value error, ")
    # Some name the key themselves: those about several keys, and those of the API's client.
    return message if message.startswith(f"{key}.") or f"{key} " in message else f"{key}: {message}"


def _is_no_help(remedy: str, value: object) -> bool:
    return remedy == _QUOTES and isinstance(value, list | dict)


def _empty(loc: Sequence[str | int]) -> str:
    if loc[0] == "watch" and len(loc) > 1:
        return _EMPTY_TAG
    return _EMPTY_SECTION if "properties" in _schema_of(loc) else _EMPTY


def _shown(loc: Sequence[str | int], value: object) -> str:
    """Return the value as its user wrote it, or only what it is where that may hold a secret."""
    if isinstance(value, str):
        # Text in place of a section may be anything.
        if tuple(loc[:2]) in _HIDDEN or "properties" in _schema_of(loc):
            return "text"
        return repr(value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…")
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list):
        return "a list"
    if tuple(loc[:2]) in _HIDDEN:
        return "a number" if isinstance(value, int | float) and not isinstance(value, bool) else "another value"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _bounds(loc: Sequence[str | int]) -> str:
    schema = _schema_of(loc)
    low, above, high = (schema.get(name) for name in ("minimum", "exclusiveMinimum", "maximum"))
    if low is not None and high is not None:
        return f"between {low:.15g} and {high:.15g}"
    parts = [(low, "at least"), (above, "more than"), (high, "at most")]
    return " and ".join(f"{words} {bound:.15g}" for bound, words in parts if bound is not None)


def _dotted(loc: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def _keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _suggestion(loc: Sequence[str | int]) -> str | None:
    """Return the key that was probably meant: a similar one beside it, or the same one in another section."""
    name = str(loc[-1])
    beside = difflib.get_close_matches(name.lower(), _schema_of(loc[:-1]).get("properties", ()), n=1, cutoff=_SIMILAR)
    if beside:
        return _dotted([*loc[:-1], beside[0]])
    elsewhere = [key for key in known_keys() if key.rpartition(".")[2] == name]
    return elsewhere[0] if len(elsewhere) == 1 else None


def _schema_of(loc: Sequence[str | int]) -> dict[str, Any]:
    """Return the JSON schema of a key, an empty one where there is none."""
    root = Settings.model_json_schema()

    def resolved(schema: dict[str, Any]) -> dict[str, Any]:
        for option in (schema, *schema.get("anyOf", ())):
            if "$ref" in option:
                return resolved(root["$defs"][option["$ref"].rpartition("/")[2]])
        options: list[dict[str, Any]] = schema.get("anyOf", [schema])
        return {**options[0], **schema}

    schema = root
    for part in loc:
        inner = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
        schema = resolved(inner)
    return schema
