"""The example configuration, and the JSON schema of the configuration for editors."""

from __future__ import annotations

import json
from typing import Any

import yaml

from coc2mqtt.config.settings import FixedSettings, Settings
from tests.support.paths import ROOT

EXAMPLE = (ROOT / "config" / "coc2mqtt.yaml").read_text()


def keys(data: Any) -> Any:
    """Return only the keys, at every depth."""
    if isinstance(data, list):
        return [keys(item) for item in data]
    return {key: keys(value) for key, value in data.items()} if isinstance(data, dict) else None


def test_example_contains_every_key() -> None:
    example = yaml.safe_load(EXAMPLE)
    assert keys(example) == keys(json.loads(FixedSettings.model_validate(example).model_dump_json()))


def test_values_in_the_example_are_the_defaults() -> None:
    example = yaml.safe_load(EXAMPLE)
    del example["api"]["tokens"]
    for key in ("host", "username", "password"):
        del example["mqtt"][key]
    clans, players = example["watch"].pop("clans"), example["watch"].pop("players")
    assert FixedSettings.model_validate(example) == FixedSettings()
    for kind, watches in (("clans", clans), ("players", players)):
        written = FixedSettings.model_validate({"watch": {kind: watches}})
        bare = FixedSettings.model_validate({"watch": {kind: [watch["tag"] for watch in watches]}})
        assert written == bare


def test_schema_allows_every_key_and_spelling_of_the_example() -> None:
    schema = Settings.model_json_schema()
    parts = schema["$defs"]
    assert all(part["additionalProperties"] is False for part in (schema, *parts.values()))
    assert set(schema["properties"]) == set(yaml.safe_load(EXAMPLE))
    # A bare tag, a number as protocol, a duration with its unit.
    assert {"type": "string"} in parts["WatchSettings"]["properties"]["players"]["items"]["anyOf"]
    assert 5 in parts["MqttSettings"]["properties"]["protocol"]["enum"]
    kept = parts["JournalSettings"]["properties"]["keep_delivered"]
    assert {option["type"] for option in kept["anyOf"]} == {"number", "string"}
    assert kept["default"] == "7d"
