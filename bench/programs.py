"""The processes of a measurement: started on a core, looked at from outside, ended together."""

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
_PATIENCE = 10.0
_LOOK = 0.02


class FailedError(RuntimeError):
    """What was measured did not do what it was to do, so there is no figure."""


class Program:
    """A process on one core, from entering until leaving, when it is killed if it has not ended.

    Its standard input and output are pipes, its standard error goes into a file in ``folder``. ``measured`` puts it on
    the core of the program under test, else it shares that of everything else. With ``ours`` it finds the packages of
    this checkout.
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
        self.end(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._running.pid

    @property
    def cpu_seconds(self) -> float:
        """The processor time that it has used so far."""
        return cpu_seconds(self.pid)

    @property
    def memory(self) -> tuple[float, float]:
        """Its resident memory in MB, now and at most so far."""
        return resident(self.pid)

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        with contextlib.suppress(BrokenPipeError):
            print(line, file=self._running.stdin, flush=True)

    def hear(self) -> str:
        """Return the next line that it prints; FailedError where it ends instead."""
        stdout = self._running.stdout
        line = stdout.readline() if stdout else ""
        return line.strip() or self.fail("ended without a word")

    def check(self) -> None:
        """Raise FailedError where it has ended."""
        if self._running.poll() is not None:
            self.fail(f"has ended with {self._running.returncode}")

    def end(self, how: signal.Signals) -> int | None:
        """End it, if it has not ended, and wait for it; returns its exit status, None if it was not started."""
        process, self._process = self._process, None
        if process is None:
            return None
        with process:
            if process.poll() is None:
                process.send_signal(how)
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.returncode

    def fail(self, what: str) -> NoReturn:
        """Raise FailedError with the last lines that it wrote about itself."""
        lines = self._errors.read_text(errors="replace").splitlines()[-15:]
        raise FailedError("\n".join([f"{self.name} {what}", *lines]))

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run: enter it")
        return self._process


def python(*arguments: str | Path) -> list[str | Path]:
    """Return a command that runs this Python."""
    return [sys.executable, *arguments]


def wait_until(is_so: Callable[[], bool], *, seconds: float, what: str, programs: Sequence[Program] = ()) -> None:
    """Look until something is so; FailedError where it is not within so many seconds, or a program has ended."""
    until = time.monotonic() + seconds
    while not is_so():
        for program in programs:
            program.check()
        if time.monotonic() > until:
            raise FailedError(f"{what}: not within {seconds:g} s")
        time.sleep(_LOOK)


@contextlib.contextmanager
def _on(core: int) -> Iterator[None]:
    """Have what is started within run on a core, from its first thread on."""
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {cores()[1]})
