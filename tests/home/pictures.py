"""Take the pictures of the documentation anew: python -m tests.home.pictures [FOLDER], docs/images by default."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.home.browser import Browser, browsing
from tests.home.check_automations import install_blueprints
from tests.home.dashboard import load_dashboard, show_dashboard
from tests.home.home_assistant import until
from tests.home.lab import Lab
from tests.home.node_red import BASE, node_red
from tests.home.stage import staging
from tests.support.broker import find_program
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from tests.home.stage import Stage

_IMAGES = ROOT / "docs" / "images"
# The pages have no simple sign of having drawn everything (seconds).
_DRAWN = 8
_ROUNDS = 12
_CORNER = "document.querySelector('#red-ui-workspace-chart').scrollTo(0, 0)"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.home.pictures", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=_IMAGES)
    images: Path = parser.parse_args().folder
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="coc2mqtt-pictures-") as folder:
        asyncio.run(_run(Path(folder), images))
    return 0


async def _run(folder: Path, images: Path) -> None:
    lab = Lab()
    async with staging(lab, find_program("mosquitto") or "mosquitto", folder, old=False) as stage:
        await stage.bridge.start()

        async def announced() -> bool:
            return len(await stage.home.devices()) == 5

        await until("all devices", 30, announced)
        await asyncio.sleep(3)
        await load_dashboard(stage)
        await _automate(stage)
        await _play(stage)
        async with browsing(folder) as browser:
            await browser.log_in(stage.home)
            await _home_assistant(stage, browser, images)
            async with node_red(lab, stage.broker.port) as (red, session):
                await asyncio.sleep(2)
                await _happen(stage)
                await red.press(session, "watch the clan #2PP")
                await red.press(session, "list the watches")
                await _node_red(browser, images)


async def _automate(stage: Stage) -> None:
    install_blueprints(stage)
    entities = await stage.home.entities()
    clan = stage.device(stage.clan)
    inputs = {
        "war_end": entities[f"{clan}_war_end"]["entity_id"],
        "attacks_left_sensor": entities[f"{clan}_attacks_left"]["entity_id"],
    }
    await stage.home.add_automation("attacks_left", "war_ending", inputs, alias="Attacks left in the war")


async def _play(stage: Stage) -> None:
    world, clan = stage.world, stage.clan
    for number in range(_ROUNDS):
        world.attack(clan, ("clan", "opponent")[number % 2])
        (world.join, world.donate, world.promote, world.gain_points)[number % 4](clan)
        (world.win_trophies, world.upgrade_troop, world.upgrade_hero)[number % 3](stage.player)
        await asyncio.sleep(3)


async def _happen(stage: Stage) -> None:
    stage.world.join(stage.clan)
    stage.world.attack(stage.clan, "clan")
    stage.world.upgrade_hero(stage.player)
    stage.world.start_maintenance()
    await asyncio.sleep(3)
    stage.world.end_maintenance()
    await asyncio.sleep(5)


async def _home_assistant(stage: Stage, browser: Browser, images: Path) -> None:
    devices = await stage.home.devices()
    bridge = next(device["id"] for device in devices.values() if device["model"] == "Bridge")
    for name, path, size in (
        ("clan", f"/config/devices/device/{devices[stage.device(stage.clan)]['id']}", (1280, 2000)),
        ("player", f"/config/devices/device/{devices[stage.device(stage.player)]['id']}", (1280, 1350)),
        ("bridge", f"/config/devices/device/{bridge}", (1280, 1500)),
        ("blueprint", "/config/automation/edit/attacks_left", (1100, 1050)),
    ):
        await browser.resize(*size)
        await browser.open(stage.home.address + path)
        await asyncio.sleep(_DRAWN)
        await browser.picture(images / f"home-assistant-{name}.png")
    await browser.resize(1500, 1450)
    await show_dashboard(stage, browser)
    await asyncio.sleep(_DRAWN)
    await browser.picture(images / "home-assistant-dashboard.png")


async def _node_red(browser: Browser, images: Path) -> None:
    await browser.resize(1400, 1100)
    await browser.open(f"http://{BASE}/")
    await asyncio.sleep(_DRAWN)
    for action in ("core:toggle-palette", "core:toggle-sidebar"):
        await browser.run("RED.actions.invoke(arguments[0])", action)
    await browser.resize(1400, 760)
    await asyncio.sleep(2)
    await browser.run(_CORNER)
    await asyncio.sleep(1)
    await browser.picture(images / "node-red-events.png")
    await browser.resize(1400, 1100)
    await browser.run("RED.workspaces.show(RED.nodes.getWorkspaceOrder()[1])")
    await asyncio.sleep(1)
    await browser.run(_CORNER)
    await asyncio.sleep(1)
    await browser.picture(images / "node-red-watches.png")


if __name__ == "__main__":
    sys.exit(main())
