"""The broker that outlives the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.crash.harness import FileBroker, Published

if TYPE_CHECKING:
    from pathlib import Path


def test_a_message_that_a_death_tore_has_not_arrived(tmp_path: Path) -> None:
    path = tmp_path / "published"
    FileBroker(path, run=1).take("coc/one", b"{}", retain=True)
    FileBroker(path, run=1).take("coc/torn", b"{}", retain=True)
    path.write_bytes(path.read_bytes()[:-9])

    FileBroker(path, run=2).take("coc/two", b"{}", retain=False)

    assert FileBroker.recall(path) == [
        Published(1, "coc/one", b"{}", retain=True),
        Published(2, "coc/two", b"{}", retain=False),
    ]
