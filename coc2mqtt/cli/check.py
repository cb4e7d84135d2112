"""``coc2mqtt check``: tries what the bridge will need, one thing after the other."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from coc2mqtt.clash.errors import ClashError, DeniedError, MaintenanceError, NotFoundError
from coc2mqtt.clients import api_client, connection_options
from coc2mqtt.config.loader import ConfigurationError, require_token
from coc2mqtt.events.resource import Kind
from coc2mqtt.journal.sqlite_errors import is_folder
from coc2mqtt.mqtt.client.connection import probe
from coc2mqtt.mqtt.client.errors import MqttError
from coc2mqtt.mqtt.embedded_broker import EmbeddedBroker, EmbeddedBrokerError
from coc2mqtt.mqtt.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import SecretStr

    from coc2mqtt.config.settings import Settings


async def check_everything(settings: Settings, *, say: Callable[[str], object]) -> bool:
    """Say of each token, each watch, the broker and the journal whether it is good; returns whether all are."""
    say("ok      configuration: the file and the environment can be read")
    good = [await _check_api(settings, say), await _check_broker(settings, say), await _check_journal(settings, say)]
    return all(good)


async def _check_api(settings: Settings, say: Callable[[str], object]) -> bool:
    try:
        require_token(settings)
    except ConfigurationError as error:
        say(f"FAILED  token: {error}")
        return False
    tokens = settings.api.tokens
    accepted = []
    for number, token in enumerate(tokens, 1):
        name = f"token {number} of {len(tokens)}"
        try:
            # Alone, because several take turns and the good ones would hide a bad one.
            async with api_client(_with_tokens(settings, [token])) as api:
                await api.player(settings.watch.maintenance.probe_tag)
        except MaintenanceError as error:
            say(f"later   API: {error}")
            return True
        except DeniedError as error:
            say(f"FAILED  {name}: {error}")
        except NotFoundError:
            base_url, tag = settings.api.base_url, settings.watch.maintenance.probe_tag
            say(f"FAILED  API: {base_url} knows no player {tag}: end api.base_url in /v1, or set another probe_tag")
            return False
        except ClashError as error:
            say(f"FAILED  API: {error}")
            return False
        else:
            say(f"ok      {name}: {settings.api.base_url} takes it")
            accepted.append(token)
    watches_good = not accepted or await _check_watches(_with_tokens(settings, accepted), say)
    return watches_good and len(accepted) == len(tokens)


async def _check_watches(settings: Settings, say: Callable[[str], object]) -> bool:
    good = True
    async with api_client(settings) as api:
        for watch in settings.watch.watches():
            try:
                answer = await (api.player(watch.tag) if watch.kind is Kind.PLAYER else api.clan(watch.tag))
                say(f"ok      {watch.kind} {watch.tag}: {answer.data.get('name')}")
            except ClashError as error:
                say(f"FAILED  {watch.kind} {watch.tag}: {error}")
                good = False
    return good


def _with_tokens(settings: Settings, tokens: list[SecretStr]) -> Settings:
    return settings.model_copy(update={"api": settings.api.model_copy(update={"tokens": tokens})})


async def _check_broker(settings: Settings, say: Callable[[str], object]) -> bool:
    if settings.mqtt.host is None:
        return await _check_embedded_broker(settings.mqtt.port, say)
    topics = Topics(settings.mqtt.base_topic)
    try:
        protocol = await probe(
            connection_options(settings), publish_topic=topics.bridge("check"), subscribe_filter=topics.requests
        )
    except MqttError as error:
        say(f"FAILED  broker: {error}")
        if settings.mqtt.password_looks_quoted:
            say("note    broker: mqtt.password has quotes or blanks around it, remove them if they are not part of it")
        return False
    where = f"{settings.mqtt.host}:{settings.mqtt.port}"
    say(f"ok      broker: {where} lets the bridge in, takes its messages, and speaks MQTT {protocol}")
    return True


async def _check_embedded_broker(port: int, say: Callable[[str], object]) -> bool:
    try:
        async with EmbeddedBroker(port=port):
            say(f"ok      broker: no mqtt.host is set, so the embedded one will listen on 127.0.0.1:{port}")
    except EmbeddedBrokerError as error:
        say(f"FAILED  broker: {error}")
        return False
    return True


async def _check_journal(settings: Settings, say: Callable[[str], object]) -> bool:
    path = settings.journal.path.absolute()
    trouble = await asyncio.to_thread(_journal_trouble, path)
    say(f"ok      journal: {path}" if trouble is None else f"FAILED  journal: {trouble}")
    return trouble is None


def _journal_trouble(path: Path) -> str | None:
    """Look only: opening would create the file, for this user and not for the bridge's."""
    no_rights = f"this user may not write {path} and its folder: give the right to, or set journal.path"
    try:
        if not is_folder(path.parent):
            return f"the folder {path.parent} does not exist: create it, or set journal.path"
        if is_folder(path):
            return f"{path} is a folder: set journal.path to a file, such as {path / 'coc2mqtt.db'}"
    except PermissionError:
        return no_rights
    return None if all(os.access(one, os.W_OK) for one in (path.parent, path) if one.exists()) else no_rights
