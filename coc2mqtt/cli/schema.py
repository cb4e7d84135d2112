"""``coc2mqtt schema``: list, print or write the JSON schemas of all payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.examples import example_game, examples
from coc2mqtt.examples.summaries import summaries_page
from coc2mqtt.mqtt.schema_files import schema_text, write_schema_files
from coc2mqtt.mqtt.schemas import schemas

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class SchemaError(Exception):
    """A schema is unknown or cannot be written."""


def list_schemas() -> Iterator[str]:
    """Yield a line with the name and the topic for each schema and topic."""
    width = max(map(len, schemas()))
    for name, schema in schemas().items():
        for topic in schema.topics:
            yield f"{name:<{width}}  {topic}"


def print_schema(name: str) -> str:
    """Return one schema as text; raise SchemaError if there is none of this name."""
    schema = schemas().get(name)
    if schema is None:
        raise SchemaError(f"unknown schema {name!r}: run 'coc2mqtt schema' to list all schemas")
    return schema_text(schema)


def write_schemas(folder: Path) -> str:
    """Write all schemas and their page, and return a message for the user; raise SchemaError on failure."""
    try:
        paths = write_schema_files(folder, examples())
        paths.append(folder / "summaries.md")
        paths[-1].write_text(summaries_page(example_game().events), encoding="utf-8")
    except OSError as error:
        raise SchemaError(f"cannot write the schemas to {folder} ({error.strerror}): name another folder") from None
    return f"wrote {len(paths)} files to {folder}: payloads.md, and a schema for each kind of payload"
