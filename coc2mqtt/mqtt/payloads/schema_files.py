"""The schemas as files, and the page that leads to them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from coc2mqtt.mqtt.payloads.metadata.common import Metadata
from coc2mqtt.mqtt.payloads.schemas import Schema, schemas

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_TITLES = {
    "event": (
        "Events",
        "Published with QoS 1, never retained. Any `metadata` can hold `catch_up` `snapshot_age_seconds` `left_out`.",
    ),
    "state": ("States", "Published with QoS 1 and retained. An empty payload: it is not watched any more."),
    "bridge": ("The bridge", "Published with QoS 1 and retained."),
    "request": (
        "Requests",
        "Taken by the bridge. Publish them without the retain flag, as a JSON object or as a bare text.",
    ),
    "response": (
        "Responses",
        "Published with QoS 1 and not retained: on the request's response topic, where it has one that is allowed.",
    ),
}
_INTRODUCTION = """\
# Payloads

Every topic of the bridge with the JSON schema (draft 2020-12) of what is on it. `coc2mqtt schema --write docs` writes
this page and the schemas; `coc2mqtt schema` lists them and `coc2mqtt schema event-member_joined` prints one. `coc` is
`mqtt.base_topic`, `<TAG>` a tag without its `#`. Keys are only ever added: a schema of what is published lets further
keys pass.
"""


def schema_text(schema: Schema) -> str:
    """Return a schema as it is printed and written."""
    return json.dumps(schema.json_schema(), indent=2, ensure_ascii=False) + "\n"


def schema_files() -> Mapping[str, str]:
    """Return what is to be written: the text of each file by its path."""
    every = schemas()
    files = {f"schemas/{name}.json": schema_text(schema) for name, schema in every.items()}
    return {"payloads.md": _page(every.values()), **files}


def write_schema_files(folder: Path) -> list[Path]:
    """Write the page and the schemas below a folder, which is made if it is not there; returns the files."""
    written = []
    for name, text in schema_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _page(every: Iterable[Schema]) -> str:
    parts = [_INTRODUCTION]
    for sort, (title, text) in _TITLES.items():
        rows = [schema for schema in every if schema.sort == sort]
        parts += [f"\n## {title}\n\n{text}\n\n", *_table(sort, rows)]
    return "".join(parts)


def _table(sort: str, rows: list[Schema]) -> Iterable[str]:
    title, tell = _SPECIAL.get(sort, (None, None))
    columns = ["topic", "what", *([title] if title else []), "schema"]
    yield f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
    for schema in rows:
        topics = "<br>".join(f"`{topic}`" for topic in schema.topics)
        special = f" {tell(schema)} |" if tell else ""
        yield f"| {topics} | {schema.summary} |{special} [{schema.name}](schemas/{schema.name}.json) |\n"


def _metadata_keys(schema: Schema) -> str:
    metadata = schema.model.model_fields["metadata"].annotation
    if not isinstance(metadata, type) or not issubclass(metadata, Metadata):
        return ""
    return " ".join(f"`{key}`" for key in metadata.model_fields if key not in Metadata.model_fields)


def _bare_text(schema: Schema) -> str:
    found = re.search(r"A bare text is ([^.]*)\.", schema.model.__doc__ or "")
    return found[1] if found else ""


# A column of its own, for some sorts.
_SPECIAL = {"event": ("`metadata`", _metadata_keys), "request": ("a bare text is", _bare_text)}
