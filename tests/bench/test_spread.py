from __future__ import annotations

import pytest

from bench.rounds import Round, find_rounds
from bench.servers import Poll
from bench.spread import Spread, most_in_a_second, percentile, ratios


def test_a_spread_is_the_least_the_middle_and_the_greatest() -> None:
    assert Spread.of([3.0, 1.0, 8.0]) == Spread(1.0, 3.0, 8.0)


def test_a_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no figures"):
        Spread.of([])


def test_ratios_are_those_of_the_same_run() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


def test_a_run_without_its_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([2.0, 9.0], [1.0])


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_a_figure_that_so_many_do_not_exceed(share: float, expected: int) -> None:
    assert percentile([float(figure) for figure in range(100, 0, -1)], share) == expected


def test_the_busiest_second_may_begin_anywhere() -> None:
    assert most_in_a_second([0.0, 0.9, 1.5, 1.6, 1.89, 3.0]) == 4


def test_what_is_a_whole_second_apart_is_not_in_the_same_second() -> None:
    assert most_in_a_second([0.0, 1.0, 2.0]) == 1


def test_no_moments_make_no_busy_second() -> None:
    assert most_in_a_second([]) == 0


def test_a_round_lasts_from_its_first_poll_to_its_last_answer() -> None:
    polls = [Poll(0, 1.0, 1.5, 0), Poll(1, 1.1, 2.5, 0), Poll(2, 1.2, 1.3, 0), Poll(0, 3.0, 3.1, 0), Poll(2, 3.1, 0, 0)]
    assert find_rounds(polls) == [Round(1.0, 2.5, 3), Round(3.0, 3.1, 1)]
