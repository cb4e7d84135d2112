"""The dashboard, as a file: what it shows is announced."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.discovery import CONFIG, discovered_entity_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = (CONFIG / "dashboard.yaml").read_text()
BODY = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#"))
# Home Assistant's own.
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


def test_every_entity_is_announced() -> None:
    used = set(re.findall(rf"\b[a-z_]+\.(?:clan_|player_)?(?:{'|'.join(REPLACED)})_\w+", BODY))
    assert used <= discovered_entity_ids()
    assert len(used) > 30


def test_what_is_to_be_replaced_stands_in_entity_ids_alone() -> None:
    for word in REPLACED:
        assert re.search(rf"^#   {word} ", TEXT, re.MULTILINE)
        rest = re.sub(r"\b[a-z_]+\.(?:clan_|player_)?(?:2pp|900pucpv|coc2mqtt_home)_\w+", "", BODY)
        assert word not in rest


def test_no_entity_is_named_without_a_word_to_replace() -> None:
    for found in re.findall(r"(?:entity|entity_id): +(\S+)", BODY):
        assert any(word in found for word in REPLACED), found


def test_its_cards_are_built_in() -> None:
    assert set(cards(yaml.safe_load(TEXT))) <= CARDS
