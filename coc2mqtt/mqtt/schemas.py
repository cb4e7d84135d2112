"""The topic and the JSON schema of every payload that the bridge publishes or accepts."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, TypeAdapter, create_model

from coc2mqtt.events.event import EventType
from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.metadata.common import optional
from coc2mqtt.events.resource import CLAN_PARTS, PLAYER_PARTS, Kind
from coc2mqtt.mqtt.control.dispatcher import COMMANDS
from coc2mqtt.mqtt.payloads import models
from coc2mqtt.mqtt.payloads.calendar import CalendarPayload
from coc2mqtt.mqtt.payloads.cwl import CwlPayload
from coc2mqtt.mqtt.payloads.games import GamesPayload
from coc2mqtt.mqtt.payloads.last_war import LastWarPayload
from coc2mqtt.mqtt.payloads.members import MembersPayload
from coc2mqtt.mqtt.payloads.player import PlayerPayload
from coc2mqtt.mqtt.payloads.raid import RaidPayload
from coc2mqtt.mqtt.payloads.ranked import RankedPayload
from coc2mqtt.mqtt.payloads.war import WarPayload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

Json = dict[str, Any]
Data = TypeVar("Data")

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_BASE, _CLAN, _PLAYER, _API = "coc", "coc/clan/<TAG>", "coc/player/<TAG>", "coc/api"
_SUBJECTS = {
    **dict.fromkeys((Kind.CLAN, *CLAN_PARTS), _CLAN),
    **dict.fromkeys((Kind.PLAYER, *PLAYER_PARTS), _PLAYER),
    **dict.fromkeys((Kind.API, Kind.CALENDAR), _API),
}


class Nothing(models.Payload):
    """No data."""


class Refused(models.Payload):
    """The request was not executed."""

    status: Literal["error"]
    data: Nothing
    error: str = Field(description="The error, for display.")
    transaction: str | int = Field(
        default="", description="The request's transaction, if any.", json_schema_extra=optional
    )


class Done(models.Payload, Generic[Data]):
    """The request was executed."""

    status: Literal["ok"]
    data: Data
    transaction: str | int = Field(
        default="", description="The request's transaction, if any.", json_schema_extra=optional
    )


@dataclass(frozen=True)
class Schema:
    """A kind of payload and its topics. ``model`` describes the payload, or the ``data`` of a response."""

    name: str
    topics: tuple[str, ...]
    sort: Literal["event", "state", "bridge", "request", "response"]
    model: type[BaseModel]

    @property
    def accepted(self) -> bool:
        """Whether the bridge accepts the payload; otherwise it publishes it."""
        return self.sort == "request"

    @property
    def retained(self) -> bool:
        """Whether the payload is published with the retain flag."""
        return self.sort in ("state", "bridge")

    @property
    def summary(self) -> str:
        """The first sentence of the description."""
        text = " ".join((inspect.getdoc(self.model) or "").split("\n\n")[0].split())
        return text.partition(". ")[0].partition("; ``")[0].removesuffix(".").replace("``", "`")

    @functools.cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """The validator of such a payload."""
        if self.sort != "response":
            return TypeAdapter(self.model)
        done = Done[self.model]  # type: ignore[name-defined]
        done.__doc__ = Done.__doc__
        return TypeAdapter(Annotated[done | Refused, Field(discriminator="status")])

    def json_schema(self) -> Json:
        """Return the JSON schema, draft 2020-12."""
        schema = self.adapter.json_schema(mode="validation" if self.accepted else "serialization")
        return {"$schema": _DIALECT, **_finish(schema, open_ended=not self.accepted)}


@functools.cache
def schemas() -> dict[str, Schema]:
    """Return all schemas by name."""
    return {schema.name: schema for schema in (*_events(), *_states(), *_bridge_topics(), *_commands())}


def event_topics(event_type: EventType) -> tuple[str, ...]:
    """Return the topics of an event type."""
    return tuple(f"{_SUBJECTS[kind]}/{event_type.value}" for kind in event_type.kinds)


def event_model(event_type: EventType) -> type[models.EventPayload]:
    """Return the model of the events of one type."""
    metadata = metadata_model(event_type)
    literal: Any = Literal[event_type.value]
    return create_model(
        f"{metadata.__name__}Event",
        __base__=models.EventPayload,
        __doc__=inspect.getdoc(metadata),
        # A created model has no source code with field docstrings; searching for it takes 0.05 s per model.
        __cls_kwargs__={"use_attribute_docstrings": False},
        event_type=(literal, ...),
        metadata=(metadata, ...),
    )


def _events() -> Iterator[Schema]:
    topics = tuple(f"{subject}/<event_type>" for subject in (_CLAN, _PLAYER, _API))
    yield Schema("event", topics, "event", models.EventPayload)
    for event_type in EventType:
        yield Schema(f"event-{event_type.value}", event_topics(event_type), "event", event_model(event_type))


def _states() -> Iterator[Schema]:
    yield Schema("state-clan", (f"{_CLAN}/state/clan",), "state", models.ClanPayload)
    yield Schema("state-members", (f"{_CLAN}/state/members",), "state", MembersPayload)
    yield Schema("state-badge", (f"{_CLAN}/state/badge",), "state", models.BadgePayload)
    yield Schema("state-war", (f"{_CLAN}/state/war",), "state", WarPayload)
    yield Schema("state-last_war", (f"{_CLAN}/state/last_war",), "state", LastWarPayload)
    yield Schema("state-cwl", (f"{_CLAN}/state/cwl",), "state", CwlPayload)
    yield Schema("state-raid", (f"{_CLAN}/state/raid",), "state", RaidPayload)
    yield Schema("state-games", (f"{_CLAN}/state/games",), "state", GamesPayload)
    yield Schema("state-ranked", (f"{_PLAYER}/state/ranked",), "state", RankedPayload)
    yield Schema("state-player", (f"{_PLAYER}/state/player",), "state", PlayerPayload)
    for facet, model in (("availability", models.OnlinePayload), ("poll", models.PollPayload)):
        topics = tuple(f"{subject}/state/{facet}" for subject in (_CLAN, _PLAYER))
        yield Schema(f"state-{facet}", topics, "state", model)
    yield Schema("state-status", (f"{_API}/state/status",), "state", models.ApiStatusPayload)
    yield Schema("state-calendar", (f"{_API}/state/calendar",), "state", CalendarPayload)


def _bridge_topics() -> Iterator[Schema]:
    for name, model in (
        ("state", models.OnlinePayload),
        ("info", models.InfoPayload),
        ("health", models.HealthPayload),
        ("watches", models.WatchesPayload),
        ("last_command", models.LastCommandPayload),
    ):
        yield Schema(f"bridge-{name}", (f"{_BASE}/bridge/{name}",), "bridge", model)


def _commands() -> Iterator[Schema]:
    for name, command in COMMANDS.items():
        yield Schema(f"request-{name}", (f"{_BASE}/bridge/request/{name}",), "request", command.request)
    for name, command in COMMANDS.items():
        yield Schema(f"response-{name}", (f"{_BASE}/bridge/response/{name}",), "response", command.response)


def _finish(schema: Any, *, open_ended: bool) -> Any:
    """Return a schema with Markdown code spans in descriptions.

    An ``open_ended`` schema allows unknown keys, so that payloads of later versions remain valid.
    """
    if isinstance(schema, list):
        return [_finish(item, open_ended=open_ended) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.replace("``", "`")
        if key == "description" and isinstance(value, str)
        else _finish(value, open_ended=open_ended)
        for key, value in schema.items()
        if not (open_ended and key == "additionalProperties" and value is False)
    }
