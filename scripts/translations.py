"""Updates the translations of the messages in the code: the .po files, and the .mo files that are compiled from them.

A new message is added to each .po file without a translation, and a message that the code no longer contains is removed
from it. Complete the .po files and run this again.
"""

from __future__ import annotations

import ast
import struct
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coc2mqtt.events.resource import Kind, default_watch
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.topics import Topics
from coc2mqtt.translations.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "coc2mqtt"
FOLDER = PACKAGE / "translations"

# A message with one form, or with a singular and a plural.
Forms = tuple[str, ...]

_MO_MAGIC = 0x950412DE
_KEYWORDS = ("msgid", "msgid_plural", "msgstr")


@dataclass(frozen=True)
class Entry:
    """An entry of a .po file: the message, its translations, and the lines of its comments."""

    message: Forms
    translations: Forms = ()
    comments: tuple[str, ...] = ()

    @property
    def is_fuzzy(self) -> bool:
        """Whether the translation is a guess that gettext ignores."""
        return any(line.startswith("#,") and "fuzzy" in line for line in self.comments)


@dataclass
class Catalogue:
    """The content of a .po file: its header, and the entries by their first form."""

    header: Entry
    entries: dict[str, Entry] = field(default_factory=dict)

    @property
    def plural_forms(self) -> int:
        """The number of forms of a plural."""
        return int(self.header.translations[0].partition("nplurals=")[2][0])


def main() -> int:
    """Update all languages, and print what is missing."""
    messages = code_messages(PACKAGE)
    missing = 0
    for path in sorted(FOLDER.glob("*.po")):
        catalogue = update(parse_po(path.read_text(encoding="utf-8")), messages)
        path.write_text(format_po(catalogue), encoding="utf-8")
        path.with_suffix(".mo").write_bytes(compile_mo(catalogue))
        incomplete = [entry.message[0] for entry in catalogue.entries.values() if not all(entry.translations)]
        missing += len(incomplete)
        for one in incomplete:
            print(f"{path.name}: no translation of {one!r}")
    print(f"{len(messages)} messages in {len(list(FOLDER.glob('*.po')))} language(s) besides English")
    return 1 if missing else 0


def code_messages(package: Path) -> dict[str, tuple[Forms, str]]:
    """Return the forms of each message in the code and the module that contains it, in the order of the modules.

    The names in the discovery payloads need no mark in the code.
    """
    found: dict[str, tuple[Forms, str]] = {}
    for path in sorted(package.rglob("*.py")):
        module = str(path.relative_to(package.parent))
        for forms in messages_in(path.read_text(encoding="utf-8")):
            known = found.setdefault(forms[0], (forms, module))[0]
            if known != forms:
                raise ValueError(f"{module}: {forms[0]!r} has another plural elsewhere: use the same one")
    for name in device_messages():
        found.setdefault(name, ((name,), f"{package.name}/homeassistant"))
    return found


def device_messages() -> list[str]:
    """Return the messages in the discovery payloads: the names and labels of entities."""
    recorder = Recorder()
    discovery = Discovery(Topics(), instance="home", version="1", prefix="homeassistant", language=recorder)
    discovery.bridge()
    watch = replace(default_watch(Kind.CLAN, "#2PP"), cwl_standings=True, games=True)
    of_player = replace(default_watch(Kind.PLAYER, "#2PP"), ranked=True)
    clan = discovery.clan(watch, None, badge_url="https://example.org/badge.png")
    player = discovery.player(of_player, None)
    for announcement in (clan, player):
        discovery.payload(announcement)
    for part in (*discovery.parts(watch, None), *discovery.parts(of_player, None)):
        discovery.part_payload(part)
    return sorted(recorder.messages)


