"""Shorten texts from other programs, which may have any length."""

from __future__ import annotations

import orjson

# Home Assistant shows at most this many characters of a state.
MAX_STATE_LENGTH = 255
# The JSON escape of a control character, \u0000, is the longest encoding of a character.
_MAX_CHARACTER_BYTES = 6


def shorten(text: str, max_length: int = MAX_STATE_LENGTH) -> str:
    """Return the text, cut to ``max_length`` characters with an ellipsis at the end."""
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"


def shorten_json(text: str, max_bytes: int) -> str:
    """Return the text, cut with an ellipsis so that it takes at most ``max_bytes`` bytes as a JSON string."""
    if 2 + _MAX_CHARACTER_BYTES * len(text) <= max_bytes or len(orjson.dumps(text)) <= max_bytes:
        return text
    kept = text[:max_bytes]
    while len(orjson.dumps(f"{kept}…")) > max_bytes:
        kept = kept[:-1]
    return f"{kept}…"


def printable(text: str, max_length: int) -> str:
    """Return the first ``max_length`` characters for a log line, with ``?`` in place of control characters."""
    return "".join(character if character.isprintable() else "?" for character in text[:max_length])
