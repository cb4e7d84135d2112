from __future__ import annotations

from typing import Any

import pytest

from scripts.ha_check import CannotCheckError, installed, verdict

REPORT: dict[str, Any] = {"version": "2026.11.0", "faults": [], "notes": [], "components": 100, "entities": 57}


def test_a_check_without_faults_says_what_was_checked() -> None:
    assert verdict(REPORT, with_broker=True) == [
        "Home Assistant 2026.11.0: 100 components against its schemas, 57 entities with a broker; 0 faults"
    ]


def test_each_fault_and_each_note_is_a_line_and_only_faults_are_counted() -> None:
    lines = verdict(REPORT | {"faults": ["stars: x is dropped"], "notes": ["old"]}, with_broker=True)
    assert lines[:2] == ["Home Assistant 2026.11.0: stars: x is dropped", "Home Assistant 2026.11.0: old"]
    assert lines[2].endswith("1 faults")


@pytest.mark.parametrize(
    ("with_broker", "reason"), [(True, "mend what the schemas say"), (False, "Mosquitto is not installed")]
)
def test_what_was_not_run_is_said_with_the_reason(with_broker: bool, reason: str) -> None:
    [line] = verdict(REPORT | {"entities": 0}, with_broker=with_broker)
    assert f"NOT RUN with a broker: {reason}" in line


@pytest.mark.parametrize(
    ("version", "base", "reason"),
    [
        ("latest", None, "'latest' is no version of Home Assistant: write it like 2026.11.0"),
        ("2026.11.0", "/no/python", "there is no /no/python with venv: name another with --base"),
    ],
)
def test_a_version_that_cannot_be_installed_is_refused_in_words(version: str, base: str | None, reason: str) -> None:
    with pytest.raises(CannotCheckError, match=reason), installed(version, base):
        pass
