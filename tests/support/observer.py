"""An MQTT subscriber that receives everything and sends requests to the bridge."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING, Any

import aiomqtt
import orjson
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from coc2mqtt.mqtt.schemas import schemas
from tests.support.recording_session import Published
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.bridge_process import BridgeProcess


class ReceivedMessage(Published):
    """A received message. With MQTT 5, ``retain`` is the flag that the publisher set."""

    @property
    def is_event(self) -> bool:
        """Whether the topic has the level at which only events are published."""
        levels = self.topic.split("/")
        return (len(levels) == 4 and levels[1] in ("clan", "player")) or (len(levels) == 3 and levels[1] == "api")


class Observer:
    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._arrived = asyncio.Condition()
        self.received: list[ReceivedMessage] = []

    @property
    def events(self) -> list[ReceivedMessage]:
        return [message for message in self.received if message.is_event]

    @property
    def event_types(self) -> list[str]:
        return [message.topic.split("/")[-1] for message in self.events]

    @property
    def bridge_states(self) -> list[str]:
        """All values of ``coc/bridge/state``, in order."""
        return [message.data["state"] for message in self.received if message.topic == "coc/bridge/state"]

    def retained(self, topic: str) -> Any:
        """Return the last payload of a topic, None if there is none or the topic was emptied."""
        payloads = [message.payload for message in self.received if message.topic == topic]
        return orjson.loads(payloads[-1]) if payloads and payloads[-1] else None

    def clan_state(self, tag: str) -> Any:
        """Return the last ``state/clan`` payload of a clan, None if there is none."""
        return self.retained(f"coc/clan/{tag.removeprefix('#')}/state/clan")

    async def wait_until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until received messages make the condition true."""
        try:
            async with asyncio.timeout(LONG_ENOUGH), self._arrived:
                await self._arrived.wait_for(lambda: bool(condition()))
        except TimeoutError:
            last = [message.topic for message in self.received[-20:]]
            raise AssertionError(f"not received: {what}; last topics: {last}") from None

    async def wait_for_events(self, count: int, what: str) -> None:
        """Wait until this number of events has been received in total."""
        await self.wait_until(lambda: len(self.events) >= count, what)

    async def wait_for_clan(self, tag: str) -> None:
        """Wait for the first state of a clan, which follows its first poll."""
        await self.wait_until(lambda: self.clan_state(tag), f"the state of {tag}")

    async def wait_for_bridge_state(self, state: str) -> None:
        await self.wait_until(lambda: self.retained("coc/bridge/state") == {"state": state}, f"bridge state {state}")

    async def request_raw(self, command: str, payload: bytes) -> Any:
        """Send a request with any payload and return the next response to that command."""
        before, topic = len(self.received), f"coc/bridge/response/{command}"
        await self.publish(f"coc/bridge/request/{command}", payload)
        await self.wait_until(lambda: any(message.topic == topic for message in self.received[before:]), str(payload))
        return self.retained(topic)

    async def publish(self, topic: str, payload: bytes | str = b"", *, retain: bool = False, **properties: Any) -> None:
        mqtt_properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        for name, value in properties.items():
            setattr(mqtt_properties, name, value)
        await self._client.publish(
            topic, payload, qos=1, retain=retain, properties=mqtt_properties if properties else None
        )

    async def request(self, command: str, **data: Any) -> Any:
        """Send a request and return its response."""
        transaction = uuid.uuid4().hex
        await self.publish(f"coc/bridge/request/{command}", orjson.dumps({**data, "transaction": transaction}))
        topic = f"coc/bridge/response/{command}"

        def response() -> Any:
            responses = (message.data for message in self.received if message.topic == topic)
            return next((data for data in responses if data.get("transaction") == transaction), None)

        await self.wait_until(response, f"a response to {command}")
        return response()

    async def receive(self) -> None:
        async for message in self._client.messages:
            async with self._arrived:
                correlation = getattr(message.properties, "CorrelationData", None)
                self.received.append(
                    ReceivedMessage(str(message.topic), bytes(message.payload), bool(message.retain), correlation)
                )
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
        receiving = asyncio.create_task(observer.receive())
        try:
            yield observer
        finally:
            receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await receiving


@contextlib.asynccontextmanager
async def observing_bridge(bridge: BridgeProcess, port: int, clan: str) -> AsyncIterator[Observer]:
    """Observe a broker, start a bridge, and wait for the first state of a clan."""
    async with observing(port) as observer:
        await bridge.start()
        await observer.wait_for_clan(clan)
        yield observer


# Built at import, because it takes long enough to block an event loop.
_CHECKS = {name: (schema.adapter, schema.retained) for name, schema in schemas().items()}


def check_payload(message: ReceivedMessage) -> None:
    """Validate a message of the bridge against the model and the retain flag of its topic."""
    levels = message.topic.split("/")
    if levels[0] != "coc" or levels[1:3] == ["bridge", "request"] or not message.payload:
        return
    if message.is_event:
        assert len(message.payload) <= 2048
        name = f"event-{levels[-1]}"
    elif levels[2] == "response":
        # Unknown commands get a response as well.
        name = f"response-{levels[3]}" if f"response-{levels[3]}" in _CHECKS else "response-list"
    elif levels[1] == "bridge":
        name = f"bridge-{levels[2]}"
    else:
        name = f"state-{levels[-1]}"
    assert name in _CHECKS, message.topic
    check, retained = _CHECKS[name]
    check.validate_json(message.payload, strict=True)
    assert message.retain is retained, message.topic
