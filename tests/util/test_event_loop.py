from __future__ import annotations

import asyncio
import sys
from types import ModuleType

import pytest

from coc2mqtt.util.event_loop import LOOP_VARIABLE, EventLoopError, loop_factory, run


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
