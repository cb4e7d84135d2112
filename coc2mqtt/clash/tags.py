"""Tags: how Clash of Clans names a clan, a player or a war.

A tag is ``#`` and three or more letters of ``0289PYLQGRJCUV``. The game shows the letter ``O`` never,
so an ``O`` that somebody typed is a zero. ``#0`` is the API's placeholder for a war not drawn yet and no tag.
"""

from __future__ import annotations

import re

_ALPHABET = "0289PYLQGRJCUV"
_TAG = re.compile(f"[{_ALPHABET}]{{3,15}}")


class InvalidTagError(ValueError):
    """The text is no tag of Clash of Clans."""


def normalize_tag(raw: str) -> str:
    """Return the one spelling of a tag, such as ``#2PP``.

    Surrounding white space, lower case, ``O`` for ``0``, and ``#``, ``%23`` or nothing in front are accepted.
    Raises InvalidTagError, whose text says what a tag looks like.
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
    """Return a normalised tag as one level of a topic: without ``#``, which is a wildcard there."""
    return tag.removeprefix("#")


def tag_to_path(tag: str) -> str:
    """Return a normalised tag as one segment of a URL's path: ``#`` is ``%23`` there."""
    return "%23" + tag.removeprefix("#")
