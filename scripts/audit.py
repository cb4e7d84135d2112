"""Checks the packages in lock files for known vulnerabilities. The exit status is 1 if there are any.

If the data is not available (no network, or a mirror without it), this is printed and the exit status is 0: a missing
check must not fail the build.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

Report = dict[str, Any]


def main() -> int:
    """Audit each lock file on the command line."""
    return max(audit(lock) for lock in sys.argv[1:])


def audit(lock: str) -> int:
    """Audit one lock file, print the result, and return the exit status."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    completed = subprocess.run(  # noqa: S603 - the arguments are the Makefile's
        [*command, "--format", "json", "-r", lock],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    try:
        report: Report = json.loads(completed.stdout)
    except json.JSONDecodeError:
        reason = (completed.stderr.strip().splitlines() or ["no output"])[-1]
        print(f"{lock}: NOT AUDITED, the data is not available ({reason})")
        return 0
    lines, status = summarize(report)
    for line in lines:
        print(f"{lock}: {line}")
    return status


def summarize(report: Report) -> tuple[list[str], int]:
    """Return the lines to print for a report of pip-audit, and the exit status."""
    packages = report["dependencies"]
    lines = [
        f"{package['name']} {package.get('version')} has {found['id']}, "
        f"fixed in {', '.join(found['fix_versions']) or 'no version'}"
        for package in packages
        for found in package.get("vulns", [])
    ]
    status = 1 if lines else 0
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    audited = len(packages) - len(unknown)
    lines.append(f"{audited} of {len(packages)} packages were audited")
    if unknown:
        lines.append(f"NOT AUDITED, the data is not available: {', '.join(unknown)}")
    return lines, status


if __name__ == "__main__":
    sys.exit(main())
