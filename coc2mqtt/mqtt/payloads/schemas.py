"""Which payload is on which topic, and the JSON schema of each."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, TypeAdapter, create_model

from coc2mqtt.events.event import CLAN_EVENTS, WAR_EVENTS, EventType
from coc2mqtt.mqtt.payloads import models, requests
from coc2mqtt.mqtt.payloads import responses as answers
from coc2mqtt.mqtt.payloads.metadata import METADATA
from coc2mqtt.mqtt.payloads.metadata.common import optional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

Json = dict[str, Any]
Data = TypeVar("Data")

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_BASE, _CLAN, _PLAYER = "coc", "coc/clan/<TAG>", "coc/player/<TAG>"
_API_EVENTS = (
    *(EventType.MAINTENANCE_START, EventType.MAINTENANCE_END),
    *(EventType.API_DENIED, EventType.API_RESTORED, EventType.POLL_ERROR),
)


class Nothing(models.Payload):
    """No data."""


class Refused(models.Payload):
    """The request could not be carried out."""

    status: Literal["error"]
    data: Nothing
    error: str = Field(description="What is wrong, in words.")
    transaction: str | int = Field(default="", description="The request's, if it had one.", json_schema_extra=optional)


class Done(models.Payload, Generic[Data]):
    """The request was carried out."""

    status: Literal["ok"]
    data: Data
    transaction: str | int = Field(default="", description="The request's, if it had one.", json_schema_extra=optional)


@dataclass(frozen=True)
class Schema:
    """A sort of payload, and the topics that it is on. ``model`` is what describes it: of a response its ``data``."""

    name: str
    topics: tuple[str, ...]
    sort: Literal["event", "state", "bridge", "request", "response"]
    model: type[BaseModel]

    @property
    def accepted(self) -> bool:
        """Whether the bridge takes it; else it publishes it."""
        return self.sort == "request"

    @property
    def retained(self) -> bool:
        """Whether the broker keeps it."""
        return self.sort in ("state", "bridge")

    @property
    def summary(self) -> str:
        """One sentence about it."""
        text = " ".join((inspect.getdoc(self.model) or "").split("\n\n")[0].split())
        return text.partition(". ")[0].partition("; ``")[0].removesuffix(".").replace("``", "`")

    @functools.cached_property
    def checks(self) -> TypeAdapter[Any]:
        """What validates such a payload."""
        return _adapter(self)

    def json_schema(self) -> Json:
        """Return its JSON schema, draft 2020-12."""
        schema = self.checks.json_schema(mode="validation" if self.accepted else "serialization")
        return {"$schema": _DIALECT, **_published(schema, grows=not self.accepted)}


def event_model(event_type: EventType) -> type[models.EventPayload]:
    """Return the model of the events of one type."""
    metadata = METADATA[event_type]
    literal: Any = Literal[event_type.value]
    return create_model(
        f"{metadata.__name__}Event",
        __base__=models.EventPayload,
        __doc__=inspect.getdoc(metadata),
        # A created model has no source in which pydantic could find docstrings; searching costs 0.05 s per model.
        __cls_kwargs__={"use_attribute_docstrings": False},
        event_type=(literal, ...),
        metadata=(metadata, ...),
    )


def event_topics(event_type: EventType) -> tuple[str, ...]:
    """Return the topics that the events of a type are published on."""
    of_clan = event_type in (*CLAN_EVENTS, *WAR_EVENTS)
    of_watch = event_type in (EventType.POLL_ERROR, EventType.WATCH_UNAVAILABLE, EventType.WATCH_AVAILABLE)
    of_api = event_type in _API_EVENTS
    of_player = of_watch or not (of_clan or of_api)
    begins = ((_CLAN, of_clan), (_PLAYER, of_player), (f"{_BASE}/api", of_api))
    return tuple(f"{begin}/{event_type.value}" for begin, there in begins if there)


@functools.cache
def schemas() -> dict[str, Schema]:
    """Return everything that is published or accepted, by name."""
    return {schema.name: schema for schema in (*_events(), *_states(), *_requests(), *_responses())}


def _events() -> Iterator[Schema]:
    anywhere = (f"{_CLAN}/<event_type>", f"{_PLAYER}/<event_type>", f"{_BASE}/api/<event_type>")
    yield Schema("event", anywhere, "event", models.EventPayload)
    for event_type in METADATA:
        yield Schema(f"event-{event_type.value}", event_topics(event_type), "event", event_model(event_type))


def _states() -> Iterator[Schema]:
    yield Schema("state-clan", (f"{_CLAN}/state/clan",), "state", models.ClanPayload)
    yield Schema("state-badge", (f"{_CLAN}/state/badge",), "state", models.BadgePayload)
    yield Schema("state-war", (f"{_CLAN}/state/war",), "state", models.WarPayload)
    yield Schema("state-player", (f"{_PLAYER}/state/player",), "state", models.PlayerPayload)
    for facet, model in (("availability", models.OnlinePayload), ("poll", models.PollPayload)):
        both = tuple(f"{subject}/state/{facet}" for subject in (_CLAN, _PLAYER))
        yield Schema(f"state-{facet}", both, "state", model)
    yield Schema("state-status", (f"{_BASE}/api/state/status",), "state", models.ApiStatusPayload)
    yield _of_bridge("state", models.OnlinePayload)
    yield _of_bridge("info", models.InfoPayload)
    yield _of_bridge("health", models.HealthPayload)
    yield _of_bridge("watches", models.WatchesPayload)


def _of_bridge(name: str, model: type[BaseModel]) -> Schema:
    return Schema(f"bridge-{name}", (f"{_BASE}/bridge/{name}",), "bridge", model)


def _requests() -> Iterator[Schema]:
    for command, model in _REQUESTS.items():
        yield Schema(f"request-{command}", (f"{_BASE}/bridge/request/{command}",), "request", model)


def _responses() -> Iterator[Schema]:
    for command, model in _ANSWERS.items():
        yield Schema(f"response-{command}", (f"{_BASE}/bridge/response/{command}",), "response", model)


_REQUESTS: dict[str, type[requests.Request]] = {
    "watch": requests.WatchRequest,
    "unwatch": requests.UnwatchRequest,
    "list": requests.ListRequest,
    "poll": requests.PollRequest,
    "replay": requests.ReplayRequest,
    "log_level": requests.LogLevelRequest,
    "health_check": requests.HealthCheckRequest,
}
_ANSWERS: dict[str, type[models.Payload]] = {
    "watch": answers.WatchData,
    "unwatch": answers.UnwatchData,
    "list": answers.ListData,
    "poll": answers.PollData,
    "replay": answers.ReplayData,
    "log_level": answers.LogLevelData,
    "health_check": models.HealthPayload,
}


def _adapter(schema: Schema) -> TypeAdapter[Any]:
    if schema.sort != "response":
        return TypeAdapter(schema.model)
    done = Done[schema.model]  # type: ignore[name-defined]
    done.__doc__ = Done.__doc__
    return TypeAdapter(Annotated[done | Refused, Field(discriminator="status")])


def _published(schema: Any, *, grows: bool) -> Any:
    """Return a schema for its readers.

    What is published ``grows`` with time: who checks it by the schema of today shall take what comes tomorrow.
    """
    if isinstance(schema, list):
        return [_published(item, grows=grows) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.replace("``", "`")
        if key == "description" and isinstance(value, str)
        else _published(value, grows=grows)
        for key, value in schema.items()
        if not (grows and key == "additionalProperties" and value is False)
    }
