from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.homeassistant.builders import bridge, clan, decode, player
from tests.homeassistant.rules import LARGEST_PAYLOAD, violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from coc2mqtt.homeassistant import DiscoveryMessage

Json = dict[str, Any]


@pytest.mark.parametrize(
    "announce",
    [
        pytest.param(bridge, id="bridge"),
        pytest.param(partial(bridge, instance="My-Home_2"), id="bridge of a quaint instance"),
        pytest.param(clan, id="clan"),
        pytest.param(partial(clan, war=False), id="clan without war"),
        pytest.param(partial(clan, name=None), id="clan not yet known by name"),
        pytest.param(partial(clan, name='"Müller" {{ 1 }} 漢字'), id="clan with a wild name"),
        pytest.param(partial(clan, badge_url=None), id="clan without a badge"),
        pytest.param(partial(clan, prefix="ha"), id="clan under another prefix"),
        pytest.param(player, id="player"),
    ],
)
def test_every_announcement_keeps_home_assistants_rules(announce: Callable[[], DiscoveryMessage]) -> None:
    message = announce()
    assert violations(message.topic, decode(message)) == []
    assert len(message.payload) < LARGEST_PAYLOAD / 2


def put(*path: str, value: Any) -> Callable[[Json], None]:
    def change(payload: Json) -> None:
        for key in path[:-1]:
            payload = payload[key]
        payload[path[-1]] = value

    return change


def drop(*path: str) -> Callable[[Json], None]:
    def change(payload: Json) -> None:
        for key in path[:-1]:
            payload = payload[key]
        del payload[path[-1]]

    return change


STATE = ("components", "war_state")
EVENTS = ("components", "activity")
TRIGGER = ("components", "trigger_war_new")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (put("~", value="coc"), "root: unknown key ~"),
        (put("name", value="x"), "root: unknown key name"),
        (drop("origin"), "root: no origin"),
        (drop("device", "identifiers"), "device: no identifiers"),
        (put("device", "via", value="x"), "device: unknown key via"),
        (put("device", "configuration_url", value="www.x.org"), "device: configuration_url without a scheme"),
        (put("origin", "url", value="x"), "origin: unknown key url"),
        (put("availability_mode", value="latest"), "root: more than one availability topic and the mode is not all"),
        (drop("availability_mode"), "root: more than one availability topic and the mode is not all"),
        (put("availability_topic", value="x"), "root: availability and availability_topic"),
        (put("availability", value=[{"topic": "x"}]), "root: availability: no value_template"),
        (put("components", value={}), "no components"),
        (put("components", "War-State", value={"platform": "x"}), "component id War-State"),
        (put(*STATE, "platform", value="camera"), "war_state: platform camera"),
        (put(*STATE, "object_id", value="x"), "war_state: sensor: unknown key object_id"),
        (drop(*STATE, "unique_id"), "war_state: sensor: no unique_id"),
        (drop(*STATE, "value_template"), "war_state: the payload is JSON and no template reads it"),
        (put(*STATE, "default_entity_id", value="event.x"), "war_state: default_entity_id is not of its platform"),
        (put(*STATE, "entity_category", value="config"), "war_state: entity_category is not diagnostic"),
        (put(*STATE, "unit_of_measurement", value="x"), "war_state: options beside a state_class or a unit"),
        (put(*STATE, "device_class", value=None), "war_state: options and device_class enum go together only"),
        (put(*STATE, "options", value=[]), "war_state: options are empty"),
        (put(*STATE, "name", value="The Order war state"), "war_state: name repeats the device's"),
        (put("components", "twin", value=decode(clan())["components"]["members"]), "default_entity_id"),
        (put(*EVENTS, "device_class", value=None), "activity: device_class is null"),
        (put(*EVENTS, "event_types", value=[]), "activity: event_types are empty"),
        (drop(*TRIGGER, "subtype"), "trigger_war_new: device_automation: no subtype"),
        (put(*TRIGGER, "unique_id", value="x"), "trigger_war_new: device_automation: unknown key unique_id"),
    ],
)
def test_the_checker_sees_a_broken_rule(change: Callable[[Json], None], fault: str) -> None:
    message = clan()
    payload = decode(message)
    change(payload)
    assert any(found.startswith(fault) for found in violations(message.topic, payload))


def test_the_checker_sees_an_override_that_home_assistant_rejects() -> None:
    message = bridge()
    payload = decode(message)
    payload["availability_topic"] = payload.pop("availability")[0]["topic"]
    assert violations(message.topic, payload) == [
        "connectivity: an empty availability is rejected beside an availability_topic at the root"
    ]


def test_the_checker_sees_a_topic_that_home_assistant_ignores() -> None:
    assert violations("homeassistant/device/a b/config", decode(clan())) == ["topic homeassistant/device/a b/config"]
