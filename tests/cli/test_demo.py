"""The command ``coc2mqtt demo``: what it prints, and how it ends."""

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
from tests.support.bridge_process import environment
from tests.support.broker import free_port
from tests.support.commands import begin, command, end
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from pathlib import Path


def test_demo_without_a_temporary_folder_fails_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/no/folder")
    ended = CliRunner().invoke(app, ["demo"])
    assert ended.exit_code == 1
    error = "coc2mqtt: cannot create a temporary folder: set TMPDIR to a folder that can be written\n"
    assert ended.stderr == error


@pytest.mark.process
async def test_the_demo_names_another_port_where_its_own_is_taken_and_ends_by_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        ended = await command("demo", "--seconds", "1", "--port", str(taken))
    assert (ended.status, ended.err) == (0, "")
    port = int(ended.out.partition("on the broker at 127.0.0.1:")[2].split(maxsplit=1)[0])
    assert port != taken
    assert f"127.0.0.1:{port} ({taken} is taken).\n" in ended.out
    assert f"mosquitto_sub -h 127.0.0.1 -p {port} -v -t 'coc/#'\n" in ended.out


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_demo(number: signal.Signals) -> None:
    process = await begin("demo", "--port", str(free_port()))
    assert process.stdout is not None
    assert await process.stdout.readline()
    process.send_signal(number)
    ended = await end(process)
    assert (ended.status, ended.err) == (0, "")


@pytest.mark.process
async def test_a_reader_that_goes_away_ends_the_demo_in_silence(tmp_path: Path) -> None:
    shown = tmp_path / "errors"
    with shown.open("wb") as errors:
        process = await asyncio.create_subprocess_shell(
            f"{sys.executable} -m coc2mqtt demo --seconds 120 --speed 10 --port {free_port()} | head -n 1",
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=environment(),
        )
        async with asyncio.timeout(LONG_ENOUGH):
            out, _ = await process.communicate()
    assert out.count(b"\n") == 1
    assert shown.read_text() == ""


@pytest.fixture
def fake_uvloop(tmp_path: Path) -> str:
    """Return a path from which a uvloop is imported that prints its name and is asyncio's own loop."""
    (tmp_path / "uvloop.py").write_text(
        "import asyncio\ndef new_event_loop():\n    print('uvloop')\n    return asyncio.new_event_loop()\n"
    )
    return str(tmp_path)


@pytest.mark.process
async def test_demo_runs_on_uvloop_where_it_is_installed(fake_uvloop: str) -> None:
    demo = ("demo", "--seconds", "1", "--port", str(free_port()))
    ended = await command(*demo, PYTHONPATH=fake_uvloop, COC2MQTT_LOOP="auto")
    assert (ended.status, ended.out.splitlines()[0]) == (0, "uvloop")


@pytest.mark.process
async def test_demo_runs_without_uvloop(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    demo = ("demo", "--seconds", "1", "--port", str(free_port()))
    ended = await command(*demo, COC2MQTT_LOOP="auto", PYTHONPATH=str(tmp_path))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("A scripted game is played")
