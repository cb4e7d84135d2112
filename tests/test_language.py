"""Rejects recurring mistakes of English in documentation, string literals, docstrings and comments."""

from __future__ import annotations

import io
import re
import tokenize
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Each mistake with what to write instead.
IDIOMS = {
    r"(?<!here )\bis no (?!longer\b|more than\b|one\b)": "is not a …, unknown …, invalid …",
    r"(?:^|[.:;] )What (?:is|was|are|were|has|comes?|came|it|they|a|an|the|every|no|one|some\w*|an\w+)\b(?![^.]*\?)": (
        "name the thing instead of 'what is …'"
    ),
    r"\b[Ww]ho(?:so)?ever\b": "name the person or client",
    r"\b[Ww]ho (?:comes?|asks?|subscribes?|looks?|wants?|reads?) (?:first|for|it|to)\b": "name the client",
    r"\banew\b|\bonce more\b": "again, new",
    r"\bfor ever\b": "forever, permanently",
    r"\bbeside\b": "besides, next to, in addition to",
    r"\b(?:put|puts|putting|set|sets|setting) aside\b": "quarantine, skip, move, store",
    r"\b(?:hold|holds|held|holding) up\b": "delay, block",
    r"\b(?:stand|stands|stood|standing) back\b": "stay disconnected, wait",
    r"\b(?:take|takes|took|taken|taking) up\b": "handle, process",
    r"\b(?:let|lets|letting) go of\b": "release, drop",
    r"\b(?:take|takes|took|taken|taking) note of\b": "record, cache",
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"\bin vain\b": "without success",
    r"\bnot a word\b": "silent",
    r"\bso (?:many|long|much)\b(?! (?:that|as)\b)": "the number itself",
    r"\b(?:is|are|was) (?:said|told|heard)\b": "is published, reported, logged, received",
    r"\b(?:say|says|said|tell|tells|told|hear|hears|heard) (?:of|so|it|them|nothing|everything)\b": (
        "publish, report, log, receive"
    ),
    r"\b(?:ghosts?|rivals?|knock(?:s|ed|ing)?)\b": "orphan, other instance, probe",
    r"\bis (?:not )?well again\b|\bis not well\b": "healthy, unhealthy",
    r"\b[Ww]hat (?:is|was) (?:watched|said|told|retained|left|wanted)\b": ("watches, messages, retained topics …"),
}
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "Dockerfile", ".ci/run")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(
        path for path in (ROOT / "config").rglob("*") if path.suffix in (".yaml", ".yml", ".conf", ".acl", ".json")
    ),
]
MODULES = [
    path
    for folder in ("coc2mqtt", "bench", "scripts", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "test_language.py"
]


# One search finds out that a text has none of them.
_ANY = re.compile("|".join(IDIOMS))


def mistakes_in(text: str) -> Iterator[str]:
    """Return each idiom in a text, with its remedy."""
    flat = re.sub(r"\s+", " ", text)
    if _ANY.search(flat) is None:
        return
    for idiom, remedy in IDIOMS.items():
        for found in re.finditer(idiom, flat):
            yield f"{found[0]!r} in '…{flat[max(0, found.start() - 30) : found.end() + 30]}…': {remedy}"


def texts_of(module: Path) -> Iterator[str]:
    """Return the string literals, docstrings and comments of a module; comments on successive lines are one text."""
    comment: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(module.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1:
                yield " ".join(comment)
                comment = []
            comment.append(token.string.lstrip("# "))
            last = token.start[0]
        elif token.type in (tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)):
            yield re.sub(r'^[rbfRBF]*("""|"|\')|("""|"|\')$', "", token.string)
    yield " ".join(comment)


def test_documents_have_no_known_mistake() -> None:
    mistakes = {path: list(mistakes_in(path.read_text(encoding="utf-8"))) for path in DOCUMENTS}
    assert {str(path.relative_to(ROOT)): found for path, found in mistakes.items() if found} == {}


def test_modules_have_no_known_mistake() -> None:
    mistakes = {path: [mistake for text in texts_of(path) for mistake in mistakes_in(text)] for path in MODULES}
    assert {str(path.relative_to(ROOT)): found for path, found in mistakes.items() if found} == {}


def test_test_names_have_at_most_80_characters() -> None:
    name = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)
    names = [found for path in MODULES for found in name.findall(path.read_text(encoding="utf-8"))]
    assert [one for one in names if len(one) > 80] == []


@pytest.mark.parametrize(
    "sentence",
    [
        "mqtt.hots is no setting",
        "What is watched goes away",
        "The journal is begun anew",
        "it is put aside",
        "The one beside it",
        "Retained topics of ghosts",
        "the state is said",
    ],
)
def test_known_mistake_is_found(sentence: str) -> None:
    assert list(mistakes_in(sentence))


@pytest.mark.parametrize(
    "sentence",
    [
        "There is no broker at this address",
        "The file is no longer needed",
        "Besides, the port is open",
        "What now?",
        "as long as the broker is connected",
        "so much that the queue is full",
    ],
)
def test_plain_sentence_is_accepted(sentence: str) -> None:
    assert list(mistakes_in(sentence)) == []
