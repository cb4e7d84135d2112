"""Checking topics, and matching them against topic filters."""

from __future__ import annotations

_MAX_TOPIC_CHARS = 200


def check_topic(topic: str) -> None:
    """Raise ValueError unless the text is valid as a topic or the start of one; the message is for users."""
    if not topic:
        raise ValueError("is empty: use a topic such as 'coc'")
    if len(topic) > _MAX_TOPIC_CHARS:
        raise ValueError(f"must have at most {_MAX_TOPIC_CHARS} characters, got {len(topic)}")
    if any(character in topic for character in "+#\0") or not topic.isprintable():
        raise ValueError(f"must not contain '+', '#' or control characters, got {topic!r}")
    if topic.startswith("$") or "" in topic.split("/"):
        raise ValueError(
            f"must not start with '$' or contain an empty level, got {topic!r}: use a topic such as 'coc' or"
            " 'games/coc'"
        )


def topic_matches(topic_filter: str, topic: str) -> bool:
    """Return whether a topic matches a filter whose only wildcards are ``+``."""
    filter_levels, levels = topic_filter.split("/"), topic.split("/")
    return len(filter_levels) == len(levels) and all(
        expected in ("+", level) for expected, level in zip(filter_levels, levels, strict=True)
    )
