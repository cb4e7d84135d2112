"""Reads retained messages, records messages, and publishes."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import aiomqtt
import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_QUIET_S = 0.7


async def retained(port: int, topics: str = "#") -> dict[str, Any]:
    """Return the retained messages by topic; payloads that are not JSON as bytes."""
    found: dict[str, Any] = {}
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(topics, qos=1)
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(_QUIET_S):
                    message = await anext(client.messages)
                if message.retain:
                    found[str(message.topic)] = _decode(bytes(message.payload))
    return found


@contextlib.asynccontextmanager
async def recording_messages(port: int, topics: str) -> AsyncIterator[list[tuple[str, Any]]]:
    """Provide a list to which messages are appended on arrival, except retained ones."""
    seen: list[tuple[str, Any]] = []

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if message.retain:
                continue
            seen.append((str(message.topic), _decode(bytes(message.payload))))

    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(topics, qos=1)
        task = asyncio.create_task(listen(client))
        try:
            yield seen
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def publish(port: int, topic: str, payload: bytes) -> None:
    """Publish one message, not retained."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish(topic, payload, qos=1)


def _decode(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload
