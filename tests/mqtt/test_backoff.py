from __future__ import annotations

import pytest

from coc2mqtt.mqtt.backoff import Backoff


def test_waits_double_from_one_second_to_one_minute() -> None:
    backoff = Backoff(draw=lambda: 1.0)
    assert [backoff.wait(0.0) for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_jitter_takes_off_at_most_half_and_never_goes_below_a_second() -> None:
    backoff = Backoff(draw=lambda: 0.0)
    assert [backoff.wait(0.0) for _ in range(8)] == [1, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(("lasted", "then"), [(59.9, 4), (60.0, 1), (86400.0, 1)])
def test_only_a_stable_minute_starts_the_waits_anew(lasted: float, then: float) -> None:
    backoff = Backoff(draw=lambda: 1.0)
    backoff.wait(0.0)
    backoff.wait(0.0)
    assert backoff.wait(lasted) == then
