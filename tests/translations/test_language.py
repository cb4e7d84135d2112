from __future__ import annotations

import gettext

import pytest

from coc2mqtt.translations import CODES, ENGLISH, Language, language_of

GERMAN = language_of("de")


@pytest.mark.parametrize(
    ("value", "english", "german"),
    [
        (7, "7", "7"),
        (11775, "11,775", "11.775"),
        (-1234567, "-1,234,567", "-1.234.567"),
        (0.5, "0.5", "0,5"),
        (87.0, "87", "87"),
        (1234.567, "1,234.57", "1.234,57"),
        (100.0, "100", "100"),
        ("many", "many", "many"),
        (None, "None", "None"),
    ],
)
def test_number_has_the_separators_of_the_language(value: object, english: str, german: str) -> None:
    assert (ENGLISH.number(value), GERMAN.number(value)) == (english, german)


@pytest.mark.parametrize(
    ("value", "english", "german"),
    [(45, "45%", "45 %"), (45.0, "45%", "45 %"), (60.123, "60.12%", "60,12 %"), (0, "0%", "0 %")],
)
def test_percentage_has_no_needless_decimals(value: float, english: str, german: str) -> None:
    assert (ENGLISH.percent(value), GERMAN.percent(value)) == (english, german)


@pytest.mark.parametrize(
    ("texts", "english", "german"),
    [
        ([], "", ""),
        (["A"], "A", "A"),
        (["A", "B"], "A and B", "A und B"),
        (["A", "B", "C"], "A, B and C", "A, B und C"),
    ],
)
def test_list_is_joined_with_a_conjunction(texts: list[str], english: str, german: str) -> None:
    assert (ENGLISH.join(texts), GERMAN.join(texts)) == (english, german)
    assert ENGLISH.join([]) == GERMAN.join([]) == ""


@pytest.mark.parametrize(
    ("number", "english", "german"),
    [
        (0, "0 stars", "0 Sterne"),
        (1, "1 star", "1 Stern"),
        (1000, "1,000 stars", "1.000 Sterne"),
        (1.5, "1.5 stars", "1,5 Sterne"),
    ],
)
def test_plural_depends_on_the_number(number: float, english: str, german: str) -> None:
    for language, expected in ((ENGLISH, english), (GERMAN, german)):
        assert language.plural("{n} star", "{n} stars", number) == expected


def test_values_are_inserted_but_never_interpreted() -> None:
    assert GERMAN.text("{player} joined {clan}", player="{clan}", clan="100 %") == "{clan} ist 100 % beigetreten"
    assert GERMAN.text("a { without values") == "a { without values"


def test_message_without_translation_stays_english() -> None:
    assert GERMAN.text("{n} of a kind", n=3) == "3 of a kind"


def test_every_language_is_loaded_once() -> None:
    for code in CODES:
        assert language_of(code).code == code
        assert language_of(code) is language_of(code)


def test_unknown_language_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown language 'xx': use one of en, de"):
        language_of("xx")


def test_language_with_other_plurals_uses_its_own_rule() -> None:
    class ZeroIsSingular(gettext.NullTranslations):
        def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
            return msgid1 if n <= 1 else msgid2

    assert Language("de", ZeroIsSingular()).plural("{n} star", "{n} stars", 0) == "0 star"
