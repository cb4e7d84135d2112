from __future__ import annotations

import pytest

from coc2mqtt.mqtt.client.backoff import Backoff, SessionBackoff


def test_backoff_waits_double_from_one_second_to_one_minute() -> None:
    backoff = Backoff(rng=lambda: 1.0)
    assert [backoff.next_delay() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_backoff_jitter_removes_at_most_half_but_keeps_one_second() -> None:
    backoff = Backoff(rng=lambda: 0.0)
    assert [backoff.next_delay() for _ in range(8)] == [1, 1, 2, 4, 8, 16, 30, 30]


def test_backoff_reset_restarts_with_the_shortest_wait() -> None:
    backoff = Backoff(rng=lambda: 1.0)
    assert [backoff.next_delay() for _ in range(3)] == [1, 2, 4]
    backoff.reset()
    assert backoff.next_delay() == 1


@pytest.mark.parametrize("lasted", [0.0, 3.0, 12.0, 59.0, 86400.0])
@pytest.mark.parametrize("random", [0.0, 1.0])
def test_session_backoff_after_session_of_any_length_waits_under_two_seconds(lasted: float, random: float) -> None:
    backoff = SessionBackoff(rng=lambda: random)
    waits = [backoff.next_delay(lasted, closed_by_broker=False) for _ in range(50)]
    assert all(1.0 <= wait <= 1.5 for wait in waits)
    assert not backoff.suspects_takeover


def test_session_backoff_grows_when_running_broker_ends_brief_sessions() -> None:
    backoff = SessionBackoff(rng=lambda: 1.0)
    assert [backoff.next_delay(1.5, closed_by_broker=True) for _ in range(12)] == [*[1.5] * 5, 2, 3, 5, 9, 17, 33, 61]
    assert backoff.suspects_takeover


def test_session_backoff_stays_short_when_running_broker_ends_longer_sessions() -> None:
    backoff = SessionBackoff(rng=lambda: 1.0)
    assert {backoff.next_delay(20.0, closed_by_broker=True) for _ in range(50)} == {1.5}


def test_session_backoff_is_reset_by_a_stable_minute() -> None:
    backoff = SessionBackoff(rng=lambda: 1.0)
    for _ in range(10):
        backoff.next_delay(1.0, closed_by_broker=True)
    assert backoff.next_delay(59.0, closed_by_broker=True) == 1.5
    assert backoff.suspects_takeover
    assert backoff.next_delay(60.0, closed_by_broker=True) == 1.5
    assert not backoff.suspects_takeover
    assert [backoff.next_delay(1.0, closed_by_broker=True) for _ in range(6)] == [*[1.5] * 5, 2]
