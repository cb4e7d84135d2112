"""``coc2mqtt healthcheck``: asks the running bridge, by the same way that its users take."""

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


async def ask_health(settings: Settings, *, timeout: float) -> list[str]:  # noqa: ASYNC109 - it bounds several steps
    """Return what is wrong with the running bridge, nothing if it is well; takes ``timeout`` seconds at most."""
    topics = Topics(settings.mqtt.base_topic)
    options = connection_options(settings)
    # Not the bridge's own id and will: the broker would take this for the bridge.
    options = dataclasses.replace(options, client_id=f"{options.client_id}-{secrets.token_hex(4)}", will=None)

    broker_answers = asyncio.Event()

    async def ask(session: Session) -> None:
        broker_answers.set()
        raise _Answered(await _ask(session, topics))

    async def give_up(_: float) -> Never:
        raise MqttError(connection.status.last_error or "the connection to the broker broke off")

    connection = Connection(options, on_session=ask, sleep=give_up)
    try:
        async with asyncio.timeout(timeout):
            await connection.run()
    except _Answered as answered:
        return _problems(answered.data)
    except MqttError as error:
        return [str(error)]
    except TimeoutError:
        if not broker_answers.is_set():
            who = f"the broker at {options.host}:{options.port}"
            return [f"{who} does not answer within {timeout:g} s: see whether it runs, and its log"]
        may_read = f"whether the broker lets {options.username or 'it'} read {topics.requests}"
        return [f"the bridge does not answer within {timeout:g} s: see whether it runs, its log, and {may_read}"]


class _Answered(Exception):  # noqa: N818 - no error: it ends the connection
    def __init__(self, data: Any) -> None:
        super().__init__()
        self.data = data


async def _ask(session: Session, topics: Topics) -> Any:
    """Return the data of the answer to a request of our own."""
    transaction = secrets.token_hex(8)
    await session.subscribe(topics.response("health_check"))
    await session.publish(topics.request("health_check"), orjson.dumps({"transaction": transaction}))
    async for message in session.messages():
        try:
            answer = orjson.loads(message.payload)
        except orjson.JSONDecodeError:
            continue
        if isinstance(answer, dict) and answer.get("transaction") == transaction:
            return answer.get("data")
    return None


def _problems(data: Any) -> list[str]:
    try:
        return HealthPayload.model_validate(data).problems
    except ValidationError:
        return ["what answers is another version of the bridge: see what else runs with this base topic"]
