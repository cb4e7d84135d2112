"""A real Home Assistant, inspected and used through its own web APIs."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.home.lab import Lab

Json = dict[str, Any]

PORT = 8139
_ENTRY = re.compile(r"^\S+ \S+ (DEBUG|INFO|WARNING|ERROR|CRITICAL|FATAL) ")
_BIRTH_LINE = "birth message sent"
# Logged by the action of each test automation; these lines survive every restart.
_ACTION_LINE = re.compile(r"\[coc2mqtt\.fired\] (\w+)=(.*)$")


class AutomationRun(NamedTuple):
    """An executed action of an automation, with its text."""

    automation: str
    text: str


class Home:
    """One Home Assistant at ``address``, whose MQTT integration uses the broker on a port.

    An ``old`` one does not support ``default_entity_id``: it derives entity ids from names.
    """

    def __init__(self, lab: Lab, broker_port: int, *, old: bool = False) -> None:
        self.version = "?"
        self.old = old
        self._lab = lab
        self._broker_port = broker_port
        self._options = ("--port", str(PORT), *(("--old",) if old else ()))
        self.address = f"http://127.0.0.1:{PORT}"
        self._folder = lab.run_files / f"ha-{PORT}"
        self._runs = False

    @property
    def config(self) -> Path:
        """The configuration folder."""
        return self._folder / "config"

    async def start(self, *, keep: bool) -> None:
        """Start it and return when it is running; without ``keep`` with a new configuration."""
        await self._lab.run("ha_start.sh", str(self._broker_port), *self._options, *(("--keep",) if keep else ()))
        self._runs = True
        self.version = (await self.get("/api/config"))["version"]

    async def stop(self) -> None:
        """Stop it if it is running."""
        if self._runs:
            await self._lab.run("ha_stop.sh", "--port", str(PORT))
            self._runs = False

    async def get(self, path: str) -> Any:
        """Send a GET request to its REST API."""
        return await self._request("GET", path)

    async def post(self, path: str, body: object) -> Any:
        """Send a POST request to its REST API."""
        return await self._request("POST", path, body)

    async def call(self, service: str, **data: Any) -> None:
        """Call a service such as ``text.set_value``."""
        await self.post(f"/api/services/{service.replace('.', '/')}", data)

    async def send_command(self, command: str, **data: Any) -> Any:
        """Send one command over its WebSocket and return the result; raises RuntimeError if it fails."""
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{self.address}/api/websocket", max_msg_size=0) as socket,
        ):
            await socket.receive_json(timeout=10)
            await socket.send_json({"type": "auth", "access_token": self.token})
            await socket.receive_json(timeout=10)
            await socket.send_json({"id": 1, "type": command, **data})
            answer = await socket.receive_json(timeout=60)
        if not answer.get("success"):
            raise RuntimeError(f"{command}: {answer.get('error')}")
        return answer["result"]

    async def states(self) -> dict[str, Json]:
        """Return all states by entity id."""
        return {state["entity_id"]: state for state in await self.get("/api/states")}

    async def entities(self) -> dict[str, Json]:
        """Return the registry's MQTT entities by unique id."""
        entries = await self.send_command("config/entity_registry/list")
        return {entry["unique_id"]: entry for entry in entries if entry["platform"] == "mqtt"}

    async def devices(self) -> dict[str, Json]:
        """Return the registry's MQTT devices by identifier."""
        devices = await self.send_command("config/device_registry/list")
        return {own[1]: device for device in devices for own in device["identifiers"] if own[0] == "mqtt"}

    async def wait_for_birth(self, seconds: float) -> None:
        """Wait until it has sent its birth message, which it does some seconds after the last discovery payload."""

        async def is_sent() -> bool:
            return _BIRTH_LINE in self._log()

        await wait_until("the birth message of Home Assistant", seconds, is_sent)

    async def reload_mqtt(self) -> None:
        """Reload its MQTT integration, as a user can."""
        entries = await self.send_command("config_entries/get")
        entry = next(entry["entry_id"] for entry in entries if entry["domain"] == "mqtt")
        await self.post(f"/api/config/config_entries/entry/{entry}/reload", {})

    async def add_automation(self, name: str, blueprint: str, inputs: Json, *, alias: str | None = None) -> None:
        """Create an automation from one of our blueprints, as its editor does."""
        body = {"alias": alias or name, "use_blueprint": {"path": f"coc2mqtt/{blueprint}.yaml", "input": inputs}}
        await self.post(f"/api/config/automation/config/{name}", body)

    def automation_runs(self) -> list[AutomationRun]:
        """Return the executed actions of automations, over all restarts."""
        found = (_ACTION_LINE.search(line) for line in self._log().splitlines())
        return [AutomationRun(match[1], match[2]) for match in found if match]

    def warnings(self) -> list[str]:
        """Return all warnings and errors in its log, each in one line."""
        entries: list[str] = []
        for line in self._log().splitlines():
            if _ENTRY.match(line):
                entries.append(line)
            elif entries:
                entries[-1] += " | " + line.strip()
        serious = [entry for entry in entries if _level(entry) in ("WARNING", "ERROR", "CRITICAL", "FATAL")]
        return [entry for entry in serious if not _ACTION_LINE.search(entry.split(" | ", maxsplit=1)[0])]

    def _log(self) -> str:
        return (self._folder / "hass.log").read_text(errors="replace")

    @property
    def token(self) -> str:
        """The access token for its APIs."""
        return (self._folder / "token").read_text().strip()

    async def _request(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        timeout = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, self.address + path, json=body, headers=headers) as response,
        ):
            if not response.ok:
                raise RuntimeError(f"{method} {path}: {response.status} {(await response.text())[:500]}")
            return await response.json()


def _level(entry: str) -> str:
    return entry.split(" ", maxsplit=3)[2]


async def wait_until(
    what: str, seconds: float, condition: Callable[[], Any], *, pause: float = 0.2
) -> tuple[Any, float]:
    """Call ``condition`` repeatedly until its result is true; return the result and the seconds it took.

    Raises TimeoutError, with ``what`` in its message, after ``seconds``.
    """
    started = time.monotonic()
    while True:
        result = await condition()
        if result:
            return result, time.monotonic() - started
        if time.monotonic() - started > seconds:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(pause)
