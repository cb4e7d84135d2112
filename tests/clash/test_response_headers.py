from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coc2mqtt.clash.response import parse_max_age, parse_retry_after, remaining_freshness

NOON = 1_792_065_600.0  # Thu, 15 Oct 2026 12:00:00 GMT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("max-age=91", 91.0),
        ("public max-age=600", 600.0),
        ("public, max-age=120, must-revalidate", 120.0),
        ("Public,Max-Age=36", 36.0),
        ('max-age="60"', 60.0),
        ("max-age=0", 0.0),
        ("", 0.0),
        ("public", 0.0),
        ("max-age", 0.0),
        ("max-age=", 0.0),
        ("max-age=-5", 0.0),
        ("max-age=soon", 0.0),
        ("max-age=1e3", 0.0),
        ("max-age=" + "9" * 400, 0.0),
        ("s-maxage=10", 0.0),
        ("x-max-age=10", 0.0),
        ("no-cache", 0.0),
        ("no-cache, max-age=60", 0.0),
        ("max-age=60, no-store", 0.0),
    ],
)
def test_max_age_is_parsed_or_zero(header: str, seconds: float) -> None:
    assert parse_max_age(header) == seconds


@given(st.text())
def test_max_age_of_any_text_is_a_number_of_seconds(header: str) -> None:
    assert 0 <= parse_max_age(header) < 1e9


@pytest.mark.parametrize(
    ("cache_control", "age", "seconds"),
    [
        ("max-age=120", "", 120.0),
        ("max-age=120", "50", 70.0),
        ("max-age=120", " 120 ", 0.0),
        ("max-age=120", "9999", 0.0),
        ("max-age=120", "-5", 120.0),
        ("max-age=120", "old", 120.0),
        ("max-age=86400", "", 900.0),
        ("max-age=31536000", "86400", 900.0),
        ("max-age=999999999", "", 900.0),
        ("no-store, max-age=60", "", 0.0),
    ],
)
def test_remaining_freshness_is_bounded_max_age_minus_age(cache_control: str, age: str, seconds: float) -> None:
    assert remaining_freshness(cache_control, age) == seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        ("0", 0.0),
        (" 0.2 ", 0.2),
        ("Thu, 15 Oct 2026 12:00:30 GMT", 30.0),
        ("Thu, 15 Oct 2026 12:00:30 -0000", 30.0),
        ("Thu, 15 Oct 2026 11:59:00 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("inf", None),
        ("9" * 400, None),
        ("Thu, 99 Oct 2026 12:00:30 GMT", None),
        ("Thu, 15 Oct 99999999999999999999 12:00:30 GMT", None),
        ("Thu, 15 Oct 2026 12:00:30 +999999999999999999999999999999", None),
    ],
)
def test_retry_after_accepts_seconds_and_dates(header: str, seconds: float | None) -> None:
    assert parse_retry_after(header, now=NOON) == seconds
