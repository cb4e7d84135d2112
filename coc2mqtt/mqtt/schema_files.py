"""The files of ``docs/`` that are generated from the schemas: one per schema, and ``payloads.md`` with an overview."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from coc2mqtt.mqtt.payloads.metadata.common import Metadata
from coc2mqtt.mqtt.schemas import Schema, schemas

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_INTRODUCTION = """\
# Payloads

All topics of the bridge and the JSON schemas (draft 2020-12) of their payloads. `coc2mqtt schema --write docs`
generates this page and the schemas, `coc2mqtt schema` lists the schemas, and `coc2mqtt schema event-member_joined`
prints one. `coc` stands for `mqtt.base_topic`, `<TAG>` for a tag without its `#`. Later versions may add keys: the
schemas of published payloads allow unknown keys.
"""
_SECTIONS = {
    "event": (
        "Events",
        "Published with QoS 1, not retained. All metadata can contain `catch_up` `snapshot_age_seconds` `left_out`.",
    ),
    "state": ("States", "Published with QoS 1 and retained. An empty payload means that the watch was removed."),
    "bridge": ("The bridge", "Published with QoS 1 and retained."),
    "request": (
        "Requests",
        "Accepted by the bridge. Publish a JSON object or plain text, without the retain flag.",
    ),
    "response": (
        "Responses",
        "Published with QoS 1, not retained, or on the request's response topic (MQTT 5) if it has an allowed one.",
    ),
}


def schema_text(schema: Schema) -> str:
    """Return a schema as formatted JSON."""
    return json.dumps(schema.json_schema(), indent=2, ensure_ascii=False) + "\n"


def schema_files() -> Mapping[str, str]:
    """Return the text of each file by its path."""
    files = {f"schemas/{name}.json": schema_text(schema) for name, schema in schemas().items()}
    return {"payloads.md": _page(), **files}


def write_schema_files(folder: Path) -> list[Path]:
    """Write all files below a folder, which is created if necessary; returns their paths."""
    written = []
    for name, text in schema_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _page() -> str:
    parts = [_INTRODUCTION]
    for sort, (title, text) in _SECTIONS.items():
        rows = [schema for schema in schemas().values() if schema.sort == sort]
        parts += [f"\n## {title}\n\n{text}\n\n", *_table(sort, rows)]
    return "".join(parts)


def _table(sort: str, rows: list[Schema]) -> Iterable[str]:
    extra_column, describe = _EXTRA_COLUMNS.get(sort, (None, None))
    columns = ["topic", "description", *([extra_column] if extra_column else []), "schema"]
    yield f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
    for schema in rows:
        topics = "<br>".join(f"`{topic}`" for topic in schema.topics)
        extra = f" {describe(schema)} |" if describe else ""
        yield f"| {topics} | {schema.summary} |{extra} [{schema.name}](schemas/{schema.name}.json) |\n"


def _metadata_keys(schema: Schema) -> str:
    metadata = schema.model.model_fields["metadata"].annotation
    if not isinstance(metadata, type) or not issubclass(metadata, Metadata):
        return ""
    return " ".join(f"`{key}`" for key in metadata.model_fields if key not in Metadata.model_fields)


def _plain_text(schema: Schema) -> str:
    found = re.search(r"Plain text is read as ([^.]*)\.", schema.model.__doc__ or "")
    return found[1] if found else ""


_EXTRA_COLUMNS = {"event": ("`metadata`", _metadata_keys), "request": ("plain text is read as", _plain_text)}
