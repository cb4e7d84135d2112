"""The JSON schemas of all payloads, and their generated files in ``docs/``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from coc2mqtt.events.event import EventType
from coc2mqtt.events.metadata import metadata_model
from coc2mqtt.events.resource import CLAN_PARTS, Kind
from coc2mqtt.examples import example_game, examples
from coc2mqtt.examples.summaries import summaries_page
from coc2mqtt.mqtt.control.dispatcher import COMMANDS
from coc2mqtt.mqtt.schema_files import schema_examples, schema_files, update_event_table, write_schema_files
from coc2mqtt.mqtt.schemas import Schema, event_topics, schemas
from coc2mqtt.mqtt.topics import Topics
from tests.support.control import WatchesInMemory, dispatcher
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
EVENT = {
    "id": "0" * 32,
    "seq": 1,
    "event_type": "member_left",
    "tag": "#2PP",
    "name": None,
    "timestamp": "2026-11-23T12:00:00.123+00:00",
    "summary": "Kristen left The Order",
    "changes": [],
    "metadata": {"member_tag": "#8QQ", "member_name": "Kristen", "role": None},
}


def test_files_in_docs_are_up_to_date() -> None:
    written = {str(path.relative_to(DOCS)): path.read_text() for path in DOCS.glob("schemas/*")}
    written["payloads.md"] = (DOCS / "payloads.md").read_text()
    generated = dict(schema_files(examples()))
    written["events.md"] = (DOCS / "events.md").read_text()
    generated["events.md"] = update_event_table(written["events.md"])
    written["summaries.md"] = (DOCS / "summaries.md").read_text()
    generated["summaries.md"] = summaries_page(example_game().events)
    different = {name for name in written | generated if written.get(name) != generated.get(name)}
    assert different == set(), "a model has changed: run 'make schemas' and commit docs/"


@pytest.mark.parametrize("name", [name for name in schemas() if name != "event"])
def test_every_topic_has_a_valid_example(name: str) -> None:
    schema = schemas()[name]
    found = schema_examples(schema, examples())
    assert len(found) == len(schema.topics), "extend coc2mqtt/examples"
    for payload in found.values():
        schema.adapter.validate_json(payload, strict=True)
        if schema.sort == "event":
            schemas()["event"].adapter.validate_json(payload, strict=True)


def test_every_example_belongs_to_one_schema() -> None:
    found = [topic for schema in schemas().values() for topic in schema_examples(schema, examples())]
    assert sorted(found) == sorted(examples())


def test_examples_are_the_same_in_each_run() -> None:
    before = examples()
    examples.cache_clear()
    assert examples() == before


def test_event_table_is_replaced_between_its_marks() -> None:
    marked = (DOCS / "events.md").read_text()
    outdated = marked.replace("| a clan | `clan_updated` ", "| a clan | ")
    assert outdated != marked
    assert update_event_table(outdated) == marked
    assert update_event_table("no marks") == "no marks"


def test_schema_files_are_written_to_given_folder(tmp_path: Path) -> None:
    written = write_schema_files(tmp_path / "new" / "folder", {})
    assert {str(path.relative_to(tmp_path / "new" / "folder")) for path in written} == schema_files({}).keys()
    assert json.loads((tmp_path / "new/folder/schemas/event.json").read_text())["title"] == "EventPayload"


@pytest.mark.parametrize("name", schemas())
def test_schema_has_dialect_and_descriptions(name: str) -> None:
    schema = schemas()[name].json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schemas()[name].summary
    parts = [schema, *schema.get("$defs", {}).values()]
    assert all("``" not in json.dumps(part) for part in parts)
    objects = [part for part in parts if "properties" in part]
    assert objects
    for part in objects:
        assert part["description"]
        assert all(set(part.get("required", [])) <= part["properties"].keys() for part in objects)
    # Unknown keys are rejected in requests and allowed in published payloads, which may get new keys.
    closed = {part.get("additionalProperties") for part in objects}
    assert closed == ({False} if schemas()[name].accepted else {None})


def test_every_event_type_has_schema_and_topics() -> None:
    topics = Topics()
    for event_type in EventType:
        assert metadata_model(event_type).__doc__
        published = {
            topics.event(kind, "#2PP", event_type.value).replace("2PP", "<TAG>")
            for kind in (Kind.CLAN, Kind.PLAYER, Kind.API)
        }
        assert set(event_topics(event_type)) <= published
        assert (topics.event(Kind.CLAN, "<TAG>", event_type.value) in event_topics(event_type)) is (
            not {Kind.CLAN, *CLAN_PARTS}.isdisjoint(event_type.kinds)
        )


def test_every_command_has_schemas_of_request_and_response() -> None:
    for sort in ("request", "response"):
        assert [name.removeprefix(f"{sort}-") for name in schemas() if name.startswith(sort)] == list(COMMANDS)


@pytest.mark.parametrize("metadata", [EVENT["metadata"], {"left_out": 2}, {"member_tag": "#8QQ", "left_out": 1}])
def test_event_is_valid_if_complete_or_with_left_out(metadata: dict[str, Any]) -> None:
    schemas()["event-member_left"].adapter.validate_python({**EVENT, "metadata": metadata}, strict=True)


@pytest.mark.parametrize(
    "changed",
    [
        {"metadata": {"member_tag": "#8QQ", "member_name": "Kristen"}},
        {"metadata": {"member_tag": 8, "left_out": 1}},
        {"metadata": {"color": "red", "left_out": 1}},
        {"metadata": {**EVENT["metadata"], "catch_up": False}},  # type: ignore[dict-item]
        {"event_type": "member_joined"},
        {"color": "red"},
    ],
)
def test_event_with_wrong_or_unknown_keys_is_invalid(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        schemas()["event-member_left"].adapter.validate_python({**EVENT, **changed}, strict=True)


@pytest.fixture
def response_schema(command: str) -> Schema:
    """Return the schema of a command's response.

    Its validator is built here, outside the event loop, because pydantic reads the docstrings of a new model from its
    source file.
    """
    schema = schemas()[f"response-{command}"]
    assert schema.adapter is schema.adapter
    return schema


@pytest.mark.parametrize(
    ("command", "payload", "status"), [("list", b"", "ok"), ("poll", b"#2PP", "error"), ("replay", b"0", "ok")]
)
async def test_response_is_valid_for_its_schema(
    command: str, payload: bytes, status: str, response_schema: Schema
) -> None:
    response = await dispatcher(WatchesInMemory()).execute(command, payload)
    assert response.status == status
    response_schema.adapter.validate_json(response.encode(), strict=True)
