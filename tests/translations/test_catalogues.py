"""The translations in the repository are complete, and the program that updates them works."""

from __future__ import annotations

import gettext
import io
import re
from string import Formatter

import pytest

from coc2mqtt.translations import CODES, ENGLISH
from scripts.translations import (
    FOLDER,
    PACKAGE,
    Catalogue,
    code_messages,
    compile_mo,
    format_po,
    messages_in,
    parse_po,
    update,
)

UPDATE = "run 'make translations', complete the .po file and commit both files"
TRANSLATED = [code for code in CODES if code != ENGLISH.code]

PO = """\
# A comment.
msgid ""
msgstr ""
"Language: de\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

#: coc2mqtt/a.py
msgid "a \\"quoted\\" text"
msgstr "ein \\"zitierter\\" Text"

# Of a war.
#: coc2mqtt/a.py
msgid "{n} star"
msgid_plural "{n} stars"
msgstr[0] "{n} Stern"
msgstr[1] "{n} Sterne"
"""


def read(code: str) -> Catalogue:
    return parse_po((FOLDER / f"{code}.po").read_text(encoding="utf-8"))


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def load(data: bytes) -> gettext.GNUTranslations:
    return gettext.GNUTranslations(io.BytesIO(data))


@pytest.mark.parametrize("code", TRANSLATED)
def test_catalogue_has_exactly_the_messages_of_the_code(code: str) -> None:
    forms = {first: forms for first, (forms, _) in code_messages(PACKAGE).items()}
    assert {first: entry.message for first, entry in read(code).entries.items()} == forms, UPDATE


@pytest.mark.parametrize("code", TRANSLATED)
def test_catalogue_has_a_translation_of_every_message(code: str) -> None:
    catalogue = read(code)
    for entry in catalogue.entries.values():
        assert all(entry.translations), f"{entry.message[0]!r} is not translated: {UPDATE}"
        assert len(entry.translations) == (1 if len(entry.message) == 1 else catalogue.plural_forms)
        assert not entry.is_fuzzy


@pytest.mark.parametrize("code", TRANSLATED)
def test_translations_have_the_placeholders_of_their_message(code: str) -> None:
    for entry in read(code).entries.values():
        expected = placeholders(entry.message[-1])
        assert all(placeholders(text) == expected for text in (*entry.message, *entry.translations)), entry.message[0]


@pytest.mark.parametrize("code", TRANSLATED)
def test_translations_start_and_end_like_their_message(code: str) -> None:
    for entry in read(code).entries.values():
        for text in entry.translations:
            assert text == text.strip()
            assert text.endswith((".", "…")) == entry.message[0].endswith((".", "…"))


@pytest.mark.parametrize("code", TRANSLATED)
def test_compiled_catalogue_is_up_to_date(code: str) -> None:
    catalogue = read(code)
    assert (FOLDER / f"{code}.po").read_text(encoding="utf-8") == format_po(update(catalogue, code_messages(PACKAGE)))
    assert (FOLDER / f"{code}.mo").read_bytes() == compile_mo(catalogue), UPDATE


def test_every_language_has_one_catalogue() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.po")) == sorted(TRANSLATED)
    assert sorted(path.stem for path in FOLDER.glob("*.mo")) == sorted(TRANSLATED)


def test_german_uses_the_terms_of_the_game() -> None:
    texts = " ".join(text for entry in read("de").entries.values() for text in entry.translations)
    for term in ("Rathaus", "Meisterhütte", "Clankrieg", "Kriegsprotokoll", "Trophäen", "Supertruppe", "Wartungspause"):
        assert term in texts
    assert not re.search(r"\b(War|Town|Clan War|Elder|Leader|Member|Troop|Stars?)\b", texts)


def test_po_file_is_read_and_written_unchanged() -> None:
    assert format_po(parse_po(PO)) == PO


def test_compiled_messages_are_found_by_gettext() -> None:
    translations = load(compile_mo(parse_po(PO)))
    assert translations.gettext('a "quoted" text') == 'ein "zitierter" Text'
    assert [translations.ngettext("{n} star", "{n} stars", n) for n in (1, 2)] == ["{n} Stern", "{n} Sterne"]
    assert translations.gettext("another") == "another"


def test_incomplete_and_fuzzy_entries_are_not_compiled() -> None:
    po = PO.replace('"{n} Sterne"', '""').replace('#: coc2mqtt/a.py\nmsgid "a', '#, fuzzy\nmsgid "a')
    translations = load(compile_mo(parse_po(po)))
    assert translations.ngettext("{n} star", "{n} stars", 2) == "{n} stars"
    assert translations.gettext('a "quoted" text') == 'a "quoted" text'


def test_update_adds_new_messages_and_removes_unused_ones() -> None:
    messages = {"{n} star": (("{n} star", "{n} stars"), "b.py"), "new": (("new",), "b.py")}
    updated = update(parse_po(PO), messages)
    assert list(updated.entries) == ["{n} star", "new"]
    assert updated.entries["{n} star"].translations == ("{n} Stern", "{n} Sterne")
    assert updated.entries["{n} star"].comments == ("# Of a war.", "#: b.py")
    assert updated.entries["new"].translations == ("",)


def test_message_whose_plural_has_changed_must_be_translated_again() -> None:
    updated = update(parse_po(PO), {"{n} star": (("{n} star", "{n} battle stars"), "b.py")})
    assert updated.entries["{n} star"].translations == ("", "")


def test_messages_are_the_literals_of_calls_on_a_language() -> None:
    source = """
        message("a"); language.text("b", x=1); self.language.plural("c", "d", n)
        other.text("no"); language.text(variable); language.number(1)
    """
    lines = "\n".join(line.strip() for line in source.splitlines())
    assert list(messages_in(lines)) == [("a",), ("b",), ("c", "d")]


def test_other_line_in_po_file_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"not a line of a \.po file: 'msgctxt"):
        parse_po(PO.replace('msgid "a', 'msgctxt "a'))
