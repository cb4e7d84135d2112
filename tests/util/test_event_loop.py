from __future__ import annotations

import asyncio
import sys
from types import ModuleType

import pytest

from coc2mqtt.util.event_loop import LOOP_VARIABLE, EventLoopError, loop_factory, run


class FakeUvloop(ModuleType):
    """Stands for uvloop, whether it is installed or not."""

    class Loop(asyncio.SelectorEventLoop):
        pass

    new_event_loop = Loop


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", FakeUvloop("uvloop"))


@pytest.fixture
def _not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)


async def name_of_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def choose(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    monkeypatch.delenv(LOOP_VARIABLE, raising=False)
    if name is not None:
        monkeypatch.setenv(LOOP_VARIABLE, name)


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("name", [None, "", "auto", "uvloop"])
def test_run_uses_uvloop_where_it_is_installed(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, name)
    assert run(name_of_loop()) == __name__


@pytest.mark.usefixtures("_not_installed")
@pytest.mark.parametrize("name", [None, "", "auto"])
def test_run_uses_asyncio_where_uvloop_is_absent(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, name)
    assert run(name_of_loop()).startswith("asyncio.")


@pytest.mark.usefixtures("_installed")
def test_run_uses_asyncio_where_it_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "asyncio")
    assert run(name_of_loop()).startswith("asyncio.")


@pytest.mark.usefixtures("_not_installed")
def test_chosen_uvloop_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "uvloop")
    with pytest.raises(EventLoopError, match=r"^COC2MQTT_LOOP: uvloop is not installed: "):
        run(name_of_loop())


def test_unknown_loop_is_an_error_that_lists_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, "trio")
    with pytest.raises(EventLoopError, match=r"^COC2MQTT_LOOP: must be auto, asyncio or uvloop, got 'trio'$"):
        loop_factory()


async def test_tests_run_on_the_loop_that_was_chosen(pytestconfig: pytest.Config) -> None:
    assert (await name_of_loop()).partition(".")[0] in {pytestconfig.getoption("loop"), "looptime"}


@pytest.mark.looptime
async def test_simulated_time_passes_at_once_on_any_loop() -> None:
    async with asyncio.timeout(4000):
        await asyncio.sleep(3600)
