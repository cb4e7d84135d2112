from __future__ import annotations

from scripts.audit import verdict


def test_a_vulnerability_is_told_with_what_mends_it_and_fails() -> None:
    found = {"id": "CVE-2026-1", "fix_versions": ["1.2.4", "2.0"], "aliases": [], "description": ""}
    unmended = {"id": "CVE-2026-2", "fix_versions": []}
    report = {
        "dependencies": [{"name": "a", "version": "1.2.3", "vulns": [found, unmended]}, {"name": "b", "vulns": []}]
    }
    assert verdict(report) == (
        [
            "a 1.2.3 has CVE-2026-1, mended in 1.2.4, 2.0",
            "a 1.2.3 has CVE-2026-2, mended in none",
            "2 of 2 packages were audited",
        ],
        1,
    )


def test_what_could_not_be_audited_is_named_and_does_not_fail() -> None:
    report = {"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}]}
    assert verdict(report) == (
        ["1 of 2 packages were audited", "NOT AUDITED, the data cannot be had: b"],
        0,
    )
