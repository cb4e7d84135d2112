from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from coc2mqtt.util.gc_tuning import freeze

if TYPE_CHECKING:
    from collections.abc import Iterator


class Knot:
    """Something that keeps itself alive."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def collector() -> Iterator[None]:
    """Restore the thresholds. What was frozen stays so, as it is during all tests."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_what_is_there_is_left_alone_and_no_garbage_is_kept_with_it() -> None:
    kept, before = Knot(), weakref.ref(Knot())
    freeze()
    assert before() is None
    assert not any(one is kept for one in gc.get_objects())
    after = weakref.ref(Knot())
    gc.collect()
    assert after() is None, "what comes later is collected as ever"
