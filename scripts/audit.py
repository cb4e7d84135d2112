"""Ask for known vulnerabilities of what lock files name; ends with 1 where there are some.

Where the data cannot be had (no network, a mirror without it), it says so of each package and ends with 0: a check that
cannot be made is no reason to stop, and none to be silent either.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

Report = dict[str, Any]


def main() -> int:
    """Audit each lock file that the command line names."""
    return max(audit(lock) for lock in sys.argv[1:])


def audit(lock: str) -> int:
    """Audit one lock file, print what was found, and return the exit status."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    ended = subprocess.run(  # noqa: S603 - the arguments are the Makefile's
        [*command, "--format", "json", "-r", lock],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    try:
        report: Report = json.loads(ended.stdout)
    except json.JSONDecodeError:
        reason = (ended.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"{lock}: NOT AUDITED, the data cannot be had ({reason})")
        return 0
    lines, status = verdict(report)
    for line in lines:
        print(f"{lock}: {line}")
    return status


def verdict(report: Report) -> tuple[list[str], int]:
    """Return what a report of pip-audit says, in lines, and the exit status."""
    packages = report["dependencies"]
    lines = [
        f"{package['name']} {package.get('version')} has {found['id']}, "
        f"mended in {', '.join(found['fix_versions']) or 'none'}"
        for package in packages
        for found in package.get("vulns", [])
    ]
    status = 1 if lines else 0
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    audited = len(packages) - len(unknown)
    lines.append(f"{audited} of {len(packages)} packages were audited")
    if unknown:
        lines.append(f"NOT AUDITED, the data cannot be had: {', '.join(unknown)}")
    return lines, status


if __name__ == "__main__":
    sys.exit(main())
