"""The example of a dashboard in ``config``."""

from __future__ import annotations

import re

import yaml

from scripts.example_dashboard import example_dashboard
from tests.support.discovery import CONFIG, discovered_entity_ids

TEXT = (CONFIG / "dashboard.yaml").read_text()
BODY = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#"))


def test_example_is_the_output_of_the_command() -> None:
    assert example_dashboard() == TEXT, "run 'make schemas'"


def test_example_uses_only_discovered_entities() -> None:
    used = set(re.findall(r"\b[a-z_]+\.(?:clan_2pp|player_900pucpv|coc2mqtt_home)_\w+", BODY))
    assert used <= discovered_entity_ids()
    assert len(used) > 30


def test_placeholders_of_the_header_occur_in_every_entity_id() -> None:
    header = TEXT.removesuffix(BODY)
    for word in ("2PP", "2pp", "900PUCPV", "900pucpv", "coc2mqtt_home"):
        assert word in header
        assert word in BODY
    for found in re.findall(r"(?:entity|entity_id): +(\S+)", BODY):
        assert re.search(r"2pp|900pucpv|coc2mqtt_home", found)


def test_example_is_valid_yaml() -> None:
    assert [view["path"] for view in yaml.safe_load(TEXT)["views"]] == ["clan-2pp", "players", "bridge"]
