"""``coc2mqtt demo``: its output and its exit."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from coc2mqtt.cli.app import app
from coc2mqtt.cli.demo import _settings
from coc2mqtt.demo import World
from tests.support.bridge_process import environment
from tests.support.broker import free_port
from tests.support.commands import complete, run_command, start_command
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from pathlib import Path


def test_demo_without_a_temporary_folder_fails_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/no/folder")
    completed = CliRunner().invoke(app, ["demo"])
    assert completed.exit_code == 1
    error = "coc2mqtt: cannot create a temporary folder: set TMPDIR to a writable folder\n"
    assert completed.stderr == error


def test_demo_is_reminded_a_minute_before_the_end_of_a_war_and_of_a_raid_weekend(tmp_path: Path) -> None:
    """The default times are hours, and nothing in the demo lasts that long."""
    for watch in _settings(World(), "http://127.0.0.1:1", 1883, tmp_path).watch.clans:
        assert (watch.reminders.war, watch.reminders.raid, watch.reminders.cwl) == ([60.0], [60.0], [])


@pytest.mark.process
async def test_demo_uses_a_free_port_if_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        completed = await run_command("demo", "--seconds", "1", "--port", str(taken))
    assert (completed.status, completed.err) == (0, "")
    port = int(completed.out.partition("on the broker at 127.0.0.1:")[2].split(maxsplit=1)[0])
    assert port != taken
    assert f"127.0.0.1:{port} ({taken} is taken).\n" in completed.out
    assert f"mosquitto_sub -h 127.0.0.1 -p {port} -v -t 'coc/#'\n" in completed.out


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signal_stops_the_demo(number: signal.Signals) -> None:
    process = await start_command("demo", "--port", str(free_port()))
    assert process.stdout is not None
    assert await process.stdout.readline()
    process.send_signal(number)
    completed = await complete(process)
    assert (completed.status, completed.err) == (0, "")


@pytest.mark.process
async def test_demo_with_closed_output_pipe_stops_silently(tmp_path: Path) -> None:
    error_file = tmp_path / "errors"
    with error_file.open("wb") as errors:
        process = await asyncio.create_subprocess_shell(
            f"{sys.executable} -m coc2mqtt demo --seconds 120 --speed 10 --port {free_port()} | head -n 1",
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=environment(),
        )
        async with asyncio.timeout(LONG_ENOUGH):
            out, _ = await process.communicate()
    assert out.count(b"\n") == 1
    assert error_file.read_text() == ""


@pytest.fixture
def fake_uvloop(tmp_path: Path) -> str:
    """Return a folder with a fake uvloop, which prints its name and creates a loop of asyncio."""
    (tmp_path / "uvloop.py").write_text(
        "import asyncio\ndef new_event_loop():\n    print('uvloop')\n    return asyncio.new_event_loop()\n"
    )
    return str(tmp_path)


@pytest.mark.process
async def test_demo_runs_on_uvloop_if_it_is_installed(fake_uvloop: str) -> None:
    demo = ("demo", "--seconds", "1", "--port", str(free_port()))
    completed = await run_command(*demo, PYTHONPATH=fake_uvloop, COC2MQTT_LOOP="auto")
    assert (completed.status, completed.out.splitlines()[0]) == (0, "uvloop")


@pytest.mark.process
async def test_demo_runs_without_uvloop(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    demo = ("demo", "--seconds", "1", "--port", str(free_port()))
    completed = await run_command(*demo, COC2MQTT_LOOP="auto", PYTHONPATH=str(tmp_path))
    assert (completed.status, completed.err) == (0, "")
    assert completed.out.startswith("Playing a scripted game")
