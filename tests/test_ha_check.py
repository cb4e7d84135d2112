from __future__ import annotations

from typing import Any

import pytest

from scripts.ha_check import CannotCheckError, installed, summarize

REPORT: dict[str, Any] = {"version": "2026.11.0", "faults": [], "notes": [], "components": 100, "entities": 57}


def test_report_without_faults_counts_the_checks() -> None:
    assert summarize(REPORT, with_broker=True) == [
        "Home Assistant 2026.11.0: 100 components against its schemas, 57 entities with a broker; 0 faults"
    ]


def test_report_lists_faults_and_notes_and_counts_faults() -> None:
    lines = summarize(REPORT | {"faults": ["stars: x is dropped"], "notes": ["old"]}, with_broker=True)
    assert lines[:2] == ["Home Assistant 2026.11.0: stars: x is dropped", "Home Assistant 2026.11.0: old"]
    assert lines[2].endswith("1 faults")


@pytest.mark.parametrize(
    ("with_broker", "reason"), [(True, "fix the schema faults first"), (False, "Mosquitto is not installed")]
)
def test_skipped_broker_check_is_reported_with_its_reason(with_broker: bool, reason: str) -> None:
    [line] = summarize(REPORT | {"entities": 0}, with_broker=with_broker)
    assert f"NOT RUN with a broker: {reason}" in line


@pytest.mark.parametrize(
    ("version", "base", "reason"),
    [
        ("latest", None, "invalid Home Assistant version 'latest': use a version such as 2026.11.0"),
        ("2026.11.0", "/no/python", "/no/python with venv is not available: name another Python with --base"),
    ],
)
def test_version_that_cannot_be_installed_is_rejected(version: str, base: str | None, reason: str) -> None:
    with pytest.raises(CannotCheckError, match=reason), installed(version, base):
        pass
