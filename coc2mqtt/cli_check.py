"""``coc2mqtt check``: tries what the bridge will need, one thing after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.clash.errors import ClashError, MaintenanceError
from coc2mqtt.mqtt.connection import probe
from coc2mqtt.mqtt.errors import MqttError
from coc2mqtt.service import api_client, connection_options
from coc2mqtt.settings import ConfigurationError, require_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.settings import Settings


async def check_everything(settings: Settings, *, say: Callable[[str], None]) -> bool:
    """Say of the file, the token, each watch and the broker whether they are good; returns whether all are."""
    say("ok      configuration: the file and the environment can be read")
    good = [await _check_api(settings, say), await _check_broker(settings, say), _check_journal(settings, say)]
    return all(good)


async def _check_api(settings: Settings, say: Callable[[str], None]) -> bool:
    try:
        require_token(settings)
    except ConfigurationError as error:
        say(f"FAILED  token: {error}")
        return False
    good = True
    async with api_client(settings) as api:
        try:
            await api.player(settings.watch.maintenance.probe_tag)
        except MaintenanceError as error:
            say(f"later   API: {error}")
            return True
        except ClashError as error:
            say(f"FAILED  API: {error}")
            return False
        say(f"ok      API: {settings.api.base_url} answers and takes the token")
        for watch in settings.watch.watches():
            try:
                answer = await (api.player(watch.tag) if watch.kind == "player" else api.clan(watch.tag))
                say(f"ok      {watch.kind} {watch.tag}: {answer.data.get('name')}")
            except ClashError as error:
                say(f"FAILED  {watch.kind} {watch.tag}: {error}")
                good = False
    return good


async def _check_broker(settings: Settings, say: Callable[[str], None]) -> bool:
    if settings.mqtt.host is None:
        say(f"ok      broker: none is named, so the embedded one will listen on 127.0.0.1:{settings.mqtt.port}")
        return True
    try:
        protocol = await probe(connection_options(settings))
    except MqttError as error:
        say(f"FAILED  broker: {error}")
        return False
    say(f"ok      broker: {settings.mqtt.host}:{settings.mqtt.port} lets the bridge in and speaks MQTT {protocol}")
    return True


def _check_journal(settings: Settings, say: Callable[[str], None]) -> bool:
    folder = settings.journal.path.absolute().parent
    if not folder.is_dir():
        say(f"FAILED  journal: the folder {folder} does not exist: create it, or set journal.path")
        return False
    say(f"ok      journal: {settings.journal.path}")
    return True
