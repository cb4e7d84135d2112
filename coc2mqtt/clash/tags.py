"""Tags, the identifiers of clans and players.

A tag is ``#`` and three or more of the characters ``0289PYLQGRJCUV``. The game never shows the letter ``O``, so a typed
``O`` means zero. ``#0`` is not a tag: the API uses it for the opponent of a war that has none yet.
"""

from __future__ import annotations

import re

_ALPHABET = "0289PYLQGRJCUV"
_TAG = re.compile(f"[{_ALPHABET}]{{3,15}}")


class InvalidTagError(ValueError):
    """The text is not a Clash of Clans tag."""


def normalize_tag(raw: str) -> str:
    """Return the canonical spelling of a tag, such as ``#2PP``.

    Accepts surrounding white space, lower case, ``O`` for ``0``, and ``#``, ``%23`` or nothing in front. Raises
    InvalidTagError, whose message shows what a tag looks like.
    """
    text = raw.strip().upper()
    bare = text.removeprefix("%23") if text.startswith("%23") else text.removeprefix("#")
    bare = bare.replace("O", "0")
    if not _TAG.fullmatch(bare):
        shown = raw if len(raw) <= 32 else raw[:32] + "…"  # noqa: PLR2004 - enough to recognise it
        raise InvalidTagError(
            f"{shown!r} is not a tag: a tag is '#' and three or more of the characters {_ALPHABET}, such as '#2PP'"
        )
    return f"#{bare}"


def tag_to_topic(tag: str) -> str:
    """Return a normalised tag as one level of an MQTT topic: without ``#``, which is a wildcard there."""
    return tag.removeprefix("#")


def tag_to_path(tag: str) -> str:
    """Return a normalised tag as one segment of a URL path: with ``%23`` for ``#``."""
    return "%23" + tag.removeprefix("#")
