"""``coc2mqtt healthcheck``: request the health of the running bridge over MQTT."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from coc2mqtt.cli.broker_session import run_in_session
from coc2mqtt.mqtt.client.errors import MqttError
from coc2mqtt.mqtt.payloads.models import HealthPayload
from coc2mqtt.mqtt.topics import Topics

if TYPE_CHECKING:
    from coc2mqtt.config.settings import Settings
    from coc2mqtt.mqtt.client.connection import Session


async def request_health(settings: Settings, *, timeout: float) -> list[str]:  # noqa: ASYNC109 - covers several steps
    """Return the problems of the running bridge, an empty list if it is healthy.

    No response within ``timeout`` seconds is a problem, too.
    """
    topics = Topics(settings.mqtt.base_topic)
    try:
        return _problems(await run_in_session(settings, partial(_request, topics=topics), timeout=timeout))
    except MqttError as error:
        return [str(error)]
    except TimeoutError:
        readable = f"that the broker allows {settings.mqtt.username or 'it'} to read {topics.requests}"
        return [f"the bridge did not respond within {timeout:g} s: check that it is running, its log, and {readable}"]


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
