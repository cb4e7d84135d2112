"""Run the long form from the command line: python -m tests.chaos [--seed N]; the exit status tells how it went."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from coc2mqtt.util.event_loop import run as run_loop
from tests.chaos.plan import LONG, draw_plan
from tests.chaos.report import keep_evidence, table
from tests.chaos.run import BROKER_LINES, USERS, run
from tests.support.broker import Mosquitto, find_program

_PAUSE = (0.05, 0.5)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="what befalls when (drawn)")
    seed = parser.parse_args().seed
    program = find_program("mosquitto")
    if program is None:
        say("Mosquitto is not installed (Debian: apt install mosquitto mosquitto-clients)")
        return 2
    plan = draw_plan(seed, LONG, pause=_PAUSE)
    say(f"seed {seed}, {len(plan.faults)} faults: this takes some minutes; again with: make chaos SEED={seed}")
    # Whoever ends it, none of its processes is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="coc2mqtt-chaos-"))
    try:
        with Mosquitto(program, folder, *BROKER_LINES, users=USERS) as broker:
            result = run_loop(run(plan, broker, folder))
    except BaseException:
        say(f"The run itself failed; the bridge's files are in {folder}")
        raise
    say(table(result))
    if not result.violations:
        shutil.rmtree(folder)
        return 0
    keep_evidence(result, folder)
    say("\n".join(["", "Wrong:", *result.violations[:_MOST_SHOWN], f"The evidence is in {folder}"]))
    return 1


_MOST_SHOWN = 20


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
