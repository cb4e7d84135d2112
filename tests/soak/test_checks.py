"""The checks of a run, with invented runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.servers import Receipt
from tests.soak.checks import Checker
from tests.soak.report import Phase, Result, table

BEFORE = {"#A": 5, "#B": 7}


def event(seq: int, member: str, old: int, new: int, **other: Any) -> Receipt:
    payload = {
        "id": f"id {seq}",
        "seq": seq,
        "tag": "#2PP",
        "event_type": "member_donations",
        "changes": [{"field": "donations", "old_value": old, "new_value": new}],
        "metadata": {"member_tag": member},
    }
    return Receipt(float(seq), "coc/clan/2PP/member_donations", {**payload, **other})


def check(*receipts: Receipt, api_faults: bool = False) -> Checker:
    checker = Checker(BEFORE, api_faults=api_faults)
    checker.check(receipts)
    return checker


def counts(checker: Checker) -> tuple[int, int, int, int]:
    return checker.events, checker.resent, checker.reordered, checker.false


def test_consecutive_events_are_accepted() -> None:
    checker = check(event(1, "#A", 5, 6), event(2, "#B", 7, 8), event(3, "#A", 6, 9), event(2, "#B", 7, 8))
    assert counts(checker) == (3, 1, 0, 0)
    assert checker.lost({"#A": 9, "#B": 8}) == []
    assert checker.lost({"#A": 9, "#B": 9}) == ["#B"]


@pytest.mark.parametrize(
    ("second", "found"),
    [
        (event(2, "#A", 5, 6), (2, 0, 0, 1)),  # twice, under two ids
        (event(2, "#A", 7, 8), (2, 0, 0, 1)),  # one between them is lost
        (event(2, "#C", 0, 1), (2, 0, 0, 1)),  # of an unknown member
        (event(2, "#A", 6, 7, event_type="member_left"), (2, 0, 0, 1)),
        (event(2, "#A", 6, 7, event_type="poll_error"), (2, 0, 0, 1)),
        (event(0, "#A", 6, 7), (2, 0, 1, 0)),
    ],
)
def test_unexpected_event_is_counted(second: Receipt, found: tuple[int, int, int, int]) -> None:
    checker = check(event(1, "#A", 5, 6), second)
    assert counts(checker) == found
    assert checker.problems


def test_api_event_with_api_faults_is_accepted() -> None:
    assert counts(check(event(1, "#A", 5, 6, event_type="poll_error"), api_faults=True)) == (1, 0, 0, 0)


def phase(name: str, memory: float = 80.0, rate: float = 200.0, latency: float = 20.0) -> Phase:
    return Phase(name, memory, 5.0, 0.3, rate, [latency] * 100)


RESULT = Result(
    seconds=900.0,
    planned_rate=200.0,
    phases=[phase("start"), phase("middle"), phase("end")],
    events=180_000,
    resent=3,
    lost=0,
    reordered=0,
    false=0,
    outage_s=60.0,
    catch_up_s=4.0,
    backlog=12_000,
    stop_s=0.5,
    loop="uvloop",
)


@pytest.mark.parametrize(
    ("change", "violation"),
    [
        ({"lost": 1}, "1 lost"),
        ({"reordered": 2}, "2 reordered"),
        ({"false": 3}, "3 false"),
        ({"problems": ["the bridge ended"]}, "the bridge ended"),
        ({"phases": [phase("start"), phase("end", memory=109)]}, "memory in MB grew from 80 to 109: 108 is allowed"),
        (
            {"phases": [phase("start"), phase("end", latency=51)]},
            "latency in ms (p95) grew from 20 to 51: 50 is allowed",
        ),
        ({"stop_s": 5.1}, "the stop took 5.1 s: 5 are allowed"),
        ({"phases": [phase("start"), phase("end", rate=170)]}, "end: 170 of 200 events per second"),
    ],
)
def test_each_failure_of_a_long_run_is_named(change: dict[str, Any], violation: str) -> None:
    assert replace(RESULT, **change).violations == [violation]


def test_good_run_has_no_violation_and_shows_its_figures() -> None:
    assert RESULT.violations == []
    lines = table(RESULT).splitlines()
    assert ["latency,", "p95", "(ms)", "20.0", "20.0", "20.0"] in [line.split() for line in lines]
    assert lines[-2].startswith(
        "The broker was stopped for 60 s; the 12,000 events of that time were delivered within 4.0 s"
    )
    assert lines[-1] == "The bridge stopped within 0.5 s."


def test_figures_of_short_run_are_not_checked() -> None:
    short = replace(RESULT, seconds=20.0, stop_s=6.0, phases=[phase("start"), phase("end", memory=500, rate=0)])
    assert short.violations == []
    assert table(short).splitlines()[-1] == "Drift, rate and stop are not checked: the run is shorter than 300 s."
