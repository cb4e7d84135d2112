"""The blueprint files are valid, and use only discovered triggers and entities."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from coc2mqtt.events.event import EventType
from tests.support.discovery import CONFIG, device_triggers, discovery_payloads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]

FILES = sorted((CONFIG / "blueprints" / "automation" / "coc2mqtt").glob("*.yaml"))


class Input(str):
    """The name of an ``!input``."""

    __slots__ = ()


class Loader(yaml.SafeLoader):
    pass


Loader.add_constructor("!input", lambda loader, node: Input(loader.construct_scalar(node)))  # type: ignore[arg-type]


def load(path: Path) -> Json:
    data: Json = yaml.load(path.read_text(), Loader)  # noqa: S506 - a safe loader with one more tag
    return data


def leaves(data: Any) -> Iterator[Any]:
    """Yield everything that is neither a list nor an object, at every depth."""
    if isinstance(data, dict | list):
        for item in data.values() if isinstance(data, dict) else data:
            yield from leaves(item)
    else:
        yield data


def by_name(path: Path) -> str:
    return path.stem


blueprints = pytest.mark.parametrize("path", FILES, ids=by_name)


def test_all_blueprints_exist() -> None:
    assert {path.stem for path in FILES} == {
        *("war_declared", "war_starting", "war_ending", "war_result", "member_joined_left", "member_role"),
        *("maintenance", "upgrade_finished"),
    }


@blueprints
def test_blueprint_declares_exactly_the_inputs_that_it_uses(path: Path) -> None:
    blueprint = load(path)
    declared = set(blueprint.pop("blueprint")["input"])
    assert {leaf for leaf in leaves(blueprint) if isinstance(leaf, Input)} == declared


@blueprints
def test_blueprint_has_name_description_and_selectors(path: Path) -> None:
    about = load(path)["blueprint"]
    assert about["domain"] == "automation"
    assert about["homeassistant"] == {"min_version": "2024.12.0"}
    assert re.fullmatch(r"Clash of Clans: .+", about["name"])
    assert about["description"].strip()
    for name, one in about["input"].items():
        assert one["name"].strip(), name
        assert len(one["selector"]) == 1, name


@blueprints
def test_blueprint_requires_only_devices_and_entities(path: Path) -> None:
    inputs = load(path)["blueprint"]["input"]
    required = {name for name, one in inputs.items() if "default" not in one}
    assert required == {name for name, one in inputs.items() if set(one["selector"]) & {"device", "entity"}}


@blueprints
def test_default_of_select_input_is_one_of_its_options(path: Path) -> None:
    for one in load(path)["blueprint"]["input"].values():
        if (select := one["selector"].get("select")) is not None:
            default = one["default"] if select.get("multiple") else [one["default"]]
            assert set(default) <= {option["value"] for option in select["options"]}


@blueprints
def test_default_action_shows_the_summary(path: Path) -> None:
    blueprint = load(path)
    (action,) = blueprint["blueprint"]["input"]["actions"]["default"]
    assert action["action"] == "persistent_notification.create"
    assert action["data"]["message"] == "{{ summary }}"
    assert blueprint["actions"] == Input("actions")
    assert blueprint["variables"]["summary"].strip()


@blueprints
def test_documented_variables_exist(path: Path) -> None:
    blueprint = load(path)
    promised = blueprint["blueprint"]["description"].split("The actions can use", 1)[1]
    words = set(re.findall(r"`(\w+)`", promised)) - set(leaves(options(blueprint)))
    nested = {"name", "maintenance_start", "maintenance_end"}
    assert words - nested <= set(blueprint["variables"]), path.stem


def options(blueprint: Json) -> list[Any]:
    inputs = blueprint["blueprint"]["input"].values()
    return [one["selector"]["select"]["options"] for one in inputs if "select" in one["selector"]]


@blueprints
def test_device_triggers_are_those_of_the_selected_device(path: Path) -> None:
    blueprint = load(path)
    inputs = blueprint["blueprint"]["input"]
    for trigger in blueprint["triggers"]:
        if trigger["trigger"] == "device":
            (wanted,) = inputs[trigger["device_id"]]["selector"]["device"]["filter"]
            device = discovery_payloads()[wanted["model"]]["device"]
            assert wanted == {
                "integration": "mqtt",
                "manufacturer": device["manufacturer"],
                "model": device["model"],
            }
            assert (trigger["type"], trigger["subtype"]) in device_triggers(wanted["model"])
            assert trigger["domain"] == "mqtt"
        else:
            # Only these triggers depend on messages and times alone, and never on state changes by a restart.
            assert trigger["trigger"] == "time"
            assert isinstance(trigger["at"]["entity_id"], Input)


@blueprints
def test_blueprint_has_one_trigger_per_event_type(path: Path) -> None:
    starts = [trigger.get("subtype", "time") for trigger in load(path)["triggers"]]
    assert len(starts) == len(set(starts))


def test_selected_sensors_exist() -> None:
    components = discovery_payloads()["Clan"]["components"]
    for name, keys in {"war_starting": ["war_start"], "war_ending": ["war_end", "attacks_left"]}.items():
        inputs = load(next(path for path in FILES if path.stem == name))["blueprint"]["input"]
        filters = [one["selector"]["entity"]["filter"][0] for one in inputs.values() if "entity" in one["selector"]]
        for wanted, key in zip(filters, keys, strict=True):
            assert wanted["domain"] == components[key]["platform"]
            assert wanted.get("device_class") == components[key].get("device_class")
    for key in ("war_start", "war_end"):
        assert "'preparation_start'" in components[key]["json_attributes_template"]
    assert "'members'" in components["attacks_left"]["json_attributes_template"]
    assert components["opponent"]["default_entity_id"].endswith("_opponent")


def test_every_kind_of_upgrade_can_be_selected() -> None:
    blueprint = load(next(path for path in FILES if path.stem == "upgrade_finished"))
    upgrades = {event_type.value for event_type in EventType if event_type.value.endswith("_upgraded")}
    assert {trigger["subtype"] for trigger in blueprint["triggers"]} == upgrades
    kinds = blueprint["variables"]["kind_of_type"]
    assert set(kinds) == upgrades
    (choices,) = options(blueprint)
    assert set(kinds.values()) <= {choice["value"] for choice in choices}
