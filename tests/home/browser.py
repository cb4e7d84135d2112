"""A real browser for Home Assistant's and Node-RED's pages, driven by ChromeDriver."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.support.broker import find_program, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.home.home_assistant import Home

Json = dict[str, Any]

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
# WebDriver's code of the key.
_ENTER = "\ue007"
# Collects all elements of a page, including those in shadow roots.
WALK = """
  const found = [];
  const walk = root => root.querySelectorAll('*').forEach(element => {
    found.push(element);
    if (element.shadowRoot) walk(element.shadowRoot);
  });
  walk(document);
"""


def has_browser() -> bool:
    """Return whether Chromium and its driver are installed."""
    return find_program("chromedriver") is not None


class Browser:
    """One window; widths and heights are in pixels."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def open(self, address: str) -> None:
        """Load a page; it may not be rendered yet when this returns."""
        await self._command("url", {"url": address})

    async def resize(self, width: int, height: int) -> None:
        """Resize the window."""
        await self._command("window/rect", {"width": width, "height": height})

    async def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page and return what it returns."""
        return await self._command("execute/sync", {"script": script, "args": list(arguments)})

    async def elements(self) -> dict[str, int]:
        """Return the number of elements of each name in the page."""
        counts: dict[str, int] = await self.run(
            WALK + "const counts = {}; found.forEach(one => { const name = one.localName;"
            " counts[name] = (counts[name] || 0) + 1; }); return counts;"
        )
        return counts

    async def texts(self, *names: str) -> list[str]:
        """Return the text of all elements with these names."""
        found: list[str] = await self.run(
            WALK + "return found.filter(one => arguments[0].includes(one.localName))"
            ".map(one => ((one.shadowRoot || one).textContent || one.textContent || '').trim().slice(0, 300));",
            list(names),
        )
        return found

    async def type(self, find: str, *arguments: Any, text: str) -> None:
        """Type a text and Enter into the input element that a script returns."""
        element = await self.run(find, *arguments)
        await self._command(f"element/{next(iter(element.values()))}/value", {"text": f"{text}{_ENTER}"})

    async def screenshot(self, path: Path) -> None:
        """Save a screenshot of the window as a PNG."""
        data = base64.b64decode(await self._command("screenshot", None))
        await asyncio.to_thread(path.write_bytes, data)

    async def use_dark_theme(self, dark: bool) -> None:
        """Choose the theme that pages prefer."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        command = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
        await self._command("goog/cdp/execute", command)

    async def log_in(self, home: Home, *, language: str = "en") -> None:
        """Log in to Home Assistant's pages, shown in a language."""
        await self.open(f"{home.address}/manifest.json")
        token = {
            "access_token": home.token,
            "token_type": "Bearer",
            "expires_in": 3600,
            "hassUrl": home.address,
            "clientId": f"{home.address}/",
            "refresh_token": "",
            "expires": int(time.time() * 1000) + 3_600_000,
        }
        await self.run(
            "localStorage.setItem('hassTokens', arguments[0]); localStorage.setItem('selectedLanguage', arguments[1]);"
            "localStorage.setItem('dockedSidebar', '\"always_hidden\"');",
            *(json.dumps(token), json.dumps(language)),
        )

    async def _command(self, command: str, body: Json | None) -> Any:
        method = "GET" if body is None else "POST"
        async with self._session.request(method, f"{self._url}/{command}", json=body) as response:
            answer = (await response.json())["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{command}: {answer.get('message')}")
        return answer


@contextlib.asynccontextmanager
async def browsing(folder: Path) -> AsyncIterator[Browser]:
    """Open a window; the browser keeps its files in the folder."""
    port = free_port()
    log = folder / "chromedriver.log"
    with log.open("wb") as output:
        driver = await asyncio.create_subprocess_exec(
            find_program("chromedriver") or "chromedriver",
            *(f"--port={port}", "--allowed-ips=127.0.0.1"),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{port}"
            await _wait_for_driver(session, base)
            options = {"args": [*_FLAGS, f"--user-data-dir={folder / 'chromium'}"]}
            wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
            async with session.post(f"{base}/session", json={"capabilities": wanted}) as response:
                opened = (await response.json())["value"]
            if "sessionId" not in opened:
                raise RuntimeError(f"Chromium does not start: {opened.get('message')}")
            url = f"{base}/session/{opened['sessionId']}"
            yield Browser(session, url)
            async with session.delete(url):
                pass
    finally:
        driver.terminate()
        await driver.wait()


async def _wait_for_driver(session: aiohttp.ClientSession, base: str) -> None:
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{base}/status") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.1)
