"""Error messages of the configuration: the key, what is wrong with its value, and the remedy."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from coc2mqtt.config.settings import SECRETS, ClanWatchSettings, PlayerWatchSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

# Values that no message contains. A user name may be a password in the wrong place.
_HIDDEN = {*SECRETS.values(), ("mqtt", "username")}
_MAX_SHOWN_CHARS = 60
_SIMILARITY = 0.6
_WATCHES: Mapping[str, type[BaseModel]] = {"clan": ClanWatchSettings, "player": PlayerWatchSettings}
_OTHER = {"clan": "player", "player": "clan"}
_WATCH_KEY_DEPTH = 4  # watch, clans or players, number, key

_EMPTY = "is empty: give it a value or remove it"
_EMPTY_TAG = f"{_EMPTY}; '#' starts a comment in YAML, so put a tag in quotes: \"#2PP\""
_EMPTY_SECTION = "is empty: indent its keys below it, or remove it"
_QUOTES = "put it in quotes"
_SECTION_REMEDY = "write each key and its value on a separate line below it, indented"
_LIST_REMEDY = "start each item with '- ' on a separate line, or write [a, b]"
# By the type of pydantic's error: the rule that the value breaks, and the remedy if it is more than another value.
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
    **dict.fromkeys(("model_type", "dict_type"), ("must be a section of keys and values", _SECTION_REMEDY)),
}
_LENGTHS = {"too_long": "must have at most {max_length} entries", "too_short": "must have at least {min_length} entry"}
_BOUNDS = {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"}


def known_keys() -> list[str]:
    """Return every key of the configuration outside lists, such as ``mqtt.tls.verify``."""
    return list(_keys(Settings, ""))


def describe_unknown_setting(loc: Sequence[str | int]) -> str:
    """Return the message for a key that does not exist, with a similar key if there is one."""
    key = _dotted(loc)
    if (place := _right_place(loc)) is not None:
        return f"{key}: {place}"
    similar = _similar_key(loc)
    hint = "see 'coc2mqtt config schema'" if similar is None else f"did you mean {similar}?"
    return f"unknown setting {key}: remove it or fix the spelling, {hint}"


def describe_error(error: ErrorDetails) -> str:
    """Return the message for an error of pydantic: one sentence that starts with the key and contains no secret."""
    loc, kind, value = error["loc"], error["type"], error["input"]
    key = _dotted(loc)
    if kind in {"extra_forbidden", "invalid_key"}:
        return describe_unknown_setting(loc)
    if kind in _LENGTHS:
        return f"{key}: {_LENGTHS[kind].format_map(error['ctx'])}, got {error['ctx']['actual_length']}"
    if value is None or kind in {"missing", "string_too_short"}:
        return f"{key}: {'is missing' if kind == 'missing' else _describe_empty(loc)}"
    if kind in _BOUNDS:
        return f"{key}: must be {_format_bounds(loc)}, got {_format_value(loc, value)}"
    if kind in _RULES:
        rule, remedy = _RULES[kind]
        if value is False and remedy == _SECTION_REMEDY and "enabled" in _schema_of(loc).get("properties", {}):
            remedy = "write {enabled: false}"
        got = f"{rule.format_map(error.get('ctx', {}))}, got {_format_value(loc, value)}"
        return f"{key}: {got}" if remedy is None or not _helps(remedy, value) else f"{key}: {got}: {remedy}"
    message = error["msg"].removeprefix("Value error, ")
    # Messages about several keys, and those of the API client, already contain the key.
    return message if message.startswith(f"{key}.") or f"{key} " in message else f"{key}: {message}"


def _right_place(loc: Sequence[str | int]) -> str | None:
    """Return the remedy for an option of a clan or player that is in the wrong place."""
    kinds = {kind for kind, model in _WATCHES.items() if loc[-1] in model.model_fields}
    if loc[0] != "watch" or len(kinds) != 1:
        return None
    (kind,) = kinds
    if len(loc) == 2:  # noqa: PLR2004 - watch and the key
        return f"is an option of a {kind}: write it below the tag in watch.{kind}s"
    if loc[1:2] == (f"{_OTHER[kind]}s",) and len(loc) == _WATCH_KEY_DEPTH:
        return f"does not apply to a {_OTHER[kind]}: remove it"
    return None


def _helps(remedy: str, value: object) -> bool:
    return remedy != _QUOTES or not isinstance(value, list | dict)


def _describe_empty(loc: Sequence[str | int]) -> str:
    if "properties" in _schema_of(loc):
        return _EMPTY_SECTION
    return _EMPTY_TAG if loc[0] == "watch" and "reminders" not in loc else _EMPTY


def _format_value(loc: Sequence[str | int], value: object) -> str:
    """Return the value as written by the user, or only its type if it may contain a secret."""
    if isinstance(value, str):
        # Text in place of a section may be a secret.
        if tuple(loc[:2]) in _HIDDEN or "properties" in _schema_of(loc):
            return "text"
        return repr(value if len(value) <= _MAX_SHOWN_CHARS else f"{value[:_MAX_SHOWN_CHARS]}…")
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    if tuple(loc[:2]) in _HIDDEN:
        return "a number" if isinstance(value, int | float) and not isinstance(value, bool) else "another value"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}…"


def _format_bounds(loc: Sequence[str | int]) -> str:
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


def _similar_key(loc: Sequence[str | int]) -> str | None:
    """Return a similar key in the same section, or the same key in another section; None if there is none."""
    name = str(loc[-1])
    siblings = difflib.get_close_matches(
        name.lower(), _schema_of(loc[:-1]).get("properties", ()), n=1, cutoff=_SIMILARITY
    )
    if siblings:
        return _dotted([*loc[:-1], siblings[0]])
    elsewhere = [key for key in known_keys() if key.rpartition(".")[2] == name]
    return elsewhere[0] if len(elsewhere) == 1 else None


# Building it takes longer than reading a configuration file.
@cache
def _settings_schema() -> dict[str, Any]:
    return Settings.model_json_schema()


def _schema_of(loc: Sequence[str | int]) -> dict[str, Any]:
    """Return the JSON schema of a key, an empty one if there is none."""
    root = _settings_schema()

    def resolve(schema: dict[str, Any]) -> dict[str, Any]:
        for option in (schema, *schema.get("anyOf", ())):
            if "$ref" in option:
                return resolve(root["$defs"][option["$ref"].rpartition("/")[2]])
        options: list[dict[str, Any]] = schema.get("anyOf", [schema])
        return {**options[0], **schema}

    schema = root
    for part in loc:
        inner = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
        schema = resolve(inner)
    return schema