def messages_in(source: str) -> Iterator[Forms]:
    """Yield the messages of a module: the literals of ``message``, ``language.text`` and ``language.plural``."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        match call.func:
            case ast.Name(id="message"):
                count = 1
            case ast.Attribute(value=ast.Name(id="language") | ast.Attribute(attr="language"), attr="text"):
                count = 1
            case ast.Attribute(value=ast.Name(id="language") | ast.Attribute(attr="language"), attr="plural"):
                count = 2
            case _:
                continue
        literals = [arg.value for arg in call.args[:count] if isinstance(arg, ast.Constant)]
        if len(literals) == count:
            yield tuple(str(one) for one in literals)


def update(catalogue: Catalogue, messages: Mapping[str, tuple[Forms, str]]) -> Catalogue:
    """Return a catalogue with exactly these messages and the known translations."""
    entries = {}
    for first, (forms, module) in messages.items():
        known = catalogue.entries.get(first, Entry(forms))
        count = catalogue.plural_forms if len(forms) > 1 else 1
        translations = (*known.translations, *("",) * count)[:count] if known.message == forms else ("",) * count
        comments = (*(line for line in known.comments if not line.startswith("#:")), f"#: {module}")
        entries[first] = replace(known, message=forms, translations=translations, comments=comments)
    return Catalogue(catalogue.header, entries)


def parse_po(text: str) -> Catalogue:
    """Return the content of a .po file, which may contain all but contexts and obsolete entries."""
    entries = [_parse_entry(block.splitlines()) for block in text.split("\n\n") if block.strip()]
    header, *others = entries
    return Catalogue(header, {entry.message[0]: entry for entry in others})


def _parse_entry(lines: Iterable[str]) -> Entry:
    comments, parts = [], list[list[str]]()
    for line in lines:
        if line.startswith("#"):
            comments.append(line)
        elif line.startswith('"'):
            parts[-1][1] += ast.literal_eval(line)
        else:
            keyword, _, quoted = line.partition(" ")
            if keyword.partition("[")[0] not in _KEYWORDS:
                raise ValueError(f"not a line of a .po file: {line!r}")
            parts.append([keyword, ast.literal_eval(quoted)])
    forms = tuple(text for keyword, text in parts if keyword.startswith("msgid"))
    return Entry(forms, tuple(text for keyword, text in parts if keyword.startswith("msgstr")), tuple(comments))


def format_po(catalogue: Catalogue) -> str:
    """Return the text of a .po file, with one line for each text."""
    return "\n".join(map(_format_entry, (catalogue.header, *catalogue.entries.values())))


def _format_entry(entry: Entry) -> str:
    lines = list(entry.comments)
    lines += [f"{keyword} {_quote(text)}" for keyword, text in zip(_KEYWORDS, entry.message, strict=False)]
    if len(entry.message) > 1:
        lines += [f"msgstr[{index}] {_quote(text)}" for index, text in enumerate(entry.translations)]
    else:
        lines.append(f"msgstr {_quote(entry.translations[0])}")
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    # A text with several lines, such as the header, has one line for each.
    lines = text.splitlines(keepends=True)
    if len(lines) > 1:
        return "\n".join(['""', *(_quote(line) for line in lines)])
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def compile_mo(catalogue: Catalogue) -> bytes:
    """Return the .mo file of a catalogue, as the GNU documentation describes it; fuzzy entries are left out."""
    entries = [catalogue.header, *(one for one in catalogue.entries.values() if all(one.translations))]
    pairs = sorted(
        ("\0".join(one.message).encode(), "\0".join(one.translations).encode()) for one in entries if not one.is_fuzzy
    )
    # The header of seven integers, the lengths and offsets of all messages, those of all translations, and the texts.
    originals = 7 * 4
    translations = originals + 8 * len(pairs)
    offset = translations + 8 * len(pairs)
    tables: list[bytes] = []
    texts = b""
    for column in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<II", len(pair[column]), offset + len(texts)))
            texts += pair[column] + b"\0"
    head = struct.pack("<7I", _MO_MAGIC, 0, len(pairs), originals, translations, 0, offset)
    return head + b"".join(tables) + texts


if __name__ == "__main__":
    sys.exit(main())
