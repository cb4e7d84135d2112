from __future__ import annotations

from typing import Any

import orjson

from coc2mqtt.events.resource import DEFAULT_REMINDERS, Kind, Watch
from coc2mqtt.homeassistant import DiscoveryMessage
from coc2mqtt.mqtt.publish.discovery import Discovery
from coc2mqtt.mqtt.topics import Topics
from coc2mqtt.translations import language_of

Json = dict[str, Any]

BADGE = "https://api-assets.clashofclans.com/badges/512/x3NmXQ.png"


def discovery(instance: str = "home", prefix: str = "homeassistant", language: str = "en") -> Discovery:
    return Discovery(Topics(), instance=instance, version="1.2.3", prefix=prefix, language=language_of(language))


def bridge(**options: str) -> DiscoveryMessage:
    return discovery(**options).bridge()


def clan(
    tag: str = "#2PP",
    name: str | None = "The Order",
    *,
    war: bool = True,
    badge_url: str | None = BADGE,
    **options: str,
) -> DiscoveryMessage:
    announced = discovery(**options).clan(Watch(Kind.CLAN, tag, 60.0, war=war), name, badge_url=badge_url)
    return DiscoveryMessage(announced.topic, announced.payload)


def cwl(
    tag: str = "#2PP", name: str | None = "The Order", *, standings: bool = True, **options: str
) -> DiscoveryMessage:
    return _part(Watch(Kind.CLAN, tag, 60.0, members=False, cwl=True, cwl_standings=standings), name, **options)


def raid(tag: str = "#2PP", name: str | None = "The Order", **options: str) -> DiscoveryMessage:
    return _part(Watch(Kind.CLAN, tag, 60.0, members=False, raids=True), name, **options)


def games(tag: str = "#2PP", name: str | None = "The Order", **options: str) -> DiscoveryMessage:
    return _part(Watch(Kind.CLAN, tag, 60.0, members=False, games=True), name, **options)


def reminders(tag: str = "#2PP", name: str | None = "The Order", **options: str) -> DiscoveryMessage:
    return _part(Watch(Kind.CLAN, tag, 60.0, members=False, reminders=DEFAULT_REMINDERS), name, **options)


def activity(tag: str = "#2PP", name: str | None = "The Order", **options: str) -> DiscoveryMessage:
    return _part(Watch(Kind.CLAN, tag, 60.0), name, **options)


def ranked(tag: str = "#900PUCPV", name: str | None = "Alice", **options: str) -> DiscoveryMessage:
    return _part(Watch(Kind.PLAYER, tag, 60.0, ranked=True), name, **options)


def _part(watch: Watch, name: str | None, **options: str) -> DiscoveryMessage:
    [announced] = discovery(**options).parts(watch, name)
    return DiscoveryMessage(announced.topic, announced.payload)


def player(tag: str = "#900PUCPV", name: str | None = "Alice", **options: str) -> DiscoveryMessage:
    announced = discovery(**options).player(Watch(Kind.PLAYER, tag, 60.0), name)
    return DiscoveryMessage(announced.topic, announced.payload)


def decode(message: DiscoveryMessage) -> Json:
    payload: Json = orjson.loads(message.payload)
    return payload
