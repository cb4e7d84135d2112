"""``coc2mqtt schema``: the JSON schemas of everything that is published or accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coc2mqtt.mqtt.schema_files import schema_text, write_schema_files
from coc2mqtt.mqtt.schemas import schemas

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class SchemaError(Exception):
    """What was asked for cannot be had; the text says why, and what to do."""


def list_schemas() -> Iterator[str]:
    """Yield a line for each schema and topic."""
    widest = max(map(len, schemas()))
    for name, schema in schemas().items():
        for topic in schema.topics:
            yield f"{name:<{widest}}  {topic}"


def print_schema(name: str) -> str:
    """Return one schema as text; raises SchemaError where there is none of this name."""
    schema = schemas().get(name)
    if schema is None:
        raise SchemaError(f"there is no schema {name!r}: 'coc2mqtt schema' lists those that there are")
    return schema_text(schema)


def write_schemas(folder: Path) -> str:
    """Write all schemas and the page about them below a folder, and say so; raises SchemaError where that fails."""
    try:
        written = write_schema_files(folder)
    except OSError as error:
        raise SchemaError(
            f"the schemas cannot be written below {folder}: {error.strerror}: name another folder"
        ) from None
    return f"{len(written)} files are written below {folder}: payloads.md, and a schema for each kind of payload"
