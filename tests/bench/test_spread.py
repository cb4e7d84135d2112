from __future__ import annotations

import pytest

from bench.rounds import Round, find_rounds
from bench.servers import Poll
from bench.spread import Spread, most_in_a_second, percentile, ratios


def test_spread_has_minimum_median_and_maximum() -> None:
    assert Spread.of([3.0, 1.0, 8.0]) == Spread(1.0, 3.0, 8.0)


def test_spread_without_figures_is_rejected() -> None:
    with pytest.raises(ValueError, match="no figures"):
        Spread.of([])


def test_ratios_compare_figures_of_the_same_run() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


def test_ratios_of_different_lengths_are_rejected() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([2.0, 9.0], [1.0])


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_percentile_is_not_exceeded_by_its_share(share: float, expected: int) -> None:
    assert percentile([float(figure) for figure in range(100, 0, -1)], share) == expected


def test_busiest_second_may_start_at_any_moment() -> None:
    assert most_in_a_second([0.0, 0.9, 1.5, 1.6, 1.89, 3.0]) == 4


def test_moments_one_second_apart_are_in_different_seconds() -> None:
    assert most_in_a_second([0.0, 1.0, 2.0]) == 1


def test_busiest_second_without_moments_is_empty() -> None:
    assert most_in_a_second([]) == 0


def test_round_lasts_from_first_poll_to_last_response() -> None:
    polls = [Poll(0, 1.0, 1.5, 0), Poll(1, 1.1, 2.5, 0), Poll(2, 1.2, 1.3, 0), Poll(0, 3.0, 3.1, 0), Poll(2, 3.1, 0, 0)]
    assert find_rounds(polls) == [Round(1.0, 2.5, 3), Round(3.0, 3.1, 1)]
