"""`python -m bench FIGURE…`: measure and print figures; with `--write` also update docs/performance.md."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench.document import describe, fill
from bench.figures.changed import changed
from bench.figures.latency import latency
from bench.figures.many import many
from bench.figures.parts import parts
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
    "parts": parts,
}
DOCUMENT = ROOT / "docs" / "performance.md"


def main() -> int:
    """Run the command line; return the exit status."""
    given = _parser().parse_args()
    options = Options(given.peers, runs=given.runs, full=given.full)
    if given.quick:
        options = replace(options, runs=1, window=2, quick=True)
    failed = False
    for name in given.figures or FIGURES:
        started = time.monotonic()
        print(f"{name}:", file=sys.stderr, flush=True)
        try:
            figure = FIGURES[name](options)
        except FailedError as error:
            # The other benchmarks are still useful.
            print(f"bench: {name}: {error}", file=sys.stderr)
            failed = True
            continue
        print(f"{figure.text()}\n", flush=True)
        print(f"  ({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)
        if given.write:
            _write({name: figure.text()})
    if given.write:
        _write({"machine": describe(given.peers, _command())})
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench", description="Measure the costs of the bridge and of its peers. Run it on an idle machine."
    )
    parser.add_argument(
        "figures", nargs="*", metavar="FIGURE", help=f"one of {', '.join(FIGURES)}; default: all", type=_figure
    )
    parser.add_argument("--runs", type=int, default=5, help="number of runs of each (5); the longest ones have fewer")
    parser.add_argument("--full", action="store_true", help="clans of 50 kB, as in the real API, instead of 19 kB")
    parser.add_argument("--quick", action="store_true", help="one short run of each, to test the benchmark itself")
    parser.add_argument("--write", action="store_true", help=f"write the tables into {DOCUMENT.relative_to(ROOT)}")
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv" / "bench", help="the peers' environment")
    return parser


def _figure(name: str) -> str:
    if name not in FIGURES:
        raise argparse.ArgumentTypeError(f"unknown figure {name!r}: use one of {', '.join(FIGURES)}")
    return name


def _write(parts: dict[str, str]) -> None:
    DOCUMENT.write_text(fill(DOCUMENT.read_text(encoding="utf-8"), parts), encoding="utf-8")


def _command() -> str:
    # Without the path of the peers, which only concerns this machine.
    return " ".join(["python -m bench", *(part for part in sys.argv[1:] if not part.startswith(("--peers", "/")))])


if __name__ == "__main__":
    sys.exit(main())
