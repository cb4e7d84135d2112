"""Sentences about commands for display, which can be shown in every language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.translations import ENGLISH, message
from coc2mqtt.util.text import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coc2mqtt.mqtt.payloads.models import WatchPayload
    from coc2mqtt.translations import Language

_MAX_NAME_LENGTH = 50


class Sentence:
    """A message, such as ``Now watching {watch}``, and its values, which may be sentences; ``str()`` is in English."""

    def __init__(self, text: str, /, **values: object) -> None:
        self._text = text
        self._values = values

    def translate(self, language: Language) -> str:
        """Return the sentence in a language."""
        values = {
            name: value.translate(language) if isinstance(value, Sentence) else value
            for name, value in self._values.items()
        }
        return language.text(self._text, **values)

    def __str__(self) -> str:
        return self.translate(ENGLISH)


def of_text(text: str) -> Sentence:
    """Return a sentence with a fixed text, the same in every language."""
    return Sentence("{text}", text=text)


def now_watching(watch: WatchPayload) -> Sentence:
    """Return the result of adding a watch."""
    return Sentence(message("Now watching {watch}"), watch=_label(watch))


def already_watched(watch: WatchPayload) -> Sentence:
    """Return the result of a ``watch`` request that changes nothing."""
    return Sentence(message("{watch} is already watched"), watch=_label(watch))


def watch_changed(watch: WatchPayload) -> Sentence:
    """Return the result of changing a watch."""
    return Sentence(message("Changed the watch of {watch}"), watch=_label(watch))


def stopped_watching(watches: Sequence[WatchPayload]) -> Sentence:
    """Return the result of removing the watches of a tag, which are one or two."""
    if len(watches) == 1:
        return Sentence(message("Stopped watching {watch}"), watch=_label(watches[0]))
    return Sentence(
        message("Stopped watching {first} and {second}"), first=_label(watches[0]), second=_label(watches[1])
    )


def polling(count: int, named: Sequence[WatchPayload]) -> Sentence:
    """Return the result of polling ``count`` watches; ``named`` contains the first of them, if any."""
    if count == 0:
        return Sentence(message("Nothing to poll"))
    if count == 1:
        return Sentence(message("Polling {watch}"), watch=_label(named[0]))
    return Sentence(message("Polling {count} watches"), count=count)


def log_level_set(level: str) -> Sentence:
    """Return the result of setting the log level."""
    return Sentence(message("The log level is now {level}"), level=level)


def were_reset(count: int, tag: str) -> Sentence:
    """Return the result of resetting ``count`` watches; ``tag`` is that of the first."""
    if count == 0:
        return Sentence(message("Nothing to reset: no command has changed a watch"))
    if count == 1:
        return Sentence(message("Reset the watch of {tag}"), tag=tag)
    return Sentence(message("Reset {count} watches"), count=count)


def not_watched(tag: str, kind: str | None) -> Sentence:
    """Return the error for a tag that is not watched, at all or as a kind."""
    if kind is None:
        return Sentence(message("{tag} is not watched"), tag=tag)
    if kind == "clan":
        return Sentence(message("{tag} is not watched as a clan"), tag=tag)
    return Sentence(message("{tag} is not watched as a player"), tag=tag)


def unknown_tag(tag: str, kind: str) -> Sentence:
    """Return the error for a tag that the API does not know as a clan's or as a player's."""
    if kind == "clan":
        return Sentence(message("No clan has the tag {tag}: check the tag, and that it is not a player's"), tag=tag)
    return Sentence(message("No player has the tag {tag}: check the tag, and that it is not a clan's"), tag=tag)


def not_checked(tag: str, reason: Sentence) -> Sentence:
    """Return the error for a tag that could not be checked."""
    return Sentence(
        message('{tag} was not added, because {reason}: try again later, or add it unchecked with "force": true'),
        tag=tag,
        reason=reason,
    )


def too_many_watches(count: int, maximum: int) -> Sentence:
    """Return the error for a watch beyond the maximum."""
    return Sentence(
        message(
            "{count} clans and players are already watched, and watch.maximum is {maximum}: remove a watch, or raise"
            " the maximum in the configuration"
        ),
        count=count,
        maximum=maximum,
    )


IN_MAINTENANCE = Sentence(message("Clash of Clans is in maintenance"))
TOKEN_REJECTED = Sentence(message("the API rejects the token of the bridge"))
THROTTLED = Sentence(message("the rate limit of the API is exceeded"))
NO_RESPONSE = Sentence(message("the API did not respond in time"))
UNREACHABLE = Sentence(message("the API cannot be reached"))
UNUSABLE_RESPONSE = Sentence(message("the response of the API cannot be used"))
INTERRUPTED = Sentence(
    message(
        "The connection to the broker was lost during the command: check its result, and send it again if necessary"
    )
)
INTERNAL_ERROR = Sentence(message("internal error, see the bridge's log: please report it"))


def _label(watch: WatchPayload) -> str:
    return watch.tag if watch.name is None else f"{shorten(watch.name, _MAX_NAME_LENGTH)} ({watch.tag})"
