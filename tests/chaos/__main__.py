"""Run the long chaos test: python -m tests.chaos [--seed N]; exits with 1 if it finds a violation."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from coc2mqtt.util.runtime import run as run_loop
from tests.chaos.plan import LONG, draw_plan
from tests.chaos.report import table, write_evidence
from tests.chaos.run import BROKER_LINES, USERS, run
from tests.support.broker import Mosquitto, find_program

_PAUSE_S = (0.05, 0.5)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--seed",
        type=int,
        default=random.randrange(1_000_000),
        help="selects the faults and their times (default: random)",
    )
    seed = parser.parse_args().seed
    program = find_program("mosquitto")
    if program is None:
        _print("Mosquitto is not installed (Debian: apt install mosquitto mosquitto-clients)")
        return 2
    plan = draw_plan(seed, LONG, pause_s=_PAUSE_S)
    _print(f"seed {seed}, {len(plan.faults)} faults: this takes some minutes; repeat with: make chaos SEED={seed}")
    # Stop the child processes on SIGTERM, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="coc2mqtt-chaos-"))
    try:
        with Mosquitto(program, folder, *BROKER_LINES, users=USERS) as broker:
            result = run_loop(run(plan, broker, folder))
    except BaseException:
        _print(f"The run failed with an exception; the bridge's files are in {folder}")
        raise
    _print(table(result))
    if not result.violations:
        shutil.rmtree(folder)
        return 0
    write_evidence(result, folder)
    _print("\n".join(["", "Problems:", *result.violations[:_MAX_SHOWN], f"The evidence is in {folder}"]))
    return 1


_MAX_SHOWN = 20


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
