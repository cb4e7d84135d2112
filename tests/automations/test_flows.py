"""The Node-RED flows are valid, and use only existing topics, event types and commands."""

from __future__ import annotations

import json
import re
from typing import Any

from coc2mqtt.events.event import EventType
from coc2mqtt.events.resource import API, Kind
from coc2mqtt.mqtt.topics import Topics
from tests.support.discovery import CONFIG

Json = dict[str, Any]

FLOWS: list[Json] = json.loads((CONFIG / "node-red" / "flows.json").read_text())
# The nodes of a Node-RED without additional palettes.
NODES = {
    *("tab", "group", "comment", "mqtt-broker", "mqtt in", "mqtt out", "switch", "change", "debug", "inject"),
}


def of_type(*types: str) -> list[Json]:
    return [node for node in FLOWS if node["type"] in types]


def test_flow_ids_are_unique_and_wires_are_connected() -> None:
    by_id = {node["id"]: node for node in FLOWS}
    assert len(by_id) == len(FLOWS)
    for node in FLOWS:
        for wire in (target for output in node.get("wires", []) for target in output):
            assert by_id[wire]["z"] == node["z"]
            assert by_id[wire]["type"] in ("switch", "change", "debug", "mqtt out")


def test_every_node_is_on_its_tab_and_in_its_group() -> None:
    tabs = {node["id"] for node in of_type("tab")}
    groups = {node["id"]: node for node in of_type("group")}
    for node in FLOWS:
        if node["type"] in ("tab", "mqtt-broker"):
            continue
        assert node["z"] in tabs
        if node["type"] != "group":
            assert node["id"] in groups[node["g"]]["nodes"]
            assert groups[node["g"]]["z"] == node["z"]
    assert sum(len(group["nodes"]) for group in groups.values()) == sum("g" in node for node in FLOWS)


def test_flows_use_only_built_in_nodes() -> None:
    assert {node["type"] for node in FLOWS} <= NODES


def test_nodes_share_one_broker_without_credentials() -> None:
    (broker,) = of_type("mqtt-broker")
    assert {node["broker"] for node in of_type("mqtt in", "mqtt out")} == {broker["id"]}
    assert "credentials" not in broker


def test_flow_topics_are_those_of_the_bridge() -> None:
    topics, bridge = Topics(), Topics().bridge
    clan, player = (topics.events(kind, "#X").replace("/X/", "/+/") for kind in (Kind.CLAN, Kind.PLAYER))
    assert {node["topic"] for node in of_type("mqtt in")} == {
        *(clan, player, topics.events(API.kind, API.tag)),
        *(f"{bridge('response')}/+", bridge("state"), topics.api_status),
    }
    commands = ("watch", "unwatch", "list", "poll")
    assert {node["topic"] for node in of_type("mqtt out")} == {topics.request(command) for command in commands}
    assert all(node["retain"] == "false" and node["qos"] == "1" for node in of_type("mqtt out"))


def test_each_event_type_has_exactly_one_output() -> None:
    (switch,) = (node for node in of_type("switch") if node["name"] == "sort by event type")
    *rules, rest = switch["rules"]
    assert rest == {"t": "else"}
    assert switch["checkall"] == "false"
    taken = [{kind.value for kind in EventType if re.search(rule["v"], kind.value)} for rule in rules]
    assert all(taken)
    assert len(set().union(*taken)) == sum(map(len, taken))
    assert len(switch["wires"]) == switch["outputs"] == len(rules) + 1


def test_flows_drop_retained_messages_on_event_topics() -> None:
    by_id = {node["id"]: node for node in FLOWS}
    for node in of_type("mqtt in"):
        if node["topic"].endswith("/+") and "response" not in node["topic"]:
            ((target,),) = node["wires"]
            assert by_id[target]["property"] == "retain"
            assert by_id[target]["rules"] == [{"t": "false"}]
