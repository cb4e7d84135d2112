from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.util.gc_tuning import freeze

if TYPE_CHECKING:
    from collections.abc import Iterator


class Cycle:
    """An object in a reference cycle."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def collector() -> Iterator[None]:
    """Restore the thresholds. Frozen objects stay frozen, as in all tests."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_freeze_excludes_existing_objects_but_no_garbage() -> None:
    kept, before = Cycle(), weakref.ref(Cycle())
    freeze()
    assert before() is None
    assert not any(tracked is kept for tracked in gc.get_objects())
    after = weakref.ref(Cycle())
    gc.collect()
    assert after() is None, "later garbage is collected"
