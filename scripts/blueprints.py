"""Writes the blueprints of each language from the English ones and a .po file with the translations of their texts.

The texts are the names, descriptions and option labels, and the sentences in the variables. Everything else stays the
same. A template is a message as a whole, on one line.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import yaml

from scripts.translations import Catalogue, Entry, format_po, parse_po, update

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[1]
ENGLISH = ROOT / "config" / "blueprints" / "automation" / "coc2mqtt"
CATALOGUES = ROOT / "config" / "blueprints"
_WIDTH = 127
# The variables that may contain words for people.
_VARIABLES = {"summary", "clan", "player"}
_TAGS = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
# Words in a quoted text of a template.
_WORDS = re.compile(r"'[^'{}%]*[A-Za-z]{2,} [^'{}%]*'")


class Text(NamedTuple):
    """A text in a file: the message, and its place in the source."""

    message: str
    start: int
    end: int
    indent: int


def main() -> int:
    """Update the .po files, write the blueprints of each language, and print what is missing."""
    messages = english_messages()
    missing = 0
    for path in sorted(CATALOGUES.glob("*.po")):
        catalogue = update(parse_po(path.read_text(encoding="utf-8")), messages)
        path.write_text(format_po(catalogue), encoding="utf-8")
        for name, text in translated_files(path.stem, catalogue).items():
            (ENGLISH / path.stem).mkdir(exist_ok=True)
            (ENGLISH / path.stem / name).write_text(text, encoding="utf-8")
        incomplete = [message for message, entry in catalogue.entries.items() if not entry.translations[0]]
        missing += len(incomplete)
        for message in incomplete:
            print(f"{path.name}: no translation of {message!r}")
    print(f"{len(messages)} messages in the blueprints")
    return 1 if missing else 0


def read_catalogue(code: str) -> Catalogue:
    """Return the translations of a language."""
    return parse_po((CATALOGUES / f"{code}.po").read_text(encoding="utf-8"))


def english_messages() -> dict[str, tuple[tuple[str, ...], str]]:
    """Return the messages of all English blueprints, with the first file that contains each."""
    found: dict[str, tuple[tuple[str, ...], str]] = {}
    for path in sorted(ENGLISH.glob("*.yaml")):
        for text in texts_in(path.read_text(encoding="utf-8")):
            found.setdefault(text.message, ((text.message,), path.name))
    return found


def translated_files(code: str, catalogue: Catalogue) -> dict[str, str]:
    """Return the blueprints of a language by their file names; a message without a translation stays English."""
    return {
        path.name: translate(path.read_text(encoding="utf-8"), code, catalogue.entries)
        for path in sorted(ENGLISH.glob("*.yaml"))
    }


def translate(source: str, code: str, entries: Mapping[str, Entry]) -> str:
    """Return a blueprint with its texts translated, its own address, and the language as the default of that input."""
    for text in sorted(texts_in(source), key=lambda text: text.start, reverse=True):
        translation = entries[text.message].translations[0] or text.message
        source = source[: text.start] + _format(translation, text.indent) + source[text.end :]
    address = re.compile(r"^(  source_url: .*)/", re.MULTILINE)
    generated = "# Generated from the English blueprint by `make translations`.\n"
    default = re.compile(r"^(    language:\n(?:      .*\n)*?      default: )en$", re.MULTILINE)
    source = default.sub(rf"\g<1>{code}", source)
    return generated + address.sub(rf"\1/{code}/", source, count=1)


def texts_in(source: str) -> Iterator[Text]:
    """Yield the texts for people in a blueprint."""
    root = yaml.compose(source, yaml.SafeLoader)
    for path, node in _scalars(root, ()):
        if not _is_text(path, node.value):
            continue
        start, end = node.start_mark.index, node.end_mark.index
        end -= len(source[start:end]) - len(source[start:end].rstrip())
        line = source[source.rfind("\n", 0, start) + 1 : start]
        indent = len(line) - len(line.lstrip(" -")) + 2
        is_template = "{" in node.value
        yield Text(re.sub(r"\s+", " ", node.value) if is_template else node.value, start, end, indent)


def _scalars(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], yaml.ScalarNode]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _scalars(value, (*path, "-"))
    elif isinstance(node, yaml.ScalarNode) and not node.tag.startswith("!input"):
        yield path, node


def _is_text(path: tuple[str, ...], value: str) -> bool:
    match path:
        case ("blueprint", "name" | "description") | ("blueprint", "input", _, "name" | "description"):
            return True
        case ("blueprint", "input", _, "selector", *_, "label" | "unit_of_measurement"):
            return True
        # A template that depends on the input `language` has the text in all languages.
        case (*_, "variables", key) if key in _VARIABLES and not re.search(r"\blanguage\b", value):
            return bool(re.search(r"[A-Za-z]{2,}", _TAGS.sub("", value)) or _WORDS.search(value))
    return False


def _format(text: str, indent: int) -> str:
    """Return a text as a YAML scalar: in double quotes if it is short, else folded."""
    quoted = json.dumps(text, ensure_ascii=False)
    if "\n" not in text and indent + len(quoted) <= _WIDTH - 20:
        return quoted
    lines = []
    for index, part in enumerate(re.split(r"(\n+)", text)):
        # The first line break of a run ends the line, and each of the others is an empty line.
        is_break = index % 2 == 1
        lines += (
            [""] * len(part)
            if is_break
            else textwrap.wrap(
                part, _WIDTH - indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
            )
        )
    return "\n".join([">-", *(f"{' ' * indent}{line}" if line else "" for line in lines)])


if __name__ == "__main__":
    sys.exit(main())
