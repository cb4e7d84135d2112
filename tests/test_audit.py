from __future__ import annotations

from scripts.audit import summarize


def test_vulnerability_is_reported_with_its_fixed_versions_and_fails() -> None:
    found = {"id": "CVE-2026-1", "fix_versions": ["1.2.4", "2.0"], "aliases": [], "description": ""}
    unfixed = {"id": "CVE-2026-2", "fix_versions": []}
    report = {
        "dependencies": [{"name": "a", "version": "1.2.3", "vulns": [found, unfixed]}, {"name": "b", "vulns": []}]
    }
    assert summarize(report) == (
        [
            "a 1.2.3 has CVE-2026-1, fixed in 1.2.4, 2.0",
            "a 1.2.3 has CVE-2026-2, fixed in no version",
            "2 of 2 packages were audited",
        ],
        1,
    )


def test_package_that_cannot_be_audited_is_reported_and_does_not_fail() -> None:
    report = {"dependencies": [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}]}
    assert summarize(report) == (
        ["1 of 2 packages were audited", "NOT AUDITED, the data is not available: b"],
        0,
    )
