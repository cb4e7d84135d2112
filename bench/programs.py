"""The processes of a measurement: pinned to a core, observed from outside, stopped together."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self

from bench.machine import cores, cpu_seconds, resident

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

ROOT = Path(__file__).parent.parent
_TIMEOUT_S = 10.0
_POLL_INTERVAL_S = 0.02


class FailedError(RuntimeError):
    """A measured program did not behave as expected, so the figure is missing."""


class Program:
    """A process on one core, as a context manager that kills it at the end.

    Its standard input and output are pipes, its standard error is appended to a file in ``folder``. ``measured``
    selects the core of the program under test, otherwise it shares the other core. With ``ours`` it can import the
    packages of this checkout.
    """

    def __init__(self, name: str, command: Sequence[str | Path], folder: Path, *, measured: bool, ours: bool) -> None:
        self.name = name
        self._command = [str(part) for part in command]
        self._errors = folder / f"{name}.log"
        self._core = cores()[0 if measured else 1]
        self._ours = ours
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("COC2MQTT_")}
        environment.pop("PYTHONPATH", None)
        if self._ours:
            environment["PYTHONPATH"] = str(ROOT)
        with self._errors.open("a") as errors, _on(self._core):
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                cwd=ROOT,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._running.pid

    @property
    def cpu_seconds(self) -> float:
        """Its processor time so far."""
        return cpu_seconds(self.pid)

    @property
    def memory(self) -> tuple[float, float]:
        """Its current and peak resident memory in MB."""
        return resident(self.pid)

    def send_line(self, line: str) -> None:
        """Write a line to its standard input."""
        with contextlib.suppress(BrokenPipeError):
            print(line, file=self._running.stdin, flush=True)

    def read_line(self) -> str:
        """Return the next line that it prints; raises FailedError if it exits instead."""
        stdout = self._running.stdout
        line = stdout.readline() if stdout else ""
        return line.strip() or self.fail("exited without output")

    def check(self) -> None:
        """Raise FailedError if it has exited."""
        if self._running.poll() is not None:
            self.fail(f"exited with status {self._running.returncode}")

    def stop(self, how: signal.Signals) -> int | None:
        """Stop it and wait for its exit; return the exit status, None if it was not started."""
        process, self._process = self._process, None
        if process is None:
            return None
        with process:
            if process.poll() is None:
                process.send_signal(how)
            try:
                process.wait(_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.returncode

    def fail(self, what: str) -> NoReturn:
        """Raise FailedError with the last lines of its standard error."""
        lines = self._errors.read_text(errors="replace").splitlines()[-15:]
        raise FailedError("\n".join([f"{self.name} {what}", *lines]))

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running: start it as a context manager")
        return self._process


def python(*arguments: str | Path) -> list[str | Path]:
    """Return a command that runs this Python."""
    return [sys.executable, *arguments]


def wait_until(is_so: Callable[[], bool], *, seconds: float, what: str, programs: Sequence[Program] = ()) -> None:
    """Wait for a condition; raises FailedError after ``seconds``, or if a program has exited."""
    until = time.monotonic() + seconds
    while not is_so():
        for program in programs:
            program.check()
        if time.monotonic() > until:
            raise FailedError(f"{what}: not within {seconds:g} s")
        time.sleep(_POLL_INTERVAL_S)


@contextlib.contextmanager
def _on(core: int) -> Iterator[None]:
    """Pin the processes started in this context to a core, from their first thread on."""
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {cores()[1]})
