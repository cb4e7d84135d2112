"""The blueprints in other languages differ from the English ones only in their texts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jinja2
import jinja2.meta
import pytest
import yaml

from coc2mqtt.translations import CODES
from scripts.blueprints import (
    CATALOGUES,
    ENGLISH,
    english_messages,
    read_catalogue,
    texts_in,
    translate,
    translated_files,
)
from scripts.translations import format_po, update
from tests.automations.test_blueprints import FILES, load
from tests.homeassistant.builders import activity, bridge, clan, cwl, decode, games, player, raid, ranked, reminders

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

UPDATE = "run 'make translations', complete config/blueprints/*.po and commit the files"
TEXTS = {"name", "description", "label", "unit_of_measurement"}
TEXT_VARIABLES = {"summary", "clan", "player"}
LANGUAGES = [code for code in CODES if code != "en"]
languages = pytest.mark.parametrize("code", LANGUAGES)
blueprints = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
_JINJA = jinja2.Environment(autoescape=False)  # noqa: S701 - the texts are not HTML
# Home Assistant's own filters, which no test renders.
_JINJA.filters |= dict.fromkeys(("as_datetime", "as_local", "as_timestamp"), str)

ALL = (bridge, clan, cwl, raid, activity, games, reminders, player, ranked)


def structure(data: Any, *, variables: bool = False) -> Any:
    """Return a blueprint without its texts and the spaces of its templates."""
    if isinstance(data, dict):
        return {
            key: "text"
            if isinstance(value, str) and ((variables and key in TEXT_VARIABLES) or (not variables and key in TEXTS))
            else structure(value, variables=key == "variables")
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [structure(item) for item in data]
    return re.sub(r"\s+", " ", data) if isinstance(data, str) and type(data) is str else data


def translated(path: Path, code: str) -> Path:
    return ENGLISH / code / path.name


@languages
@blueprints
def test_translation_has_the_same_inputs_triggers_conditions_and_variables(path: Path, code: str) -> None:
    english, other = load(path), load(translated(path, code))
    if "language" in english["blueprint"]["input"]:
        assert other["blueprint"]["input"]["language"].pop("default") == code
        assert english["blueprint"]["input"]["language"].pop("default") == "en"
    other["blueprint"]["source_url"] = other["blueprint"]["source_url"].replace(f"/{code}/", "/")
    assert structure(other) == structure(english)


@languages
@blueprints
def test_translation_imports_itself(path: Path, code: str) -> None:
    about = load(translated(path, code))["blueprint"]
    assert about["source_url"].endswith(f"/coc2mqtt/{code}/{path.name}")
    assert about["name"].startswith("Clash of Clans: ")


@languages
def test_translated_blueprints_are_up_to_date(code: str) -> None:
    catalogue = read_catalogue(code)
    assert format_po(update(catalogue, english_messages())) == (CATALOGUES / f"{code}.po").read_text(), UPDATE
    written = {path.name: path.read_text() for path in (ENGLISH / code).glob("*")}
    assert written == translated_files(code, catalogue), UPDATE


def test_every_language_has_blueprints() -> None:
    assert sorted(path.stem for path in CATALOGUES.glob("*.po")) == sorted(LANGUAGES)


@languages
def test_every_text_is_translated(code: str) -> None:
    entries = read_catalogue(code).entries
    assert [message for message, entry in entries.items() if not entry.translations[0] or entry.is_fuzzy] == []


@languages
def test_translations_have_the_variables_and_keys_of_their_message(code: str) -> None:
    for message, entry in read_catalogue(code).entries.items():
        translation = entry.translations[0]
        assert set(re.findall(r"`[^`]+`", translation)) == set(re.findall(r"`[^`]+`", message)), message
        variables = [jinja2.meta.find_undeclared_variables(_JINJA.parse(text)) for text in (message, translation)]
        assert variables[0] == variables[1], message


@languages
def test_named_sensors_have_the_names_of_the_language(code: str) -> None:
    devices = [decode(announce(language=code))["components"].values() for announce in ALL]
    names = {one["name"] for components in devices for one in components if "name" in one}
    for path in (ENGLISH / code).glob("*.yaml"):
        for one in load(path)["blueprint"]["input"].values():
            if "entity" in one["selector"]:
                named = set(re.findall(r"\*([^*]+)\*", one["description"]))
                assert named, path.name
                assert named <= names, path.name


def test_long_texts_keep_their_paragraphs_and_short_ones_are_quoted() -> None:
    source = (
        'blueprint:\n  name: "Short"\n  description: >-\n    First paragraph.\n\n\n    Second one.\n'
        "  source_url: https://example.org/coc2mqtt/x.yaml\n  domain: automation\n"
    )
    catalogue = read_catalogue("de")
    messages = {text.message: ((text.message,), "x") for text in texts_in(source)}
    entries = dict(update(catalogue, messages).entries)
    assert list(entries) == ["Short", "First paragraph.\n\nSecond one."]
    about = yaml.safe_load(translate(source, "de", entries))["blueprint"]
    assert about["description"] == "First paragraph.\n\nSecond one."
    assert about["source_url"] == "https://example.org/coc2mqtt/de/x.yaml"
