"""The broker that survives the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.crash.harness import FileBroker, Published

if TYPE_CHECKING:
    from pathlib import Path


def test_partly_written_message_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "published"
    FileBroker(path, run=1).store("coc/one", b"{}", retain=True)
    FileBroker(path, run=1).store("coc/torn", b"{}", retain=True)
    path.write_bytes(path.read_bytes()[:-9])

    FileBroker(path, run=2).store("coc/two", b"{}", retain=False)

    assert FileBroker.read_messages(path) == [
        Published(1, "coc/one", b"{}", retain=True),
        Published(2, "coc/two", b"{}", retain=False),
    ]
