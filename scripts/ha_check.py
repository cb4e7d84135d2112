"""Check the golden discovery payloads with a real Home Assistant. The exit status is 1 if there is a fault.

    ha-check --python /path/to/python       a Python that can import Home Assistant; can be a command with arguments
    ha-check --install 2024.12.5            install this version for the check, with pip

First, each payload is validated with the schemas of the MQTT integration: an error or a dropped key is a fault. Then
the integration is started, alone and with a Mosquitto: devices are announced, states, events and invalid payloads are
published, and the devices are removed. An entity that does not appear, has no state or is not removed is a fault, and
so is each warning or error in the log. Run this in the environment of the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

_ROOT = Path(__file__).resolve().parent.parent
_SNAPSHOTS = _ROOT / "tests/homeassistant/__snapshots__"
_GOLDEN = _SNAPSHOTS / "test_devices"
_INSIDE = Path(__file__).with_name("ha_check_inside.py")
_START_TIMEOUT_S = 10.0
_CHECK_TIMEOUT_S = 300.0
_INSTALL_TIMEOUT_S = 1800.0
_FIRST_WITH_PYTHON_3_14 = (2026, 3)


def main() -> int:
    """Run the check with the options of the command line."""
    options = _options()
    try:
        with contextlib.ExitStack() as cleanup:
            if options.install:
                command = [cleanup.enter_context(installed(options.install, options.base))]
            else:
                command = shlex.split(options.python)
            port = cleanup.enter_context(_broker())
            report = _ask(command, _request(options.payloads, port))
    except CannotCheckError as error:
        print(f"ha-check: NOT CHECKED, {error}")
        return 2
    for line in summarize(report, with_broker=port is not None):
        print(line)
    return 1 if report["faults"] else 0


class CannotCheckError(Exception):
    """Home Assistant is not available for the check."""


def summarize(report: Json, *, with_broker: bool) -> list[str]:
    """Return the lines to print for a report."""
    lines = [f"Home Assistant {report['version']}: {fault}" for fault in [*report["faults"], *report["notes"]]]
    live = f"{report['entities']} entities with a broker"
    if not report["entities"]:
        live = "NOT RUN with a broker: " + (
            "fix the schema faults first" if with_broker else "Mosquitto is not installed"
        )
    checked = f"{report['components']} components against its schemas, {live}"
    return [*lines, f"Home Assistant {report['version']}: {checked}; {len(report['faults'])} faults"]


@contextlib.contextmanager
def installed(version: str, base: str | None = None) -> Iterator[str]:
    """Install Home Assistant with its MQTT integration, yield the path of its Python, and remove it afterwards."""
    if not re.fullmatch(r"\d{4}\.\d{1,2}\.\d+(b\d+)?", version):
        raise CannotCheckError(f"invalid Home Assistant version {version!r}: use a version such as 2026.11.0")
    year, month = (int(number) for number in version.split(".")[:2])
    base = base or ("python3.14" if (year, month) >= _FIRST_WITH_PYTHON_3_14 else "python3.13")
    try:
        _run([base, "-c", "import venv"])
    except CannotCheckError as error:
        raise CannotCheckError(f"{base} with venv is not available: name another Python with --base") from error
    with tempfile.TemporaryDirectory(prefix="ha-check-") as folder:
        _run([base, "-m", "venv", folder])
        python = f"{folder}/bin/python"
        _run([python, "-m", "pip", "install", "-q", f"homeassistant=={version}"])
        where = "import homeassistant.components as c; print(list(c.__path__)[0])"
        manifest = json.loads((Path(_run([python, "-c", where]).strip()) / "mqtt/manifest.json").read_text())
        _run([python, "-m", "pip", "install", "-q", *manifest["requirements"]])
        yield python


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ha-check", description=(__doc__ or "").partition("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--python", help="a Python that can import homeassistant, or a command that runs one")
    which.add_argument("--install", metavar="VERSION", help="a version to install for this check")
    parser.add_argument(
        "--base", metavar="PYTHON", help="the Python to install it with, which this version must support"
    )
    parser.add_argument(
        "payloads", nargs="*", type=Path, help="files with discovery payloads, instead of the golden ones"
    )
    return parser.parse_args()


def _request(files: list[Path], port: int | None) -> Json:
    from tests.homeassistant.retained_states import retained  # noqa: PLC0415 - found only with the root on the path

    chosen = files or [
        *(_GOLDEN / f"test_{name}_device_matches_golden_payload.json" for name in ("bridge", "clan", "player")),
        *(_SNAPSHOTS / f"test_parts/test_{name}_matches_golden_payload.json" for name in ("league", "raid")),
        *sorted(_SNAPSHOTS.glob("test_leader_parts/test_part_matches_golden_payload*-en*.json")),
    ]
    later = [] if files else [_GOLDEN / "test_clan_device_without_war_matches_golden_payload.json"]
    return {"broker": port, "states": retained(), "devices": _devices(chosen), "devices_later": _devices(later)}


def _devices(files: list[Path]) -> Json:
    """Return the payloads by object id; a part of a device has one of its own."""
    devices: Json = {}
    for file in files:
        payload = json.loads(file.read_text())
        object_id = payload["device"]["identifiers"][0]
        part = re.sub(r"[^a-zA-Z0-9_-]", "_", file.stem)
        devices[f"{object_id}_{part}" if object_id in devices else object_id] = payload
    return devices


def _ask(command: list[str], request: Json) -> Json:
    output = _run([*command, "-c", _INSIDE.read_text()], stdin=json.dumps(request), seconds=_CHECK_TIMEOUT_S)
    report: Json = json.loads(output.splitlines()[-1])
    return report


def _run(command: list[str], *, stdin: str = "", seconds: float = _INSTALL_TIMEOUT_S) -> str:
    shown = " ".join(word for word in command if "\n" not in word)
    try:
        completed = subprocess.run(  # noqa: S603 - the developer's own command line
            command, input=stdin, check=True, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no output"])[-1]
        raise CannotCheckError(f"{shown!r} failed: {reason[:500]}") from error
    except subprocess.TimeoutExpired as error:
        raise CannotCheckError(f"{shown!r} did not finish within {seconds:.0f} s") from error
    except OSError as error:
        raise CannotCheckError(f"{command[0]!r} cannot be run: {error}") from error
    return completed.stdout


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise CannotCheckError(f"Mosquitto does not listen on port {port}: {error}") from error
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def _broker() -> Iterator[int | None]:
    """Run a Mosquitto on the loopback interface and yield its port, None if it is not installed."""
    from tests.support.broker import find_program, free_port  # noqa: PLC0415 - found only with the root on the path

    program = find_program("mosquitto")
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="ha-check-") as folder:
        port = free_port()
        settings = Path(folder, "mosquitto.conf")
        settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        process = subprocess.Popen(  # noqa: S603 - the installed mosquitto
            [program, "-c", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
