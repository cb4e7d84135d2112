"""A real Node-RED with our flows, loaded as by a user, and the output of its debug nodes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.home.lab import Lab

Json = dict[str, Any]

FLOWS = ROOT / "config" / "node-red" / "flows.json"
BASE = "127.0.0.1:1880"


class NodeRed:
    """One Node-RED; ``messages`` has the output of the debug nodes with their names, ``errors`` the errors."""

    def __init__(self) -> None:
        self.version = "?"
        self.messages: list[tuple[str, Any]] = []
        self.errors: list[str] = []
        self._names: dict[str, str] = {}

    async def deploy(self, session: aiohttp.ClientSession, broker_port: int, tags: Mapping[str, str]) -> None:
        """Load our flows with the broker's address and other tags in the requests, and start them."""
        flows = json.loads(await asyncio.to_thread(FLOWS.read_text))
        for node in flows:
            for prop in node.get("props", []):
                for example, tag in tags.items():
                    prop["v"] = prop.get("v", "").replace(example, tag)
            if node["type"] == "mqtt-broker":
                node |= {"broker": "127.0.0.1", "port": str(broker_port)}
        self._names = {node["id"]: node.get("name", "") for node in flows}
        async with session.post(f"http://{BASE}/flows", json=flows) as response:
            response.raise_for_status()
        async with session.get(f"http://{BASE}/settings") as response:
            self.version = (await response.json())["version"]

    async def press(self, session: aiohttp.ClientSession, name: str) -> None:
        """Press the button of an inject node."""
        node = next(node for node, its_name in self._names.items() if its_name == name)
        async with session.post(f"http://{BASE}/inject/{node}") as response:
            response.raise_for_status()

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Receive the messages of the editor's sidebar until cancelled."""
        async for message in socket:
            data = json.loads(message.data)
            for one in data if isinstance(data, list) else [data]:
                self._on_message(one)

    def _on_message(self, message: Json) -> None:
        topic, data = message.get("topic", ""), message.get("data", {})
        if topic != "debug":
            return
        name = self._names.get(data.get("id", ""), "?")
        if "level" in data and int(data["level"]) <= _WARNING:
            self.errors.append(f"{name}: {data.get('msg')}")
        else:
            self.messages.append((name, _value(data)))


_WARNING = 30


def _value(data: Json) -> Any:
    if data.get("format") == "Object":
        return json.loads(data["msg"])
    return data.get("msg")


@contextlib.asynccontextmanager
async def node_red(
    lab: Lab, broker_port: int, tags: Mapping[str, str]
) -> AsyncIterator[tuple[NodeRed, aiohttp.ClientSession]]:
    """Run Node-RED with our flows; ``tags`` replaces the tags of the examples with ones that the game knows."""
    await lab.run("nodered_start.sh", str(broker_port))
    try:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"ws://{BASE}/comms") as socket:
            red = NodeRed()
            await socket.send_json({"subscribe": "debug"})
            task = asyncio.create_task(red.listen(socket))
            try:
                await red.deploy(session, broker_port, tags)
                yield red, session
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
    finally:
        await lab.run("nodered_stop.sh")
