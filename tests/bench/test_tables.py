from __future__ import annotations

import pytest

from bench.document import fill
from bench.tables import Figure, Target, spreads, table


def test_table_aligns_its_columns() -> None:
    assert table(["", "ms"], [["bridge", "0.2"], ["peer", "12.0"]]).splitlines() == [
        "|        |   ms |",
        "|--------|-----:|",
        "| bridge |  0.2 |",
        "| peer   | 12.0 |",
    ]


def test_row_of_runs_shows_their_spread() -> None:
    assert spreads("cost", "ms", [("bridge", [0.3, 0.1, 0.2])], digits=1).splitlines()[-1] == (
        "| bridge |    0.1 |       0.2 |    0.3 |"
    )


@pytest.mark.parametrize(
    ("figure", "at_least", "verdict"),
    [
        (9.0, True, "times: 9.0 (at least 8): reached"),
        (8.0, True, "times: 8.0 (at least 8): reached"),
        (7.0, True, "times: 7.0 (at least 8): **falls short**"),
        (7.0, False, "times: 7.0 (at most 8): reached"),
        (9.0, False, "times: 9.0 (at most 8): **falls short**"),
    ],
)
def test_verdict_compares_figure_with_target(figure: float, at_least: bool, verdict: str) -> None:
    assert Target("times", 8, at_least=at_least).verdict(figure) == verdict


@pytest.mark.parametrize("figure", [8.04, 7.96])
def test_figure_that_rounds_to_target_has_more_decimals(figure: float) -> None:
    assert f"{figure:.2f}" in Target("times", 8).verdict(figure)


def test_figure_text_has_title_tables_and_verdicts() -> None:
    assert Figure("name", "Title", ["table"], ["good", "bad"]).text() == "### Title\n\ntable\n\n- good\n- bad"


def test_fill_keeps_text_around_the_parts() -> None:
    document = "prose\n<!-- one -->\nold\n<!-- end of one -->\nmore\n<!-- two -->\n<!-- end of two -->\n"
    assert fill(document, {"one": "new"}) == document.replace("old", "new")


def test_fill_twice_gives_the_same_document() -> None:
    once = fill("<!-- one -->\n<!-- end of one -->", {"one": "a table"})
    assert fill(once, {"one": "a table"}) == once


def test_fill_document_without_the_part_is_rejected() -> None:
    with pytest.raises(ValueError, match="'one'"):
        fill("prose", {"one": "new"})
