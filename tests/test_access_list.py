"""The access list in ``config/`` on a real Mosquitto: the topics that each user may write and read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from coc2mqtt.mqtt.client.errors import PublishDeniedError
from coc2mqtt.mqtt.client.options import ConnectionOptions
from tests.support.paths import ROOT
from tests.support.sessions import connected_session
from tests.support.timeouts import LONG_ENOUGH

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from coc2mqtt.mqtt.client.session import Session
    from tests.conftest import StartMosquitto
    from tests.support.broker import Mosquitto

ACL = (ROOT / "config" / "coc2mqtt.acl").read_text()
USERS = ("coc2mqtt", "homeassistant", "viewer", "admin")
EVENT, STATE = "coc/clan/2PP/member_joined", "coc/clan/2PP/state/clan"
LAST_COMMAND = "coc/bridge/last_command"
INFO, REQUEST, RESPONSE = "coc/bridge/info", "coc/bridge/request/watch", "coc/bridge/response/watch"
DISCOVERY, BIRTH = "homeassistant/device/coc2mqtt_home_clan_2PP/config", "homeassistant/status"
FOREIGN = ("homeassistant/light/lamp/config", "zigbee2mqtt/lamp/set", "cocoa", "$CONTROL/dynamic-security/v1")

MAY_WRITE = {
    "coc2mqtt": {EVENT, STATE, INFO, RESPONSE, DISCOVERY, "coc/bridge/state", LAST_COMMAND},
    "homeassistant": {REQUEST, DISCOVERY, BIRTH, "homeassistant/light/lamp/config"},
    "viewer": set[str](),
}
STATE_OF_BRIDGE, HEALTH_CHECK = "coc/bridge/state", "coc/bridge/response/health_check"
HEALTH, WATCHES, API_STATUS = "coc/bridge/health", "coc/bridge/watches", "coc/api/state/status"
CLAN, PLAYER = "coc/clan/2PP/state/availability", "coc/player/2PP/state/availability"
GUARDED = {STATE, CLAN, PLAYER, WATCHES, LAST_COMMAND, API_STATUS, STATE_OF_BRIDGE, INFO, DISCOVERY}
OURS = {EVENT, REQUEST, RESPONSE, HEALTH_CHECK, HEALTH, *GUARDED} - {DISCOVERY}
MAY_READ = {
    "coc2mqtt": {REQUEST, HEALTH_CHECK, HEALTH, BIRTH, *GUARDED},
    "homeassistant": {*OURS, DISCOVERY, BIRTH, "homeassistant/light/lamp/config"},
    "viewer": OURS,
}
TOPICS = {EVENT, STATE, INFO, REQUEST, RESPONSE, DISCOVERY, BIRTH, STATE_OF_BRIDGE, LAST_COMMAND, *FOREIGN}


@pytest.fixture
def broker(mosquitto: StartMosquitto) -> Mosquitto:
    return mosquitto(users=dict.fromkeys(USERS, "secret"), acl=f"{ACL}\nuser admin\ntopic readwrite #\n")


def login(broker: Mosquitto, user: str) -> AbstractAsyncContextManager[Session]:
    return connected_session(
        ConnectionOptions(broker.host, broker.port, user, username=user, password=SecretStr("secret"))
    )


@pytest.mark.parametrize("user", MAY_WRITE)
async def test_user_can_write_only_the_topics_it_needs(broker: Mosquitto, user: str) -> None:
    accepted = set()
    async with login(broker, user) as session:
        for topic in TOPICS:
            try:
                await session.publish(topic, b"x")
            except PublishDeniedError:
                continue
            accepted.add(topic)
    assert accepted == MAY_WRITE[user]


@pytest.mark.parametrize("user", MAY_READ)
async def test_user_can_read_only_the_topics_it_needs(broker: Mosquitto, user: str) -> None:
    topics = [
        topic
        for topic in (*TOPICS, CLAN, PLAYER, HEALTH, HEALTH_CHECK, WATCHES, API_STATUS)
        if not topic.startswith("$")
    ]
    # Mosquitto grants every subscription but does not deliver messages that the user may not read.
    async with login(broker, user) as session, login(broker, "admin") as other:
        for topic in topics:
            await session.subscribe(topic)
        for topic in topics:
            await other.publish(topic, b"x")
        await other.publish(INFO, b"last")
        received = set()
        async with asyncio.timeout(LONG_ENOUGH):
            async for message in session.messages():
                received.add(message.topic)
                if message.payload == b"last":
                    break
    assert received == MAY_READ[user]
