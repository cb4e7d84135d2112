"""What a user of the broker sees: a subscriber to everything, that asks for things as well."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiomqtt
import orjson
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from coc2mqtt.mqtt.schemas import schemas
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_PATIENCE = LONG_ENOUGH


@dataclass(frozen=True)
class Seen:
    """One message; ``retain`` is the publisher's own flag where the broker speaks MQTT 5."""

    topic: str
    payload: bytes
    retain: bool
    correlation_data: bytes | None = None

    @property
    def data(self) -> Any:
        return orjson.loads(self.payload)

    @property
    def is_event(self) -> bool:
        """Whether it lies three levels deep, where nothing but events may be."""
        levels = self.topic.split("/")
        return (len(levels) == 4 and levels[1] in ("clan", "player")) or (len(levels) == 3 and levels[1] == "api")


class Observer:
    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._arrived = asyncio.Condition()
        self.seen: list[Seen] = []

    @property
    def events(self) -> list[Seen]:
        return [message for message in self.seen if message.is_event]

    def retained(self, topic: str) -> Any:
        """Return what was last published on a topic, None where nothing was or it was emptied."""
        found = [message.payload for message in self.seen if message.topic == topic]
        return orjson.loads(found[-1]) if found and found[-1] else None

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until something that came in makes the condition true."""
        try:
            async with asyncio.timeout(_PATIENCE), self._arrived:
                await self._arrived.wait_for(lambda: bool(condition()))
        except TimeoutError:
            raise AssertionError(f"never came: {what}; last: {[m.topic for m in self.seen[-20:]]}") from None

    async def until_events(self, count: int, what: str) -> None:
        """Wait until so many events have come in."""
        await self.until(lambda: len(self.events) >= count, what)

    async def answer_to(self, command: str, payload: bytes) -> Any:
        """Ask with any payload at all and return the next answer to that command."""
        before, topic = len(self.seen), f"coc/bridge/response/{command}"
        await self.publish(f"coc/bridge/request/{command}", payload)
        await self.until(lambda: any(message.topic == topic for message in self.seen[before:]), str(payload))
        return self.retained(topic)

    async def publish(self, topic: str, payload: bytes | str = b"", *, retain: bool = False, **properties: Any) -> None:
        sent = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        for name, value in properties.items():
            setattr(sent, name, value)
        await self._client.publish(topic, payload, qos=1, retain=retain, properties=sent if properties else None)

    async def request(self, command: str, **data: Any) -> Any:
        """Ask the bridge and return its answer."""
        transaction = uuid.uuid4().hex
        await self.publish(f"coc/bridge/request/{command}", orjson.dumps({**data, "transaction": transaction}))
        topic = f"coc/bridge/response/{command}"

        def answer() -> Any:
            answers = (message.data for message in self.seen if message.topic == topic)
            return next((data for data in answers if data.get("transaction") == transaction), None)

        await self.until(answer, f"an answer to {command}")
        return answer()

    async def listen(self) -> None:
        async for message in self._client.messages:
            async with self._arrived:
                correlation = getattr(message.properties, "CorrelationData", None)
                self.seen.append(Seen(str(message.topic), bytes(message.payload), bool(message.retain), correlation))
                self._arrived.notify_all()


@contextlib.asynccontextmanager
async def observing(
    port: int, *, protocol: aiomqtt.ProtocolVersion = aiomqtt.ProtocolVersion.V5, **login: Any
) -> AsyncIterator[Observer]:
    async with aiomqtt.Client("127.0.0.1", port, protocol=protocol, **login) as client:
        observer = Observer(client)
        if protocol is aiomqtt.ProtocolVersion.V5:
            as_published = SubscribeOptions(qos=1, retainAsPublished=True)
            await client.subscribe(
                [("coc/#", as_published), ("homeassistant/#", as_published), ("reply/#", as_published)]
            )
        else:
            await client.subscribe("coc/#", qos=1)
        listening = asyncio.create_task(observer.listen())
        try:
            yield observer
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening


# Before there is a loop, which it would hold up to build them.
_CHECKS = {name: (schema.adapter, schema.retained) for name, schema in schemas().items()}


def check_payload(message: Seen) -> None:
    """Validate what the bridge published against its model, and its retain flag against its kind."""
    levels = message.topic.split("/")
    if levels[0] != "coc" or levels[1:3] == ["bridge", "request"] or not message.payload:
        return
    if message.is_event:
        assert len(message.payload) <= 2048
        name = f"event-{levels[-1]}"
    elif levels[2] == "response":
        # To what is no command there is an answer as well.
        name = f"response-{levels[3]}" if f"response-{levels[3]}" in _CHECKS else "response-list"
    elif levels[1] == "bridge":
        name = f"bridge-{levels[2]}"
    else:
        name = f"state-{levels[-1]}"
    assert name in _CHECKS, message.topic
    check, retained = _CHECKS[name]
    check.validate_python(message.data, strict=True)
    assert message.retain is retained, message.topic
