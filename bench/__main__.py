"""`python -m bench FIGURE…`: measure and print; with `--write` into docs/performance.md as well."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.figures.changed import changed
from bench.figures.latency import latency
from bench.figures.many import many
from bench.figures.round import full_round
from bench.figures.size import size
from bench.figures.unchanged import unchanged
from bench.options import Options
from bench.programs import ROOT, FailedError

FIGURES = {
    "unchanged": unchanged,
    "changed": changed,
    "round": full_round,
    "many": many,
    "latency": latency,
    "cost": size,
}


def main() -> int:
    """Do what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], metavar="FIGURE", help=f"of {', '.join(FIGURES)}")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one short run")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv" / "bench", help="the peers' environment")
    given = parser.parse_args()
    options = (
        Options(given.peers, runs=1, window=2, quick=True) if given.quick else Options(given.peers, runs=given.runs)
    )
    for name in given.figures or FIGURES:
        try:
            print(FIGURES[name](options).text(), flush=True)
        except FailedError as error:
            print(f"bench: {name}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
