from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.util.runtime import LOOP_VARIABLE, EventLoopError, freeze, loop_factory, run

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeUvloop(ModuleType):
    """Replaces uvloop, whether it is installed or not."""

    class Loop(asyncio.SelectorEventLoop):
        pass

    new_event_loop = Loop


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", FakeUvloop("uvloop"))


@pytest.fixture
def _not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)


async def loop_module() -> str:
    return type(asyncio.get_running_loop()).__module__


def set_loop(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    monkeypatch.delenv(LOOP_VARIABLE, raising=False)
    if name is not None:
        monkeypatch.setenv(LOOP_VARIABLE, name)


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("name", [None, "", "auto", "uvloop"])
def test_run_uses_uvloop_if_it_is_installed(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    set_loop(monkeypatch, name)
    assert run(loop_module()) == __name__


@pytest.mark.usefixtures("_not_installed")
@pytest.mark.parametrize("name", [None, "", "auto"])
def test_run_uses_asyncio_if_uvloop_is_not_installed(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    set_loop(monkeypatch, name)
    assert run(loop_module()).startswith("asyncio.")


@pytest.mark.usefixtures("_installed")
def test_run_uses_asyncio_if_it_is_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    set_loop(monkeypatch, "asyncio")
    assert run(loop_module()).startswith("asyncio.")


@pytest.mark.usefixtures("_not_installed")
def test_selected_uvloop_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    set_loop(monkeypatch, "uvloop")
    with pytest.raises(EventLoopError, match=r"^COC2MQTT_LOOP: uvloop is not installed: "):
        run(loop_module())


def test_unknown_loop_is_an_error_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    set_loop(monkeypatch, "trio")
    with pytest.raises(EventLoopError, match=r"^COC2MQTT_LOOP: must be auto, asyncio or uvloop, got 'trio'$"):
        loop_factory()


async def test_tests_run_on_the_selected_loop(pytestconfig: pytest.Config) -> None:
    assert (await loop_module()).partition(".")[0] in {pytestconfig.getoption("loop"), "looptime"}


@pytest.mark.looptime
async def test_simulated_time_passes_at_once_on_every_loop() -> None:
    async with asyncio.timeout(4000):
        await asyncio.sleep(3600)


class Cycle:
    """An object in a reference cycle."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collector() -> Iterator[None]:
    """Restore the thresholds. Frozen objects stay frozen, as in all tests."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_freeze_excludes_existing_objects_but_no_garbage() -> None:
    kept, before = Cycle(), weakref.ref(Cycle())
    freeze()
    assert before() is None
    assert not any(tracked is kept for tracked in gc.get_objects())
    after = weakref.ref(Cycle())
    gc.collect()
    assert after() is None, "later garbage is collected"
