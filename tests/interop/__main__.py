"""Try the bridge with every installed broker: python -m tests.interop [KIND ...]; exits with 1 if a trial fails.

Prints a Markdown table. Brokers other than Mosquitto come from the lab, or from the system (ejabberd).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.interop.kinds import KINDS, MissingBrokerError, RunningBroker
from tests.interop.trial import Row, Trial

_COLUMNS = ("connect", "retained", "delivery", "command", "response topic", "will", "recovery after a kill")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"one of {', '.join(KINDS)}; default: all")
    kinds = parser.parse_args().kinds or list(KINDS)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        parser.error(f"unknown kind of broker {unknown[0]}: use one of {', '.join(KINDS)}")
    rows = []
    for name in kinds:
        for protocol in KINDS[name].protocols:
            try:
                rows.append(_try(name, protocol))
            except MissingBrokerError as error:
                _print(f"not tried: {error}")
                break
    _print_table(rows)
    return 1 if not rows or any(row.failed for row in rows) else 0


def _try(name: str, protocol: str) -> Row:
    with tempfile.TemporaryDirectory(prefix="coc2mqtt-interop-") as folder:
        with RunningBroker(KINDS[name], Path(folder)) as broker:
            row = asyncio.run(Trial(broker, Path(folder), protocol).run())
        _print(f"{row.name}: {'failed: ' + ', '.join(row.failed) if row.failed else 'ok'}")
        return row


def _print_table(rows: list[Row]) -> None:
    _print(f"\n| broker | {' | '.join(_COLUMNS)} |\n|{'---|' * (len(_COLUMNS) + 1)}")
    for row in rows:
        _print(f"| {row.name} | {' | '.join(row.cells.get(column, '') for column in _COLUMNS)} |")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
