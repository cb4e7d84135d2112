"""Run the bridge under load, for long or repeatedly: python -m tests.soak; exits with 1 if a run fails."""

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

# The broker is stopped for a tenth of the run, at most for this time (seconds).
_OUTAGE_SHARE, _MAX_OUTAGE_S = 0.1, 60.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=900.0, help="duration of a run, without start and stop")
    parser.add_argument("--clans", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=4.0, help="seconds between two polls of a clan")
    parser.add_argument(
        "--rate", type=float, help="events per second; 0: one in each response (default: 200, or 0 with faults)"
    )
    parser.add_argument(
        "--away", type=float, help="seconds without a broker (default: a tenth of the run, or 0 with faults)"
    )
    parser.add_argument(
        "--api-faults", action="store_true", help="let API requests fail in many ways during the whole run"
    )
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1_000_000), help="seed of the first run (default: random)"
    )
    options = parser.parse_args()
    rate, outage_s = (0.0, 0.0) if options.api_faults else (200.0, min(_OUTAGE_SHARE * options.seconds, _MAX_OUTAGE_S))
    # Stop the child processes on SIGTERM, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed = 0
    for number in range(options.runs):
        load = Load(
            seconds=options.seconds,
            clans=options.clans,
            interval=options.interval,
            rate=rate if options.rate is None else options.rate,
            outage_s=outage_s if options.away is None else options.away,
            api_faults=options.api_faults,
            seed=options.seed + number,
        )
        _print(
            f"run {number + 1} of {options.runs}, seed {load.seed}: {load.clans} clans, "
            f"{load.events_per_second:g} events per second, {load.seconds:g} s"
        )
        failed += not _succeeds(load)
    if options.runs > 1:
        _print(f"{options.runs - failed} of {options.runs} runs passed")
    return 1 if failed else 0


def _succeeds(load: Load) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="coc2mqtt-soak-"))
    try:
        with ExitStack() as stack:
            result = soak(load, stack, folder)
        _print(table(result))
        violations = result.violations
    except FailedError as error:
        violations = [str(error)]
    if violations:
        _print("\n".join(["Problems:", *violations, f"The bridge's files are in {folder}"]))
    else:
        shutil.rmtree(folder)
    return not violations


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
