from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.homeassistant.builders import activity, bridge, clan, cwl, decode, games, player, raid, ranked, reminders
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
        pytest.param(cwl, id="league"),
        pytest.param(partial(cwl, standings=False), id="league without standings"),
        pytest.param(raid, id="raid"),
        pytest.param(player, id="player"),
        *(pytest.param(announce, id=announce.__name__) for announce in (activity, games, ranked, reminders)),
        *(
            pytest.param(partial(announce, language="de"), id=f"German {announce.__name__}")
            for announce in (clan, cwl, raid, player, activity, games, ranked, reminders)
        ),
    ],
)
def test_every_device_follows_home_assistants_rules(announce: Callable[[], DiscoveryMessage]) -> None:
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
STARS = ("components", "stars")
DESTRUCTION = ("components", "destruction")
START = ("components", "war_start")
PUBLIC = ("components", "war_log_public")
EVENTS = ("components", "activity")
BADGE = ("components", "badge")
REFRESH = ("components", "refresh")
TRIGGER = ("components", "trigger_war_new")
FIELD = ("components", "watch_clan")
LEVEL = ("components", "log_level")
SYNTAX = "{{ value_json.state"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (put("~", value="coc"), "root: unknown key ~"),
        (put("name", value="x"), "root: unknown key name"),
        (put("device", "name", value="x" * LARGEST_PAYLOAD), "too large"),
        (drop("origin"), "root: no origin"),
        (drop("device", "identifiers"), "device: no identifiers"),
        (put("device", "via", value="x"), "device: unknown key via"),
        (put("device", "configuration_url", value="www.x.org"), "device: configuration_url without a scheme"),
        (put("origin", "url", value="x"), "origin: unknown key url"),
        (put("availability_mode", value="latest"), "root: more than one availability topic and the mode is not all"),
        (drop("availability_mode"), "root: more than one availability topic and the mode is not all"),
        (put("availability_topic", value="x"), "root: availability and availability_topic"),
        (put("availability", value=[{"topic": "x"}]), "root: availability: no value_template"),
        (drop("availability"), "war_state: nothing says whether it is available"),
        (put("components", value={}), "no components"),
        (put("components", "War-State", value={"platform": "x"}), "component id War-State"),
        (put(*STATE, "platform", value="camera"), "war_state: platform camera"),
        (put(*STATE, "object_id", value="x"), "war_state: sensor: unknown key object_id"),
        (drop(*STATE, "unique_id"), "war_state: sensor: no unique_id"),
        (drop(*STATE, "value_template"), "war_state: the payload is JSON and no template reads it"),
        (put(*STATE, "value_template", value="{{ value }}"), "war_state: value_template: what was received is JSON"),
        (put(*STATE, "value_template", value=SYNTAX), "war_state: value_template: unexpected end of template"),
        (put(*STATE, "default_entity_id", value="event.x"), "war_state: default_entity_id is not of its platform"),
        (put(*STATE, "enabled_by_default", value="no"), "war_state: enabled_by_default is not a boolean"),
        (put(*STATE, "entity_category", value="config"), "war_state: entity_category config is not for a sensor"),
        (put(*STATE, "unit_of_measurement", value="x"), "war_state: unit 'x' is not for device_class enum"),
        (put(*STATE, "state_class", value="total"), "war_state: state_class total is not for device_class enum"),
        (put(*STATE, "device_class", value=None), "war_state: options and device_class enum go together only"),
        (put(*STATE, "device_class", value="data"), "war_state: device_class data"),
        (put(*STATE, "options", value=[]), "war_state: options are empty"),
        (put(*STATE, "options", value=["in_war"]), "war_state: the template gives other words than the options"),
        (put(*STATE, "name", value="The Order war state"), "war_state: name repeats the device's"),
        (put(*STATE, "state_topic", value="coc/+/war"), "war_state: state_topic coc/+/war"),
        (put(*STARS, "json_attributes_topic", value="coc/x"), "stars: json_attributes_topic and"),
        (put(*START, "unit_of_measurement", value="d"), "war_start: unit 'd' is not for device_class timestamp"),
        (put(*START, "state_class", value="total"), "war_start: state_class total is not for device_class timestamp"),
        (put(*START, "options", value=["a"]), "war_start: options and device_class enum go together only"),
        (put(*STARS, "state_class", value="rising"), "stars: state_class rising"),
        (put(*STARS, "unit_of_measurement", value=" "), "stars: unit ' ' is not for device_class None"),
        (drop(*DESTRUCTION, "state_class"), "destruction: a unit or a precision and no statistics"),
        (
            put("components", "opponent", "json_attributes_template", value="{{ value_json.opponent }}"),
            "opponent: json_attributes_template does not give JSON for certain",
        ),
        (put(*PUBLIC, "device_class", value="enum"), "war_log_public: device_class enum"),
        (put(*PUBLIC, "payload_on", value="true"), "war_log_public: it is not ON or OFF"),
        (put(*PUBLIC, "entity_category", value="config"), "war_log_public: entity_category config"),
        (
            put(*PUBLIC, "value_template", value="{{ {'a': 'on'}.get(value_json.x) }}"),
            "war_log_public: the template gives other words than ON and OFF",
        ),
        (put("components", "twin", value=decode(clan())["components"]["members"]), "default_entity_id"),
        (put(*EVENTS, "device_class", value=None), "activity: device_class is null"),
        (put(*EVENTS, "event_types", value=[]), "activity: event_types are empty"),
        (put(*EVENTS, "event_types", value=["war_new"]), "activity: the template lets no war_new pass"),
        (put(*EVENTS, "state_topic", value="coc/clan/#"), "activity: state_topic coc/clan/#"),
        (drop(*BADGE, "url_topic"), "badge: exactly one of url_topic and image_topic"),
        (put(*BADGE, "image_topic", value="coc/x"), "badge: exactly one of url_topic and image_topic"),
        (put(*BADGE, "content_type", value="image/png"), "badge: content_type with url_topic"),
        (put(*BADGE, "entity_category", value="config"), "badge: entity_category config is not for a image"),
        (drop(*REFRESH, "command_topic"), "refresh: button: no command_topic"),
        (put(*REFRESH, "payload_press", value="PRESS"), "refresh: payload_press is not JSON"),
        (put(*REFRESH, "state_class", value="total"), "refresh: button: unknown key state_class"),
        (drop(*TRIGGER, "subtype"), "trigger_war_new: device_automation: no subtype"),
        (put(*TRIGGER, "unique_id", value="x"), "trigger_war_new: device_automation: unknown key unique_id"),
        (put(*TRIGGER, "topic", value="coc/#"), "trigger_war_new: topic coc/#"),
    ],
)
def test_checker_finds_broken_rule(change: Callable[[Json], None], fault: str) -> None:
    assert_seen(clan(), change, fault)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (put(*FIELD, "min", value=1), "watch_clan: its state, the empty text, does not fit its own pattern"),
        (put(*FIELD, "min", value=40), "watch_clan: min 40 and max 32"),
        (put(*FIELD, "max", value=256), "watch_clan: min 0 and max 256"),
        (put(*FIELD, "pattern", value="#[A-Z]+"), "watch_clan: its state, the empty text, does not fit its own"),
        (put(*FIELD, "pattern", value="["), "watch_clan: pattern: unterminated character set"),
        (put(*FIELD, "command_template", value='{"tag": "{{ value }}"}'), "watch_clan: command_template does not"),
        (put(*FIELD, "command_topic", value="coc/+"), "watch_clan: command_topic coc/+"),
        (put(*FIELD, "entity_category", value="other"), "watch_clan: entity_category other is not for a text"),
        (put(*LEVEL, "options", value=["info", "info"]), "log_level: options are empty, twice the same or no words"),
        (put(*LEVEL, "options", value=["info", 1]), "log_level: options are empty, twice the same or no words"),
        (drop(*LEVEL, "options"), "log_level: select: no options"),
        (put(*LEVEL, "options", value=["info"]), "log_level: the template gives other words than the options"),
        (put(*LEVEL, "pattern", value="x"), "log_level: select: unknown key pattern"),
    ],
)
def test_checker_finds_broken_rule_of_the_bridge(change: Callable[[Json], None], fault: str) -> None:
    assert_seen(bridge(), change, fault)


def assert_seen(message: DiscoveryMessage, change: Callable[[Json], None], fault: str) -> None:
    payload = decode(message)
    change(payload)
    assert any(found.startswith(fault) for found in violations(message.topic, payload)), violations(
        message.topic, payload
    )


def test_checker_finds_override_that_home_assistant_rejects() -> None:
    message = bridge()
    payload = decode(message)
    payload["availability_topic"] = payload.pop("availability")[0]["topic"]
    assert violations(message.topic, payload) == [
        "connectivity: an empty availability is rejected with an availability_topic at the root"
    ]


def test_checker_finds_topic_that_home_assistant_ignores() -> None:
    assert violations("homeassistant/device/a b/config", decode(clan())) == ["topic homeassistant/device/a b/config"]
