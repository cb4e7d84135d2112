"""The dashboard that the command prints, in a real Home Assistant and shown in a browser."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import yaml

from tests.home.browser import browsing, has_browser
from tests.home.home_assistant import wait_until
from tests.support.commands import run_command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.home.browser import Browser
    from tests.home.report import Report
    from tests.home.setup import Setup

URL = "clash-of-clans"
_TIMEOUT_S = 60.0
_MIN_TILES = 3
# Elements that the front end shows in place of a broken card, or on it.
_ERRORS = ("hui-error-card", "hui-warning", "hui-warning-element", "hui-error-badge", "hui-error-heading-badge")


async def load_dashboard(setup: Setup) -> list[str]:
    """Create the dashboard that ``coc2mqtt dashboard`` prints, and return the paths of its views."""
    completed = await run_command("dashboard", "--config", str(setup.bridge.config))
    if completed.status:
        raise RuntimeError(completed.err)
    config = yaml.safe_load(completed.out)
    about = {"url_path": URL, "title": config["title"], "icon": "mdi:shield-sword", "mode": "storage"}
    await setup.home.send_command("lovelace/dashboards/create", **about, show_in_sidebar=True, require_admin=False)
    await setup.home.send_command("lovelace/config/save", url_path=URL, config=config)
    return [view["path"] for view in config["views"]]


def clan_path(tag: str) -> str:
    """Return the path of a clan's view."""
    return f"clan-{tag.removeprefix('#').lower()}"


async def show_dashboard(setup: Setup, browser: Browser, path: str) -> None:
    """Open a view of the dashboard and return when its cards are shown; the browser must be logged in."""
    await browser.open(f"{setup.home.address}/{URL}/{path}")

    async def shown() -> bool:
        elements = await browser.elements()
        return elements.get("hui-tile-card", 0) > _MIN_TILES and "hui-markdown-card" in elements

    await wait_until(f"the cards of the dashboard's view {path}", _TIMEOUT_S, shown)
    await asyncio.sleep(3)


async def check_dashboard(setup: Setup, report: Report, folder: Path) -> None:
    """Check that the dashboard loads, and that each of its cards finds its entities."""
    if setup.home.old:
        report.info("The dashboard was skipped: this Home Assistant uses other entity ids")
        return
    paths = await load_dashboard(setup)
    if not has_browser():
        report.info(
            "The dashboard was not opened in a browser: chromedriver is not installed "
            "(Debian: apt install chromium-driver)"
        )
        return
    async with browsing(folder) as browser:
        await browser.resize(1400, 1600)
        await browser.log_in(setup.home)
        problems: list[str] = []
        cards = 0
        for path in paths:
            try:
                await show_dashboard(setup, browser, path)
            except TimeoutError as error:
                problems.append(str(error))
            elements = await browser.elements()
            cards += sum(n for name, n in elements.items() if name.startswith("hui-") and name.endswith("-card"))
            problems += [f"{path}: {n} {name}" for name, n in elements.items() if name in _ERRORS]
            problems += await browser.texts(*_ERRORS)
    report.check(
        "the dashboard of the command shows every card without an error", problems, f"{len(paths)} views, {cards} cards"
    )
