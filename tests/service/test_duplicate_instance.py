"""Two bridges with the same client ID."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.bridge_process import BridgeProcess
from tests.support.observer import observing
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartMosquitto
    from tests.support.bridge_process import MakeSettings

pytestmark = pytest.mark.process

INFO, STATE = "coc/bridge/info", "coc/bridge/state"
TAKEN_OVER = "took over this client ID"


async def test_replaced_bridge_logs_the_takeover_and_stays_disconnected(
    mosquitto: StartMosquitto, settings: MakeSettings, tmp_path: Path
) -> None:
    broker = mosquitto()
    first, second = (BridgeProcess(_folder(tmp_path, name), settings(broker.port)) for name in ("pi", "nas"))
    try:
        async with observing(broker.port) as observer, asyncio.timeout(LONG_ENOUGH):
            await first.start()
            await observer.wait_until(lambda: observer.retained(INFO), "the first bridge")
            first_run_id = observer.retained(INFO)["run_id"]
            await second.start()
            await first.wait_for_log(TAKEN_OVER)

            # If the broker does not report the takeover, the first bridge reconnects once and disconnects the second.
            await observer.wait_until(
                lambda: (
                    observer.retained(STATE) == {"state": "online"}
                    and observer.retained(INFO)["run_id"] != first_run_id
                    and second.last_line.count("connected to the broker") == 1
                ),
                "the second bridge, undisturbed",
            )
            named, unnamed = "'home' has taken over the connection: stop one of the two", "stop it, or give each bridge"
            assert named in first.log or unnamed in first.log
            assert await second.stop() == 0
            await observer.wait_for_bridge_state("offline")
            assert await first.stop() == 0
        assert TAKEN_OVER not in second.log
        assert "Traceback" not in first.log + second.log
    finally:
        for bridge in (first, second):
            await bridge.kill_if_running()


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
