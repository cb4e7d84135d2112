"""``coc2mqtt dashboard``: print a Home Assistant dashboard for the watches of the running bridge."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import orjson
import yaml
from pydantic import AfterValidator, BaseModel, ValidationError

from coc2mqtt.clash.tags import normalize_tag
from coc2mqtt.cli.broker_session import run_in_session
from coc2mqtt.homeassistant.dashboard import DashboardClan, DashboardPlayer, dashboard
from coc2mqtt.mqtt.client.errors import MqttError
from coc2mqtt.mqtt.topics import Topics
from coc2mqtt.translations import language_of

if TYPE_CHECKING:
    from coc2mqtt.config.settings import Settings
    from coc2mqtt.mqtt.client.connection import Message, Session
    from coc2mqtt.translations import Language

Json = dict[str, Any]
M = TypeVar("M", bound=BaseModel)

_WIDTH = 120
_HEADER = """\
# A dashboard for Home Assistant, printed by 'coc2mqtt dashboard'. It uses only built-in cards.
#
# In Home Assistant, choose Settings, Dashboards, Add dashboard, New dashboard from scratch. Open the new dashboard,
# choose the pencil, the three dots and Raw configuration editor, and replace its contents with this text.
"""


class DashboardError(Exception):
    """The dashboard cannot be printed; the message says why, and what to do."""


class _Info(BaseModel):
    """The part of ``bridge/info`` that the dashboard needs."""

    instance: str
    homeassistant: bool


class _Reminders(BaseModel):
    """The times of the reminders of a clan, by what they are about."""

    war: list[float] = []
    cwl: list[float] = []
    raid: list[float] = []
    games: list[float] = []

    @property
    def any(self) -> bool:
        """Whether there are any reminders."""
        return bool(self.war or self.cwl or self.raid or self.games)


class _Watch(BaseModel):
    kind: Literal["clan", "player"]
    tag: Annotated[str, AfterValidator(normalize_tag)]
    name: str | None = None
    war: bool | None = None
    cwl: bool | None = None
    raids: bool | None = None
    members: bool | None = None
    games: bool | None = None
    ranked: bool | None = None
    reminders: _Reminders | None = None


class _Watches(BaseModel):
    """The part of ``bridge/watches`` that the dashboard needs."""

    watches: list[_Watch]


async def print_dashboard(settings: Settings, *, timeout: float) -> str:  # noqa: ASYNC109 - covers several steps
    """Return the dashboard as YAML, from the retained topics of the bridge; raises DashboardError."""
    topics = Topics(settings.mqtt.base_topic)
    try:
        retained = await run_in_session(settings, partial(_read, topics=topics), timeout=timeout)
    except MqttError as error:
        raise DashboardError(str(error)) from None
    except TimeoutError:
        raise DashboardError(
            f"the broker did not send the topics of the bridge within {timeout:g} s: check its log, or set a longer"
            " --timeout"
        ) from None
    info = _parse(_Info, topics.bridge("info"), retained)
    watches = _parse(_Watches, topics.bridge("watches"), retained).watches
    if not info.homeassistant:
        raise DashboardError(
            "the bridge does not announce devices to Home Assistant: set homeassistant.enabled to true and restart it"
        )
    if not watches:
        raise DashboardError("the bridge watches nothing: add a clan or a player to 'watch' in the configuration file")
    return _HEADER + to_yaml(_dashboard(info.instance, watches, language_of(settings.homeassistant.language)))


def to_yaml(config: Json) -> str:
    """Return a dashboard's configuration as YAML, without a header."""
    return yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


def _dashboard(instance: str, watches: list[_Watch], language: Language) -> Json:
    clans = [
        # An older bridge does not publish the parts after the war.
        DashboardClan(
            one.tag,
            one.name,
            war=one.war is not False,
            cwl=bool(one.cwl),
            raids=bool(one.raids),
            # A bridge without reminders has no sums either.
            activity=bool(one.members) and one.reminders is not None,
            games=bool(one.games),
            reminders=one.reminders is not None and one.reminders.any,
        )
        for one in watches
        if one.kind == "clan"
    ]
    players = [DashboardPlayer(one.tag, one.name, ranked=bool(one.ranked)) for one in watches if one.kind == "player"]
    return dashboard(instance, clans, players, language=language)


async def _read(session: Session, topics: Topics) -> dict[str, bytes]:
    """Return the retained ``info`` and ``watches`` of the bridge by topic."""
    found: dict[str, bytes] = {}

    def keep(message: Message) -> None:
        found[message.topic] = message.payload

    async with asyncio.TaskGroup() as tasks:
        for name in ("info", "watches"):
            tasks.create_task(session.read_retained(topics.bridge(name), keep))
    return found


def _parse(model: type[M], topic: str, retained: dict[str, bytes]) -> M:
    if topic not in retained:
        raise DashboardError(
            f"the topic {topic} has no retained message: start the bridge once with this broker and base topic, and "
            "check that the broker allows this user to read it"
        )
    try:
        return model.model_validate(orjson.loads(retained[topic]))
    except (orjson.JSONDecodeError, ValidationError):
        raise DashboardError(
            f"the message on {topic} is from another program or version: use the version of the running bridge"
        ) from None


class _Dumper(yaml.SafeDumper):
    """Writes templates as blocks, indents lists, and repeats equal parts instead of using anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature of the base class
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)
