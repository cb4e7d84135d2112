"""``coc2mqtt check``: test the configuration, the API tokens, the watches, the broker and the journal."""

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


async def check_everything(settings: Settings, *, echo: Callable[[str], object]) -> bool:
    """Check each token, each watch, the broker and the journal; return whether all checks passed.

    ``echo`` is called with one line per result, which starts with ``ok``, ``FAILED``, ``skipped`` or ``note``.
    """
    echo("ok      configuration: the file and the environment are valid")
    results = [
        await _check_api(settings, echo),
        await _check_broker(settings, echo),
        await _check_journal(settings, echo),
    ]
    return all(results)


async def _check_api(settings: Settings, echo: Callable[[str], object]) -> bool:
    try:
        require_token(settings)
    except ConfigurationError as error:
        echo(f"FAILED  token: {error}")
        return False
    base_url, probe_tag = settings.api.base_url, settings.watch.maintenance.probe_tag
    tokens = settings.api.tokens
    accepted = []
    for number, token in enumerate(tokens, 1):
        name = f"token {number} of {len(tokens)}"
        try:
            # Each token alone: a client with several tokens alternates, so a valid one would hide an invalid one.
            async with api_client(_with_tokens(settings, [token])) as api:
                await api.player(probe_tag)
        except MaintenanceError as error:
            echo(f"skipped API: {error}")
            return True
        except DeniedError as error:
            echo(f"FAILED  {name}: {error}")
        except NotFoundError:
            echo(
                f"FAILED  API: {base_url} has no player {probe_tag}: check that api.base_url ends in /v1, or set"
                " another watch.maintenance.probe_tag"
            )
            return False
        except ClashError as error:
            echo(f"FAILED  API: {error}")
            return False
        else:
            echo(f"ok      {name}: accepted by {base_url}")
            accepted.append(token)
    watches_passed = not accepted or await _check_watches(_with_tokens(settings, accepted), echo)
    return watches_passed and len(accepted) == len(tokens)


async def _check_watches(settings: Settings, echo: Callable[[str], object]) -> bool:
    passed = True
    async with api_client(settings) as api:
        for watch in settings.watch.watches():
            try:
                response = await (api.player(watch.tag) if watch.kind is Kind.PLAYER else api.clan(watch.tag))
                echo(f"ok      {watch.kind} {watch.tag}: {response.data.get('name')}")
            except ClashError as error:
                echo(f"FAILED  {watch.kind} {watch.tag}: {error}")
                passed = False
    return passed


def _with_tokens(settings: Settings, tokens: list[SecretStr]) -> Settings:
    return settings.model_copy(update={"api": settings.api.model_copy(update={"tokens": tokens})})


async def _check_broker(settings: Settings, echo: Callable[[str], object]) -> bool:
    if settings.mqtt.host is None:
        return await _check_embedded_broker(settings.mqtt.port, echo)
    topics = Topics(settings.mqtt.base_topic)
    try:
        protocol = await probe(
            connection_options(settings), publish_topic=topics.bridge("check"), subscribe_filter=topics.requests
        )
    except MqttError as error:
        echo(f"FAILED  broker: {error}")
        if settings.mqtt.password_looks_quoted:
            echo(
                "note    broker: mqtt.password is enclosed in quotes or spaces: remove them if they are not part of it"
            )
        return False
    address = f"{settings.mqtt.host}:{settings.mqtt.port}"
    echo(f"ok      broker: {address} accepts the connection and messages of the bridge (MQTT {protocol})")
    return True


async def _check_embedded_broker(port: int, echo: Callable[[str], object]) -> bool:
    try:
        async with EmbeddedBroker(port=port):
            echo(f"ok      broker: mqtt.host is not set, the embedded broker will listen on 127.0.0.1:{port}")
    except EmbeddedBrokerError as error:
        echo(f"FAILED  broker: {error}")
        return False
    return True


async def _check_journal(settings: Settings, echo: Callable[[str], object]) -> bool:
    path = settings.journal.path.absolute()
    problem = await asyncio.to_thread(_journal_problem, path)
    echo(f"ok      journal: {path}" if problem is None else f"FAILED  journal: {problem}")
    return problem is None


def _journal_problem(path: Path) -> str | None:
    """Return why the journal cannot be written, None if it can.

    Does not open the file: that would create it, owned by this user rather than by the user of the bridge.
    """
    not_writable = f"this user cannot write to {path} and its folder: change their permissions, or set journal.path"
    try:
        if not is_folder(path.parent):
            return f"the folder {path.parent} does not exist: create it, or set journal.path"
        if is_folder(path):
            return f"{path} is a folder: set journal.path to a file, such as {path / 'coc2mqtt.db'}"
    except PermissionError:
        return not_writable
    return None if all(os.access(one, os.W_OK) for one in (path.parent, path) if one.exists()) else not_writable
