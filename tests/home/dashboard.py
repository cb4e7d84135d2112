"""The dashboard in a real Home Assistant, adapted as by a user and shown in a browser."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import yaml

from tests.home.browser import browsing, has_browser
from tests.home.home_assistant import wait_until
from tests.home.setup import INSTANCE
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.home.browser import Browser
    from tests.home.report import Report
    from tests.home.setup import Setup

URL = "clash-of-clans"
_FILE = ROOT / "config" / "dashboard.yaml"
_TIMEOUT_S = 60.0
# Elements that the front end shows in place of a broken card, or on it.
_ERRORS = ("hui-error-card", "hui-warning", "hui-warning-element", "hui-error-badge", "hui-error-heading-badge")


async def load_dashboard(setup: Setup) -> None:
    """Create the dashboard with the setup's clan, player and bridge."""
    text = await asyncio.to_thread(_FILE.read_text)
    for word, own in (
        ("2pp", setup.clan.removeprefix("#").lower()),
        ("900pucpv", setup.player.removeprefix("#").lower()),
        ("coc2mqtt_home", f"coc2mqtt_{INSTANCE}"),
    ):
        text = text.replace(word, own)
    config = yaml.safe_load(text)
    about = {"url_path": URL, "title": "Clash of Clans", "icon": "mdi:shield-sword", "mode": "storage"}
    await setup.home.send_command("lovelace/dashboards/create", **about, show_in_sidebar=True, require_admin=False)
    await setup.home.send_command("lovelace/config/save", url_path=URL, config=config)


async def show_dashboard(setup: Setup, browser: Browser) -> None:
    """Open the dashboard and return when its cards are shown; the browser must be logged in."""
    await browser.open(f"{setup.home.address}/{URL}/clan")

    async def shown() -> bool:
        elements = await browser.elements()
        return elements.get("hui-tile-card", 0) > 10 and "hui-entities-card" in elements

    await wait_until("the cards of the dashboard", _TIMEOUT_S, shown)
    await asyncio.sleep(3)


async def check_dashboard(setup: Setup, report: Report, folder: Path) -> None:
    """Check that the dashboard loads, and that each of its cards finds its entities."""
    if setup.home.old:
        report.info("The dashboard was skipped: this Home Assistant uses other entity ids")
        return
    await load_dashboard(setup)
    if not has_browser():
        report.info(
            "The dashboard was not opened in a browser: chromedriver is not installed "
            "(Debian: apt install chromium-driver)"
        )
        return
    async with browsing(folder) as browser:
        await browser.resize(1400, 1600)
        await browser.log_in(setup.home)
        problems, cards = [], 0
        try:
            await show_dashboard(setup, browser)
        except TimeoutError as error:
            problems.append(str(error))
        elements = await browser.elements()
        cards = sum(n for name, n in elements.items() if name.startswith("hui-") and name.endswith("-card"))
        problems += [f"{n} {name}" for name, n in elements.items() if name in _ERRORS]
        problems += await browser.texts(*_ERRORS)
    report.check("the dashboard shows every card without an error", problems, f"{cards} cards")
