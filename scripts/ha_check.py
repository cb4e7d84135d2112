"""Check the golden discovery payloads with a real Home Assistant; ends with 1 where it finds a fault.

    ha-check --python /path/to/python       one in which Home Assistant can be imported; may be a whole command
    ha-check --install 2024.12.5            installs that version for this check, with the ordinary pip

First each payload goes through the MQTT integration's own schemas: a complaint or a key that is dropped is a fault.
Then the integration itself is started, alone and against a Mosquitto of this check: the devices are announced, states
and events and nonsense are published, the devices are taken away. An entity that does not come, shows nothing or does
not go is a fault, and so is every line in its log that is a warning or worse. Run it in the environment of the tests.
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
_GOLDEN = _ROOT / "tests/homeassistant/__snapshots__/test_devices"
_INSIDE = Path(__file__).with_name("ha_check_inside.py")
_LONGEST_START = 10.0
_LONGEST_CHECK = 300.0
_LONGEST_INSTALLATION = 1800.0
_FIRST_WITH_PYTHON_3_14 = (2026, 3)


def main() -> int:
    """Check as the command line says."""
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
    for line in verdict(report, with_broker=port is not None):
        print(line)
    return 1 if report["faults"] else 0


class CannotCheckError(Exception):
    """There is no Home Assistant to check with; the text says why."""


def verdict(report: Json, *, with_broker: bool) -> list[str]:
    """Return what a report says, in lines."""
    lines = [f"Home Assistant {report['version']}: {fault}" for fault in [*report["faults"], *report["notes"]]]
    live = f"{report['entities']} entities with a broker"
    if not report["entities"]:
        live = "NOT RUN with a broker: " + (
            "mend what the schemas say" if with_broker else "Mosquitto is not installed"
        )
    checked = f"{report['components']} components against its schemas, {live}"
    return [*lines, f"Home Assistant {report['version']}: {checked}; {len(report['faults'])} faults"]


@contextlib.contextmanager
def installed(version: str, base: str | None = None) -> Iterator[str]:
    """Install a Home Assistant and what its MQTT integration needs, give the path of its Python, and remove it."""
    if not re.fullmatch(r"\d{4}\.\d{1,2}\.\d+(b\d+)?", version):
        raise CannotCheckError(f"{version!r} is no version of Home Assistant: write it like 2026.11.0")
    year, month = (int(number) for number in version.split(".")[:2])
    base = base or ("python3.14" if (year, month) >= _FIRST_WITH_PYTHON_3_14 else "python3.13")
    try:
        _run([base, "-c", "import venv"])
    except CannotCheckError as error:
        raise CannotCheckError(f"there is no {base} with venv: name another with --base") from error
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
    which.add_argument("--python", help="a Python in which homeassistant can be imported, or a command that runs one")
    which.add_argument("--install", metavar="VERSION", help="a version to install for this check alone")
    parser.add_argument("--base", metavar="PYTHON", help="the Python to install with; one that the version can run on")
    parser.add_argument("payloads", nargs="*", type=Path, help="files with a discovery payload, instead of the golden")
    return parser.parse_args()


def _request(files: list[Path], port: int | None) -> Json:
    from tests.homeassistant.retained_states import retained  # noqa: PLC0415 - found only with the root on the path

    chosen = files or [
        _GOLDEN / f"test_{name}_is_announced_like_this.json" for name in ("the_bridge", "a_clan", "a_player")
    ]
    later = [] if files else [_GOLDEN / "test_a_clan_without_war_is_announced_like_this.json"]
    return {"broker": port, "states": retained(), "devices": _devices(chosen), "devices_later": _devices(later)}


def _devices(files: list[Path]) -> Json:
    payloads = [json.loads(file.read_text()) for file in files]
    return {payload["device"]["identifiers"][0]: payload for payload in payloads}


def _ask(command: list[str], request: Json) -> Json:
    said = _run([*command, "-c", _INSIDE.read_text()], stdin=json.dumps(request), seconds=_LONGEST_CHECK)
    report: Json = json.loads(said.splitlines()[-1])
    return report


def _run(command: list[str], *, stdin: str = "", seconds: float = _LONGEST_INSTALLATION) -> str:
    shown = " ".join(word for word in command if "\n" not in word)
    try:
        ended = subprocess.run(  # noqa: S603 - the developer's own command line
            command, input=stdin, check=True, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CannotCheckError(f"{shown!r} has failed: {reason[:500]}") from error
    except subprocess.TimeoutExpired as error:
        raise CannotCheckError(f"{shown!r} was not done after {seconds:.0f} seconds") from error
    except OSError as error:
        raise CannotCheckError(f"{command[0]!r} cannot be run: {error}") from error
    return ended.stdout


def _wait_for(port: int) -> None:
    end = time.monotonic() + _LONGEST_START
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError as error:
            if time.monotonic() > end:
                raise CannotCheckError(f"Mosquitto does not listen on port {port}: {error}") from error
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def _broker() -> Iterator[int | None]:
    """Run a Mosquitto on the loopback and give its port, None where it is not installed."""
    from tests.support.broker import find_program, free_port  # noqa: PLC0415 - found only with the root on the path

    program = find_program("mosquitto")
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="ha-check-") as folder:
        port = free_port()
        settings = Path(folder, "mosquitto.conf")
        settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        process = subprocess.Popen(  # noqa: S603 - what the system calls mosquitto
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
