"""Acceptance test with the real programs: python -m tests.home [--old]; exits with 1 if a check fails.

Requires Mosquitto and the lab, a folder of scripts that run Home Assistant and Node-RED.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import signal
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.home.check_activity import check_activity
from tests.home.check_automations import check_blueprints
from tests.home.check_controls import check_controls, check_fields
from tests.home.check_entities import check_ids, check_log, check_rename, check_statistics, check_values
from tests.home.check_language import check_language
from tests.home.check_leader import check_leader
from tests.home.check_members import check_members
from tests.home.check_node_red import check_node_red
from tests.home.check_parts import check_parts
from tests.home.check_restarts import check_restarts, check_unwatch_while_stopped
from tests.home.dashboard import check_dashboard
from tests.home.lab import Lab, LabError
from tests.home.report import Report
from tests.home.setup import Setup, running_setup
from tests.support.broker import find_program

# Log lines of Home Assistant itself after a broker restart.
_ALLOWED_AFTER_RESTARTS = (
    "Disconnected from MQTT server",
    "Failed to connect to MQTT server",
    "Error returned from MQTT server: The connection was lost",
    "Error talking to MQTT: The client is not currently connected",
    "_async_resubscribe_and_publish_birth_message",
    "No ACK from MQTT server in 10 seconds",
    "failed to receive on socket: [Errno 104] Connection reset by peer",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.home", description=__doc__)
    parser.add_argument("--old", action="store_true", help="use the lab's older Home Assistant")
    parser.add_argument("--quick", action="store_true", help="skip the restarts, which take minutes")
    options = parser.parse_args()
    report = Report()
    program = find_program("mosquitto")
    if program is None:
        report.info("Mosquitto is not installed (Debian: apt install mosquitto mosquitto-clients)")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        lab = Lab()
        with tempfile.TemporaryDirectory(prefix="coc2mqtt-home-") as folder:
            asyncio.run(_run(lab, program, Path(folder), report, old=options.old, quick=options.quick))
    except LabError as error:
        report.info(str(error))
        return 2
    return report.end()


async def _run(lab: Lab, program: str, folder: Path, report: Report, *, old: bool, quick: bool) -> None:
    async with running_setup(lab, program, folder, old=old) as setup:
        report.section(
            f"coc2mqtt {version('coc2mqtt')} on Python {platform.python_version()}, Home Assistant {setup.home.version}"
        )
        await setup.bridge.start()
        await _check_entities_and_controls(setup, report, folder)
        report.section("Dashboard")
        await check_dashboard(setup, report, folder)
        check_log(setup, report)
        report.section("Automations")
        automations = await check_blueprints(setup, report)
        check_log(setup, report)
        report.section("Automations of a clan leader")
        await check_leader(setup, report)
        check_log(setup, report)
        report.section("Leagues and raids")
        await check_parts(setup, report)
        check_log(setup, report)
        report.section("Reminders, clan games, ranked battles and activity")
        await check_activity(setup, report, quick=quick)
        check_log(setup, report)
        report.section("Sensors of members")
        await check_members(setup, report)
        check_log(setup, report)
        report.section("German")
        await check_language(setup, report)
        check_log(setup, report)
        report.section("Node-RED")
        red_version = await check_node_red(lab, setup, report)
        report.info(f"Node-RED {red_version}")
        if not quick:
            report.section("Restarts")
            await check_restarts(setup, report, automations)
            await check_unwatch_while_stopped(setup, report)
        report.section("Log after the restarts")
        check_log(setup, report, allowed=_ALLOWED_AFTER_RESTARTS)


async def _check_entities_and_controls(setup: Setup, report: Report, folder: Path) -> None:
    report.section("Entities")
    await check_values(setup, report)
    await check_ids(setup, report)
    await check_statistics(setup, report)
    check_log(setup, report)
    report.section("Controls")
    await check_rename(setup, report)
    await check_controls(setup, report)
    await check_fields(setup, report, folder)
    check_log(setup, report)


if __name__ == "__main__":
    sys.exit(main())
