from __future__ import annotations

import pytest

from coc2mqtt.events.polling.metrics import RateMeter


def test_rate_within_the_first_minute_is_measured_since_the_start() -> None:
    rate = RateMeter(1000.0)
    assert rate.per_second(1000.0) == 0
    for second in range(10):
        rate.count(1000.5 + second)
        rate.count(1000.6 + second)
    assert rate.per_second(1010.0) == pytest.approx(2.0)


def test_rate_after_the_first_minute_is_that_of_the_last_minute() -> None:
    rate = RateMeter(0.0)
    for second in range(600):
        for _ in range(5 if second < 540 else 3):
            rate.count(second)
    assert rate.per_second(599.9) == pytest.approx(3.0)
    assert rate.per_second(629.9) == pytest.approx(1.5)
    assert rate.per_second(700.0) == 0


def test_rate_with_a_clock_set_back_keeps_counting() -> None:
    rate = RateMeter(10_000.0)
    for second in range(120):
        rate.count(10_000.0 + second)
    for second in range(120):
        rate.count(5_000.0 + second)
    assert rate.per_second(5_119.9) == pytest.approx(
        60.0, abs=0.1
    )  # the start is in the future, so the rate is that of one second


def test_rate_keeps_no_more_than_a_minute_of_counts() -> None:
    rate = RateMeter(0.0)
    for second in range(10_000):
        rate.count(float(second))
    assert len(rate._counts) <= 61
