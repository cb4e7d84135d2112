"""``coc2mqtt healthcheck``: request the health of the running bridge over MQTT."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from typing import TYPE_CHECKING, Any, Never

import orjson
from pydantic import ValidationError

from coc2mqtt.clients import connection_options
from coc2mqtt.mqtt.client.connection import Connection, Session
from coc2mqtt.mqtt.client.errors import MqttError
from coc2mqtt.mqtt.payloads.models import HealthPayload
from coc2mqtt.mqtt.topics import Topics

if TYPE_CHECKING:
    from coc2mqtt.config.settings import Settings


async def request_health(settings: Settings, *, timeout: float) -> list[str]:  # noqa: ASYNC109 - covers several steps
    """Return the problems of the running bridge, an empty list if it is healthy.

    No response within ``timeout`` seconds is a problem, too.
    """
    topics = Topics(settings.mqtt.base_topic)
    options = connection_options(settings)
    # A client ID of its own and no will: otherwise the broker would disconnect the bridge.
    options = dataclasses.replace(options, client_id=f"{options.client_id}-{secrets.token_hex(4)}", will=None)

    connected = asyncio.Event()

    async def on_session(session: Session) -> None:
        connected.set()
        raise _ResponseReceived(await _request(session, topics))

    async def give_up(_: float) -> Never:
        raise MqttError(connection.status.last_error or "the connection to the broker was lost")

    connection = Connection(options, on_session=on_session, sleep=give_up)
    try:
        async with asyncio.timeout(timeout):
            await connection.run()
    except _ResponseReceived as received:
        return _problems(received.data)
    except MqttError as error:
        return [str(error)]
    except TimeoutError:
        if not connected.is_set():
            broker = f"the broker at {options.host}:{options.port}"
            return [f"{broker} did not respond within {timeout:g} s: check that it is running, and its log"]
        readable = f"that the broker allows {options.username or 'it'} to read {topics.requests}"
        return [f"the bridge did not respond within {timeout:g} s: check that it is running, its log, and {readable}"]


class _ResponseReceived(Exception):  # noqa: N818 - not an error: stops the connection
    def __init__(self, data: Any) -> None:
        super().__init__()
        self.data = data


async def _request(session: Session, topics: Topics) -> Any:
    """Send a ``health_check`` request and return the data of its response."""
    transaction = secrets.token_hex(8)
    await session.subscribe(topics.response("health_check"))
    await session.publish(topics.request("health_check"), orjson.dumps({"transaction": transaction}))
    async for message in session.messages():
        try:
            response = orjson.loads(message.payload)
        except orjson.JSONDecodeError:
            continue
        if isinstance(response, dict) and response.get("transaction") == transaction:
            return response.get("data")
    return None


def _problems(data: Any) -> list[str]:
    try:
        return HealthPayload.model_validate(data).problems
    except ValidationError:
        return ["another version of the bridge responded: check which other bridge uses this base topic"]
