"""A language that records the messages, for the translations and the documentation."""

from __future__ import annotations

import gettext
from typing import Any

from coc2mqtt.translations.language import ENGLISH, Language


class Recorder(Language):
    """English; ``messages`` are all messages that it was asked for."""

    def __init__(self) -> None:
        super().__init__(ENGLISH.code, gettext.NullTranslations())
        self.messages = set[str]()

    def text(self, message: str, /, **values: Any) -> str:
        """Record the message and return it."""
        self.messages.add(message)
        return super().text(message, **values)

    def plural(self, singular: str, plural: str, number: object, /, **values: Any) -> str:
        """Record the plural, which stands for both forms, and return the message for a number."""
        self.messages.add(plural)
        return super().plural(singular, plural, number, **values)
