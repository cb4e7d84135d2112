"""The import rules of the package: which part may import which, and no import cycles.

Imports within functions count as well. Imports under ``TYPE_CHECKING`` count between parts, but the modules of one part
may refer to each other's types in a circle.
"""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Graph = Mapping[str, set[str]]

PACKAGE = "coc2mqtt"

# Each part and the parts that it may import. A part is a folder or a module directly in the package. In ``mqtt``, each
# module next to the folders is a part of its own.
ALLOWED: dict[str, set[str]] = {
    "util": set(),
    "translations": set(),
    "homeassistant": {"translations"},
    "clash": {"util"},
    "demo": {"clash"},
    "internal_errors": {"util"},
    "supervisor": {"internal_errors", "util"},
    "logs": {"util"},
    # Events. The library surface is what events/__init__.py exports.
    "events": {"events.compare", "translations", "util"},
    "events.metadata": {"events"},
    "events.compare": {"clash", "events"},
    "events.polling": {"clash", "events", "events.compare", "util"},
    "events.stream": {"clash", "events", "events.compare", "events.polling", "util"},
    "events.__init__": {"events", "events.compare", "events.stream"},
    "journal": {"events"},
    # MQTT.
    "mqtt.client": {"util"},
    "mqtt.topics": {"clash", "events"},
    "mqtt.payloads": {"clash", "events", "events.compare", "journal", "logs", "util"},
    "mqtt.control": {
        "clash",
        "events",
        "journal",
        "logs",
        "mqtt.client",
        "mqtt.payloads",
        "mqtt.topics",
        "translations",
        "util",
    },
    "mqtt.publish": {
        "events",
        "homeassistant",
        "journal",
        "mqtt.client",
        "mqtt.payloads",
        "mqtt.topics",
        "translations",
        "util",
    },
    "mqtt.duplicate_instance": {"mqtt.client", "mqtt.payloads", "mqtt.topics", "util"},
    "mqtt.embedded_broker": set(),
    "mqtt.schemas": {"events", "events.metadata", "mqtt.control", "mqtt.payloads"},
    "mqtt.schema_files": {"events", "events.metadata", "mqtt.schemas"},
    "mqtt.reports": {
        "mqtt.client",
        "mqtt.control",
        "mqtt.duplicate_instance",
        "mqtt.payloads",
        "mqtt.publish",
        "mqtt.topics",
        "util",
    },
    "mqtt.bridge": {
        "events",
        "mqtt.client",
        "mqtt.control",
        "mqtt.duplicate_instance",
        "mqtt.publish",
        "mqtt.reports",
        "util",
    },
    # The examples in the documentation.
    "examples": {
        "clash",
        "demo",
        "events",
        "events.polling",
        "journal",
        "mqtt.control",
        "mqtt.payloads",
        "mqtt.topics",
        "translations",
    },
    # The program.
    "config": {"clash", "events", "mqtt.client", "translations", "util"},
    "clients": {"clash", "config", "mqtt.client", "mqtt.reports", "mqtt.topics"},
    "health": {
        "events.compare",
        "events.polling",
        "internal_errors",
        "journal",
        "mqtt.client",
        "mqtt.control",
        "mqtt.payloads",
        "mqtt.publish",
        "util",
    },
    "tag_lookup": {"clash", "events", "mqtt.control"},
    "watch_list": {"events", "events.polling", "journal", "mqtt.control", "mqtt.payloads", "util"},
}
# These connect the parts and may import all others except each other in this order.
TOP = ["wiring", "service", "cli", "__main__"]

KNOWN_PART_CYCLES = [
    # events/record.py uses the comparison of values; events/compare builds events.
    {"events", "events.compare"},
]


