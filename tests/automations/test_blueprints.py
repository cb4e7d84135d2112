"""The blueprint files are valid, and use only discovered triggers and entities."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from coc2mqtt.events.event import PLAYER_EVENTS, EventType
from coc2mqtt.mqtt.control.replay import ReplayRequest
from coc2mqtt.mqtt.topics import Topics
from tests.support.discovery import CONFIG, device_triggers, discovery_payloads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]

SOURCE = "https://github.com/coc2mqtt/coc2mqtt/blob/main/config/blueprints/automation/coc2mqtt"
# Older versions of Home Assistant cannot change a variable within a loop.
MIN_VERSIONS = dict.fromkeys(("missed_events", "donations_digest", "member_inactive"), "2025.5.0")

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
        *("maintenance", "upgrade_finished", "my_attacks_left", "war_no_attacks", "token_refused", "missed_events"),
        *("donations_digest", "member_inactive", "cwl_round_result", "cwl_lineup_changed", "raid_ended"),
        *("reminder", "donations_summary", "inactive_members"),
    }


def test_documentation_counts_and_lists_all_blueprints() -> None:
    root = CONFIG.parent
    assert len(FILES) == 20, "change the number in README.md and here"
    assert re.findall(r"(\w+) \[blueprints\]", (root / "README.md").read_text()) == ["Twenty"]
    listed = re.findall(r"^\| `(\w+)\.yaml` \|", (root / "docs" / "home-assistant.md").read_text(), re.MULTILINE)
    assert sorted(listed) == [path.stem for path in FILES]


@blueprints
def test_blueprint_declares_exactly_the_inputs_that_it_uses(path: Path) -> None:
    blueprint = load(path)
    declared = set(blueprint.pop("blueprint")["input"])
    assert {leaf for leaf in leaves(blueprint) if isinstance(leaf, Input)} == declared


@blueprints
def test_blueprint_has_name_description_and_selectors(path: Path) -> None:
    about = load(path)["blueprint"]
    assert about["domain"] == "automation"
    assert about["homeassistant"] == {"min_version": MIN_VERSIONS.get(path.stem, "2024.12.0")}
    assert about["source_url"] == f"{SOURCE}/{path.name}"
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
    if path.stem in MIN_VERSIONS:
        # The steps before it fetch the events.
        assert blueprint["actions"].pop() == {"alias": "Notify", "sequence": Input("actions")}
        assert Input("actions") not in list(leaves(blueprint["actions"]))
    else:
        assert blueprint["actions"] == Input("actions")
    assert blueprint["variables"]["summary"].strip()


@blueprints
def test_documented_variables_exist(path: Path) -> None:
    blueprint = load(path)
    promised = blueprint["blueprint"]["description"].split("The actions can use", 1)[1]
    words = set(re.findall(r"`(\w+)`", promised)) - set(leaves(options(blueprint)))
    nested = {"name", "text", "time", "event_type", "tag", "role", "left", "last_seen", "donations"}
    nested |= {"reminders", "games", "inactive_after"}  # options of a watch
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
        elif trigger["trigger"] == "homeassistant":
            assert path.stem == "missed_events"
        else:
            # Only these triggers depend on messages and times alone, and never on state changes by a restart.
            assert trigger["trigger"] == "time"
            at = trigger["at"]
            assert isinstance(at["entity_id"] if isinstance(at, dict) else at, Input)


@blueprints
def test_blueprint_has_one_trigger_per_event_type(path: Path) -> None:
    starts = [trigger.get("subtype", trigger.get("event", "time")) for trigger in load(path)["triggers"]]
    assert len(starts) == len(set(starts))


def test_selected_sensors_exist() -> None:
    components = discovery_payloads()["Clan"]["components"]
    for name, keys in {
        "war_starting": ["war_start"],
        "war_ending": ["war_end", "attacks_left"],
        "war_no_attacks": ["war_start", "attacks_used"],
        # The first is the player's, with the same options.
        "my_attacks_left": ["attacks_left", "war_end"],
        "member_inactive": ["roster"],
        "donations_summary": ["donations_today", "donations_week"],
        "inactive_members": ["inactive_members"],
    }.items():
        inputs = load(next(path for path in FILES if path.stem == name))["blueprint"]["input"]
        filters = [one["selector"]["entity"]["filter"][0] for one in inputs.values() if "entity" in one["selector"]]
        for wanted, key in zip(filters, keys, strict=True):
            assert wanted["domain"] == components[key]["platform"]
            assert wanted.get("device_class") == components[key].get("device_class")
    for key in ("war_start", "war_end"):
        assert "'preparation_start'" in components[key]["json_attributes_template"]
    lists = ("donations_today", "donations_week", "inactive_members")
    for key in ("attacks_left", "cwl_attacks_left", "raid_attacks_left", "roster", *lists):
        assert "'members'" in components[key]["json_attributes_template"]
    assert "'members_not_started'" in components["raid_attacks_left"]["json_attributes_template"]
    # By these attributes, the blueprints tell a round or a weekend from a war.
    for key, attribute in (("war_end", "preparation_start"), ("cwl_round_end", "round"), ("raid_end", "start")):
        names = {"preparation_start", "round", "start"}
        assert {name for name in names if f"'{name}':" in components[key]["json_attributes_template"]} == {attribute}
    for key in ("attacks_left", "war_end"):
        assert discovery_payloads()["Player"]["components"][key]["platform"] == "sensor"
    player = discovery_payloads()["Player"]["components"]["attacks_left"]
    assert all(f"'{kind}':" in player["json_attributes_template"] for kind in ("war", "cwl", "raid"))
    assert components["opponent"]["default_entity_id"].endswith("_opponent")
    assert components["cwl_opponent_name"]["default_entity_id"].endswith("_cwl_opponent_name")


def test_every_kind_of_upgrade_can_be_selected() -> None:
    blueprint = load(next(path for path in FILES if path.stem == "upgrade_finished"))
    upgrades = {event_type.value for event_type in PLAYER_EVENTS if event_type.value.endswith("_upgraded")}
    assert {trigger["subtype"] for trigger in blueprint["triggers"]} == upgrades
    kinds = blueprint["variables"]["kind_of_type"]
    assert set(kinds) == upgrades
    (choices,) = options(blueprint)
    assert set(kinds.values()) <= {choice["value"] for choice in choices}


@pytest.mark.parametrize("name", ["my_attacks_left", "war_ending"])
@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"preparation_start": "2026-11-29T08:00:00+00:00"}, "war"),
        ({}, "war"),
        ({"round": 3, "war_id": "#8QQ"}, "cwl"),
        ({"start": "2026-11-27T07:00:00+00:00"}, "raid"),
    ],
)
def test_reminder_knows_what_ends_from_the_attributes(name: str, attributes: Json, kind: str) -> None:
    template = load(next(path for path in FILES if path.stem == name))["variables"]["kind"]
    environment = ImmutableSandboxedEnvironment()
    environment.globals["state_attr"] = lambda _, attribute: attributes.get(attribute)
    assert environment.from_string(template).render(war_end="sensor.x") == kind


def test_missed_events_can_show_only_existing_event_types() -> None:
    inputs = load(next(path for path in FILES if path.stem == "missed_events"))["blueprint"]["input"]
    choices = {choice["value"] for choice in inputs["event_types"]["selector"]["select"]["options"]}
    assert choices <= {event_type.value for event_type in EventType}


@pytest.mark.parametrize("name", sorted(MIN_VERSIONS))
def test_replay_request_of_a_blueprint_is_valid(name: str) -> None:
    text = (FILES[0].parent / f"{name}.yaml").read_text()
    assert 'topic: "{{ base_topic }}/bridge/request/replay"' in text
    assert 'topic: "{{ base_topic }}/bridge/response/replay"' in text
    assert Topics("x").request("replay") == "x/bridge/request/replay"
    assert Topics("x").response("replay") == "x/bridge/response/replay"
    request = text[text.index("page_request:") : text.index("to_json")]
    keys = set(re.findall(r"\b(\w+)=", request)) | set(re.findall(r"'(\w+)':", request))
    assert keys <= {*ReplayRequest.model_fields, "transaction"}


@pytest.mark.parametrize("name", sorted(MIN_VERSIONS))
def test_missing_replay_response_causes_no_error(name: str) -> None:
    blueprint = load(next(path for path in FILES if path.stem == name))
    environment = ImmutableSandboxedEnvironment()
    environment.filters["as_timestamp"] = environment.globals["as_timestamp"] = lambda value: value
    known = {"missed": [], "active": [], "given": {}, "donors": [], "oldest": 5, "responses": 0, "next_seq": 7}
    texts = [text for text in leaves(blueprint["actions"]) if isinstance(text, str) and "wait.trigger" in text]
    assert len(texts) > 1
    for text in texts:
        environment.from_string(text).render(**known, wait={"trigger": None})
