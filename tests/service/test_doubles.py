"""Two bridges where there should be one, as their user sees them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.bridge_process import BridgeProcess
from tests.support.observer import observing
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import StartMosquitto

    MakeSettings = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.process

INFO, STATE = "coc/bridge/info", "coc/bridge/state"


async def test_the_bridge_that_was_replaced_says_so_and_leaves_the_place_to_the_other(
    mosquitto: StartMosquitto, settings: MakeSettings, tmp_path: Path
) -> None:
    broker = mosquitto()
    first, second = [BridgeProcess(folder, settings(broker.port)) for folder in _folders(tmp_path, "pi", "nas")]
    try:
        async with observing(broker.port) as observer, asyncio.timeout(LONG_ENOUGH):
            await first.start()
            await observer.until(lambda: observer.retained(INFO), "the first one")
            of_first = observer.retained(INFO)["run_id"]
            await second.start()
            while "took over this client ID" not in first.log:  # noqa: ASYNC110 - nothing tells of a line in a file
                await asyncio.sleep(0.05)

            # If the broker does not report the take-over, the first one connects once more and disconnects the second.
            await observer.until(
                lambda: (
                    observer.retained(STATE) == {"state": "online"}
                    and observer.retained(INFO)["run_id"] != of_first
                    and second.log.rstrip().splitlines()[-1].count("connected to the broker") == 1
                ),
                "the second one, undisturbed",
            )
            named, unnamed = "'home' has taken over the connection: stop one of the two", "stop it, or give each bridge"
            assert named in first.log or unnamed in first.log
            assert await second.end() == 0
            await observer.until(lambda: observer.retained(STATE) == {"state": "offline"}, "its goodbye")
            assert await first.end() == 0
        assert "took over this client ID" not in second.log
        assert "Traceback" not in first.log + second.log
    finally:
        for one in (first, second):
            await one.kill_if_running()


def _folders(parent: Path, *names: str) -> list[Path]:
    folders = [parent / name for name in names]
    for folder in folders:
        folder.mkdir()
    return folders