class _RemoveTypeImports(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.AST | None:
        is_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if is_types else self.generic_visit(node)


@cache
def imports_of(source: str, *, types: bool = True) -> tuple[str, ...]:
    """Return the modules and names of this package that a module imports, without the name of the package.

    Imports under ``TYPE_CHECKING`` are included if ``types`` is set.
    """
    tree: ast.AST = ast.parse(source)
    imports: list[str] = []
    for node in ast.walk(tree if types else _RemoveTypeImports().visit(tree)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not supported here"
            imports += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
    return tuple(name.removeprefix(f"{PACKAGE}.") for name in imports if name.split(".")[0] == PACKAGE)


def module_graph(sources: Mapping[str, str], *, types: bool = True) -> dict[str, set[str]]:
    """Return the modules that each module imports. ``sources`` contains source texts by module name."""

    def module_of(name: str) -> str:
        # An imported name is a module, the package of a folder, or a name within one of the two.
        candidates = (name, f"{name}.__init__", name.rpartition(".")[0], f"{name.rpartition('.')[0]}.__init__")
        return next((candidate for candidate in candidates if candidate in sources), "__init__")

    return {
        name: {module_of(imported) for imported in imports_of(source, types=types)} for name, source in sources.items()
    }


def part_of(module: str, folders: set[str]) -> str:
    """Return the part that a module belongs to; ``folders`` are all folders, such as ``mqtt.client``."""
    parts = module.split(".")
    if len(parts) > 2 and ".".join(parts[:2]) in folders:
        return ".".join(parts[:2])
    if parts[0] == "mqtt" or module == "events.__init__":
        return module
    return parts[0]


def part_graph(modules: Graph) -> dict[str, set[str]]:
    folders = {module.rpartition(".")[0] for module in modules}
    graph: dict[str, set[str]] = {}
    for module, imported in modules.items():
        part = part_of(module, folders)
        graph.setdefault(part, set()).update(part_of(one, folders) for one in imported)
        graph[part].discard(part)
    return graph


def find_cycles(graph: Graph, known: Iterable[set[str]] = ()) -> list[str]:
    """Return a cycle as a list of nodes, an empty list if there is none. Edges within a known cycle are ignored."""
    edges = {
        node: {one for one in imported if not any({node, one} <= cycle for cycle in known)}
        for node, imported in graph.items()
    }
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return []


def violations(graph: Graph) -> list[str]:
    """Return each import that the table does not allow."""
    return [
        f"{part} must not import {imported}"
        for part, all_imported in sorted(graph.items())
        for imported in sorted(all_imported - _allowed(part))
    ]


def _allowed(part: str) -> set[str]:
    if part in TOP:
        return {*ALLOWED, *TOP[: TOP.index(part)]}
    return ALLOWED.get(part, set())


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    root = ROOT / PACKAGE
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): path.read_text() for path in sorted(root.rglob("*.py"))
    }


def test_parts_import_only_what_the_table_allows(sources: dict[str, str]) -> None:
    assert violations(part_graph(module_graph(sources))) == []


def test_table_has_no_unused_entries(sources: dict[str, str]) -> None:
    graph = part_graph(module_graph(sources))
    unused = {part: imported - graph.get(part, set()) for part, imported in ALLOWED.items()}
    assert {part: imported for part, imported in unused.items() if imported} == {}


def test_parts_have_no_import_cycle(sources: dict[str, str]) -> None:
    assert find_cycles(part_graph(module_graph(sources)), KNOWN_PART_CYCLES) == []


def test_modules_have_no_import_cycle(sources: dict[str, str]) -> None:
    assert find_cycles(module_graph(sources, types=False)) == []


EXAMPLE = {
    "__init__": "",
    "util.text": "",
    "clash.client": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from coc2mqtt.mqtt.topics import Topics",
    "mqtt.topics": "import coc2mqtt.clash.client",
    "mqtt.client.__init__": "",
    "mqtt.client.session": "def connect():\n    from coc2mqtt.util import text",
}


def test_forbidden_import_is_found() -> None:
    assert violations(part_graph(module_graph(EXAMPLE))) == ["clash must not import mqtt.topics"]


def test_import_of_an_unknown_part_is_found() -> None:
    sources = {"new.module": "from coc2mqtt.util.text import shorten", "util.text": ""}
    assert violations(part_graph(module_graph(sources))) == ["new must not import util"]


def test_import_cycle_is_found() -> None:
    graph = module_graph(EXAMPLE)
    assert set(find_cycles(graph)) == {"clash.client", "mqtt.topics"}
    assert find_cycles(graph, [{"clash.client", "mqtt.topics"}]) == []
    assert find_cycles(module_graph(EXAMPLE, types=False)) == []
