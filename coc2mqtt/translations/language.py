"""A language: translated texts, plurals, numbers and lists."""

from __future__ import annotations

import gettext
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class _Format(NamedTuple):
    """The name of a language, and its separators of thousands and of decimals."""

    name: str
    thousands: str
    decimals: str


# By the code of the language. A new language needs a line here and a .po file.
_FORMATS = {
    "en": _Format("English", ",", "."),
    "de": _Format("Deutsch", ".", ","),
}
CODES = tuple(_FORMATS)

_MAX_DECIMALS = 2
_SEVERAL = 2


def message(text: str) -> str:
    """Mark a text as a message that is translated later; returns it unchanged."""
    return text


_PERCENTAGE = message("{number}%")
_LIST = message("{texts} and {last}")


class Language:
    """Translates the English texts of the code into one language.

    The messages are English texts with placeholders, such as ``{clan} won``. Pass literals: ``scripts/translations.py``
    collects the messages of the calls on variables named ``language``, and of ``message``. A message without a
    translation stays English.
    """

    def __init__(self, code: str, catalogue: gettext.NullTranslations) -> None:
        self.code = code
        self._gettext = catalogue.gettext
        self._ngettext = catalogue.ngettext
        self.name, thousands, decimals = _FORMATS[code]
        self._separators = str.maketrans({",": thousands, ".": decimals})

    def text(self, message: str, /, **values: Any) -> str:
        """Return the translated message, with the placeholders replaced by ``values`` if there are any."""
        translated = self._gettext(message)
        return translated.format_map(values) if values else translated

    def plural(self, singular: str, plural: str, number: object, /, **values: Any) -> str:
        """Return the translated message for a number, which ``{n}`` shows; anything but an integer is plural."""
        count = number if isinstance(number, int) else _SEVERAL
        return self._ngettext(singular, plural, count).format_map({**values, "n": self.number(number)})

    def number(self, value: object) -> str:
        """Return a number with the language's separators and at most two decimals, any other value as text."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return str(value)
        if isinstance(value, int):
            return f"{value:,}".translate(self._separators)
        return f"{value:,.{_MAX_DECIMALS}f}".rstrip("0").rstrip(".").translate(self._separators)

    def percent(self, value: object) -> str:
        """Return a percentage, such as ``45%``."""
        return self.text(_PERCENTAGE, number=self.number(value))

    def join(self, texts: Iterable[str]) -> str:
        """Return the texts as ``A, B and C``."""
        *first, last = (*texts,) or ("",)
        return self.text(_LIST, texts=", ".join(first), last=last) if first else last


ENGLISH = Language("en", gettext.NullTranslations())


@cache
def language_of(code: str) -> Language:
    """Return a language by its code, one of ``CODES``; reads its file at the first call."""
    if code == ENGLISH.code:
        return ENGLISH
    if code not in CODES:
        raise ValueError(f"unknown language {code!r}: use one of {', '.join(CODES)}")
    with resources.files(__package__).joinpath(f"{code}.mo").open("rb") as file:
        return Language(code, gettext.GNUTranslations(file))
