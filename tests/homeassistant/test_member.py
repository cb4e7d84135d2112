"""The sensor of a clan's member."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from coc2mqtt.homeassistant import MemberTopics, is_member_tag, member_sensor
from coc2mqtt.mqtt.payloads.members import members_payload
from coc2mqtt.translations import language_of
from tests.homeassistant.builders import clan, decode
from tests.homeassistant.rendering import attributes, shown
from tests.homeassistant.rules import violations
from tests.support.bodies import member

Json = dict[str, Any]

STATE = "coc/clan/2PP/state/members"
TOPICS = MemberTopics("coc/bridge/state", "coc/clan/2PP/state/availability", STATE)
KEY = "member_qr9rjquv2"


def sensor(name: str | None = "Bram", language: str = "en", clan_name: str | None = "The Order") -> Json:
    message = member_sensor(
        instance="home",
        version="1.2.3",
        clan_tag="#2PP",
        clan_name=clan_name,
        tag="#QR9RJQUV2",
        name=name,
        topics=TOPICS,
        language=language_of(language),
    )
    assert message.topic == "homeassistant/device/coc2mqtt_home_clan_2PP_member_QR9RJQUV2/config"
    payload = decode(message)
    assert violations(message.topic, payload) == []
    return payload


def component(payload: Json) -> Json:
    found: Json = payload["components"][KEY]
    return found


def test_sensor_belongs_to_the_device_of_the_clan() -> None:
    of_clan, of_member = decode(clan()), sensor()
    for key in ("device", "origin", "availability", "availability_mode", "qos"):
        assert of_member[key] == of_clan[key], key
    ids = {one.get("unique_id") for one in of_clan["components"].values()}
    assert component(of_member)["unique_id"] == "coc2mqtt_home_clan_2PP_member_qr9rjquv2"
    assert component(of_member)["unique_id"] not in ids
    assert component(of_member)["default_entity_id"] == "sensor.clan_2pp_member_qr9rjquv2"


@pytest.mark.parametrize(
    ("name", "language", "shown_name"),
    [
        ("Bram", "en", "Member Bram"),
        ("Bram", "de", "Mitglied Bram"),
        ("{x} %s", "de", "Mitglied {x} %s"),
        (None, "en", "Member #QR9RJQUV2"),
    ],
)
def test_sensor_is_named_after_the_member(name: str | None, language: str, shown_name: str) -> None:
    assert component(sensor(name, language))["name"] == shown_name


def test_sensor_shows_the_member_with_its_tag() -> None:
    others = [member("#2P2", donations=7), member("#QR9RJQUV2", role="admin", donations=1200), member("#2P8")]
    payload = members_payload({"memberList": others}, 0.0).encode()
    assert shown(component(sensor()), payload) == "1200"
    assert attributes(component(sensor()), payload) == {
        "tag": "#QR9RJQUV2",
        "name": "Name of #QR9RJQUV2",
        "league": "Golem League 21",
        "role": "elder",
        "town_hall": 15,
        "trophies": 4000,
        "donations": 1200,
        "received": 50,
    }


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"x", b"[]", b"{}", b'{"members":null}', b'{"members":"#QR9RJQUV2"}'),
        b'{"members":{"tag":"#QR9RJQUV2"}}',
        orjson.dumps({"members": [None, [], 5, "#QR9RJQUV2", {}, {"tag": []}, {"tag": "#2P2", "donations": 1}]}),
    ],
)
def test_sensor_is_unknown_without_the_member(payload: bytes) -> None:
    assert shown(component(sensor()), payload) is None
    assert attributes(component(sensor()), payload) == {}


def test_unexpected_values_of_the_member_are_unknown() -> None:
    payload = orjson.dumps({"members": [{"tag": "#QR9RJQUV2", "donations": "x", "role": []}]})
    assert shown(component(sensor()), payload) is None
    assert attributes(component(sensor()), payload)["role"] is None


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("#QR9RJQUV2", True),
        ("#2", True),
        *((odd, False) for odd in (None, "", "#", "#qr9", "#2'", "QR9", "#2\n", "#" + "2" * 16)),
    ],
)
def test_only_a_member_with_a_valid_tag_has_a_sensor(tag: str | None, expected: bool) -> None:
    assert is_member_tag(tag) is expected
