"""The JSON schemas: one for everything that is published or accepted, and in ``docs/`` as they are generated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from coc2mqtt.events.event import CLAN_EVENTS, WAR_EVENTS, EventType
from coc2mqtt.events.resource import Kind
from coc2mqtt.mqtt.payloads.metadata import METADATA
from coc2mqtt.mqtt.payloads.schema_files import schema_files, write_schema_files
from coc2mqtt.mqtt.payloads.schemas import event_topics, schemas
from coc2mqtt.mqtt.topics import Topics
from tests.support.control import WatchedInMemory, commands
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


def test_the_documents_are_what_the_models_say() -> None:
    written = {str(path.relative_to(DOCS)): path.read_text() for path in DOCS.glob("schemas/*")}
    written["payloads.md"] = (DOCS / "payloads.md").read_text()
    generated = dict(schema_files())
    different = {name for name in written | generated if written.get(name) != generated.get(name)}
    assert different == set(), "a model has changed: run 'make schemas' and commit docs/"


def test_the_files_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    written = write_schema_files(tmp_path / "new" / "folder")
    assert {str(path.relative_to(tmp_path / "new" / "folder")) for path in written} == schema_files().keys()
    assert json.loads((tmp_path / "new/folder/schemas/event.json").read_text())["title"] == "EventPayload"


@pytest.mark.parametrize("name", schemas())
def test_a_schema_names_its_dialect_and_describes_itself_and_each_key(name: str) -> None:
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
    # What is asked for is checked strictly; what is published may grow.
    closed = {part.get("additionalProperties") for part in objects}
    assert closed == ({False} if schemas()[name].accepted else {None})


def test_every_type_of_event_has_a_schema_and_the_topics_that_it_is_published_on() -> None:
    assert set(METADATA) == set(EventType)
    topics = Topics()
    for event_type in EventType:
        published = {
            topics.event(kind, "#2PP", event_type.value).replace("2PP", "<TAG>")
            for kind in (Kind.CLAN, Kind.PLAYER, Kind.API)
        }
        assert set(event_topics(event_type)) <= published
        assert (topics.event(Kind.CLAN, "<TAG>", event_type.value) in event_topics(event_type)) is (
            event_type in (*CLAN_EVENTS, *WAR_EVENTS)
        )


def test_every_command_has_a_schema_of_its_request_and_its_response() -> None:
    names = commands(WatchedInMemory()).names
    for sort in ("request", "response"):
        assert [name.removeprefix(f"{sort}-") for name in schemas() if name.startswith(sort)] == names
    for command in names:
        assert schemas()[f"request-{command}"].model is commands(WatchedInMemory())._commands[command][0]


@pytest.mark.parametrize("metadata", [EVENT["metadata"], {"left_out": 2}, {"member_tag": "#8QQ", "left_out": 1}])
def test_an_event_is_whole_or_says_that_something_is_left_out(metadata: dict[str, Any]) -> None:
    schemas()["event-member_left"].checks.validate_python({**EVENT, "metadata": metadata}, strict=True)


@pytest.mark.parametrize(
    "odd",
    [
        {"metadata": {"member_tag": "#8QQ", "member_name": "Kristen"}},
        {"metadata": {"member_tag": 8, "left_out": 1}},
        {"metadata": {"colour": "red", "left_out": 1}},
        {"metadata": {**EVENT["metadata"], "catch_up": False}},  # type: ignore[dict-item]
        {"event_type": "member_joined"},
        {"colour": "red"},
    ],
)
def test_what_is_no_event_of_its_type_does_not_pass(odd: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        schemas()["event-member_left"].checks.validate_python({**EVENT, **odd}, strict=True)


@pytest.mark.parametrize(
    ("command", "payload", "status"), [("list", b"", "ok"), ("poll", b"#2PP", "error"), ("replay", b"0", "ok")]
)
async def test_an_answer_fits_its_schema(command: str, payload: bytes, status: str) -> None:
    response = await commands(WatchedInMemory()).answer(command, payload)
    assert response.status == status
    schemas()[f"response-{command}"].checks.validate_json(response.encode(), strict=True)
