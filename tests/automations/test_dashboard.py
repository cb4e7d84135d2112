"""The dashboard file uses only discovered entities."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.discovery import CONFIG, discovered_entity_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = (CONFIG / "dashboard.yaml").read_text()
BODY = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#"))
# Built-in cards.
CARDS = {"heading", "tile", "picture-entity", "markdown", "history-graph", "logbook", "entities"}
REPLACED = ("2pp", "900pucpv", "coc2mqtt_home")


def cards(data: Any) -> Iterator[str]:
    if isinstance(data, list):
        for item in data:
            yield from cards(item)
    elif isinstance(data, dict):
        for key, value in data.items():
            if key == "cards":
                yield from (card["type"] for card in value)
            yield from cards(value)


def test_dashboard_uses_only_discovered_entities() -> None:
    used = set(re.findall(rf"\b[a-z_]+\.(?:clan_|player_)?(?:{'|'.join(REPLACED)})_\w+", BODY))
    assert used <= discovered_entity_ids()
    assert len(used) > 30


def test_placeholders_occur_only_in_entity_ids() -> None:
    for word in REPLACED:
        assert re.search(rf"^#   {word} ", TEXT, re.MULTILINE)
        rest = re.sub(r"\b[a-z_]+\.(?:clan_|player_)?(?:2pp|900pucpv|coc2mqtt_home)_\w+", "", BODY)
        assert word not in rest


def test_every_entity_id_has_a_placeholder() -> None:
    for found in re.findall(r"(?:entity|entity_id): +(\S+)", BODY):
        assert any(word in found for word in REPLACED), found


def test_dashboard_uses_only_built_in_cards() -> None:
    assert set(cards(yaml.safe_load(TEXT))) <= CARDS
