"""Take the screenshots of the documentation: python -m tests.home.screenshots [FOLDER], by default docs/images."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.home.browser import Browser, browsing
from tests.home.check_automations import install_blueprints
from tests.home.dashboard import URL, clan_path, load_dashboard
from tests.home.home_assistant import wait_until
from tests.home.lab import Lab
from tests.home.node_red import BASE, node_red
from tests.home.setup import running_setup
from tests.support.broker import find_program
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from tests.home.setup import Setup

_IMAGES = ROOT / "docs" / "images"
# The pages do not indicate when they are rendered (seconds).
_RENDER_S = 8
_ROUNDS = 12
# Fewer than there are on the map.
_LEAGUE_ATTACKS = 6
# A blueprint and the name of an automation, by language.
_AUTOMATIONS = {
    "en": ("war_ending", "Attacks left in the war"),
    "de": ("de/war_ending", "Offene Angriffe im Clankrieg"),
}
_CORNER = "document.querySelector('#red-ui-workspace-chart').scrollTo(0, 0)"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.home.screenshots", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=_IMAGES)
    images: Path = parser.parse_args().folder
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="coc2mqtt-pictures-") as folder:
        asyncio.run(_run(Path(folder), images))
    return 0


async def _run(folder: Path, images: Path) -> None:
    lab = Lab()
    for language in ("en", "de"):
        (folder / language).mkdir()
        async with running_setup(
            lab, find_program("mosquitto") or "mosquitto", folder / language, old=False, language=language
        ) as setup:
            await _prepare(setup, language)
            async with browsing(folder / language) as browser:
                await browser.log_in(setup.home, language=language)
                if language != "en":
                    await _translated(setup, browser, images, language)
                    continue
                await _home_assistant(setup, browser, images)
                async with node_red(lab, setup.broker.port, setup.example_tags()) as (red, session):
                    await asyncio.sleep(2)
                    await _apply_changes(setup)
                    await red.press(session, "watch the clan #2PP")
                    await red.press(session, "list the watches")
                    await _node_red(browser, images)


async def _prepare(setup: Setup, language: str) -> None:
    """Start the bridge, create the dashboard and an automation, execute a command, and make news."""
    # A clan without a war, whose war log can be read.
    setup.world.set_war_log_public(setup.private_clan, True)
    await setup.bridge.start()

    async def announced() -> bool:
        return len(await setup.home.devices()) == 5

    await wait_until("all devices", 30, announced)
    await asyncio.sleep(3)
    await load_dashboard(setup)
    await _add_automation(setup, language)
    await setup.home.call("button.press", entity_id=await setup.bridge_entity("refresh"))
    await _play(setup)


async def _add_automation(setup: Setup, language: str) -> None:
    install_blueprints(setup)
    entities = await setup.home.entities()
    clan = setup.device(setup.clan)
    inputs = {
        "war_end": entities[f"{clan}_war_end"]["entity_id"],
        "attacks_left_sensor": entities[f"{clan}_attacks_left"]["entity_id"],
    }
    blueprint, alias = _AUTOMATIONS[language]
    await setup.home.add_automation("attacks_left", blueprint, inputs, alias=alias)


async def _play(setup: Setup) -> None:
    world, clan = setup.world, setup.clan
    for number in range(_ROUNDS):
        world.attack(clan, ("clan", "opponent")[number % 2])
        (world.join, world.donate, world.promote, world.gain_points)[number % 4](clan)
        (world.win_trophies, world.upgrade_troop, world.upgrade_hero)[number % 3](setup.player)
        if number < _LEAGUE_ATTACKS:
            world.league_attack(clan, ("clan", "opponent")[number % 2])
            world.raid_attack(clan, gained=10)
        await asyncio.sleep(3)


async def _apply_changes(setup: Setup) -> None:
    setup.world.join(setup.clan)
    setup.world.attack(setup.clan, "clan")
    setup.world.upgrade_hero(setup.player)
    setup.world.start_maintenance()
    await asyncio.sleep(3)
    setup.world.end_maintenance()
    await asyncio.sleep(5)


async def _home_assistant(setup: Setup, browser: Browser, images: Path) -> None:
    devices = await _device_pages(setup)
    address, dashboard = setup.home.address, f"/{URL}/{clan_path(setup.clan)}"
    for name, path, size in (
        ("clan", devices["clan"], (1280, 3220)),
        ("clan-without-war", devices["clan-without-war"], (1280, 3220)),
        ("player", devices["player"], (1280, 1500)),
        ("bridge", devices["bridge"], (1280, 1900)),
        ("blueprint", "/config/automation/edit/attacks_left", (1100, 1050)),
        ("dashboard-players", f"/{URL}/players", (1500, 1040)),
        ("dashboard-bridge", f"/{URL}/bridge", (1500, 800)),
        ("dashboard", dashboard, (1500, 2043)),
        ("dashboard-phone", dashboard, (500, 4420)),
    ):
        await _shoot(browser, address + path, images / f"home-assistant-{name}.png", size)
    await browser.use_dark_theme(True)
    await _shoot(browser, address + dashboard, images / "home-assistant-dashboard-dark.png", (1500, 2043))
    await browser.use_dark_theme(False)


async def _translated(setup: Setup, browser: Browser, images: Path, language: str) -> None:
    address, devices = setup.home.address, await _device_pages(setup)
    for name, path, size in (
        ("clan", devices["clan"], (1280, 3220)),
        ("dashboard", f"/{URL}/{clan_path(setup.clan)}", (1500, 2043)),
    ):
        await _shoot(browser, address + path, images / f"home-assistant-{name}-{language}.png", size)


async def _device_pages(setup: Setup) -> dict[str, str]:
    """Return the paths of the pages of the devices."""
    devices = await setup.home.devices()
    ids = {
        "clan": devices[setup.device(setup.clan)]["id"],
        "clan-without-war": devices[setup.device(setup.private_clan)]["id"],
        "player": devices[setup.device(setup.player)]["id"],
        "bridge": next(device["id"] for device in devices.values() if device["model"] == "Bridge"),
    }
    return {name: f"/config/devices/device/{device}" for name, device in ids.items()}


async def _shoot(browser: Browser, url: str, image: Path, size: tuple[int, int]) -> None:
    await browser.resize(*size)
    await browser.open(url)
    await asyncio.sleep(_RENDER_S)
    await browser.screenshot(image)


async def _node_red(browser: Browser, images: Path) -> None:
    await browser.resize(1400, 1100)
    await browser.open(f"http://{BASE}/")
    await asyncio.sleep(_RENDER_S)
    for action in ("core:toggle-palette", "core:toggle-sidebar"):
        await browser.run("RED.actions.invoke(arguments[0])", action)
    await browser.resize(1400, 760)
    await asyncio.sleep(2)
    await browser.run(_CORNER)
    await asyncio.sleep(1)
    await browser.screenshot(images / "node-red-events.png")
    await browser.resize(1400, 1100)
    await browser.run("RED.workspaces.show(RED.nodes.getWorkspaceOrder()[1])")
    await asyncio.sleep(1)
    await browser.run(_CORNER)
    await asyncio.sleep(1)
    await browser.screenshot(images / "node-red-watches.png")


if __name__ == "__main__":
    sys.exit(main())
