"""Run the bridge under load for long, or often: python -m tests.soak; the exit status tells how it went."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.programs import FailedError
from tests.soak.report import table
from tests.soak.run import Load, soak

# The broker is away for a tenth of the run, and not for longer than this (seconds).
_AWAY, _AWAY_MOST_S = 0.1, 60.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=900.0, help="how long a run takes, without start and end")
    parser.add_argument("--clans", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=4.0, help="seconds between two polls of a clan")
    parser.add_argument("--rate", type=float, help="events per second; 0: one in each response (200, or 0 with faults)")
    parser.add_argument("--away", type=float, help="seconds without a broker (a tenth of the run, or 0 with faults)")
    parser.add_argument("--api-faults", action="store_true", help="let the API fail all the time, in many ways")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the first run (drawn)")
    options = parser.parse_args()
    rate, away = (0.0, 0.0) if options.api_faults else (200.0, min(_AWAY * options.seconds, _AWAY_MOST_S))
    # Whoever ends it, none of its processes is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed = 0
    for number in range(options.runs):
        load = Load(
            seconds=options.seconds,
            clans=options.clans,
            interval=options.interval,
            rate=rate if options.rate is None else options.rate,
            away=away if options.away is None else options.away,
            api_faults=options.api_faults,
            seed=options.seed + number,
        )
        say(
            f"run {number + 1} of {options.runs}, seed {load.seed}: {load.clans} clans, "
            f"{load.events_per_second:g} events per second, {load.seconds:g} s"
        )
        failed += not _succeeds(load)
    if options.runs > 1:
        say(f"{options.runs - failed} of {options.runs} runs without a fault of the bridge")
    return 1 if failed else 0


def _succeeds(load: Load) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="coc2mqtt-soak-"))
    try:
        with ExitStack() as stack:
            result = soak(load, stack, folder)
        say(table(result))
        violations = result.violations
    except FailedError as error:
        violations = [str(error)]
    if violations:
        say("\n".join(["Wrong:", *violations, f"The bridge's files are in {folder}"]))
    else:
        shutil.rmtree(folder)
    return not violations


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
