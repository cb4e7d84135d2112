"""Tables and results of benchmarks as text for terminals and Markdown. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

_DIGITS = 6


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    widths = [max(3, *(len(row[column]) for row in (head, *rows))) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = "|" + "|".join(
        ("-" * (width + 1) + ":") if column else "-" * (width + 2) for column, width in enumerate(widths)
    )
    return "\n".join([line(head), f"{rule}|", *(line(row) for row in rows)])


@dataclass(frozen=True)
class Target:
    """The target of a measured figure: its name and its bound.

    ``at_least`` makes the bound a minimum instead of a maximum; ``unit`` follows the number.
    """

    what: str
    bound: float
    unit: str = ""
    at_least: bool = False

    def verdict(self, figure: float, *, digits: int = 1) -> str:
        """Return a line with the figure, the bound, and whether it is reached.

        A figure that rounds to the bound is shown with more decimals.
        """
        while digits < _DIGITS and figure != self.bound and round(figure, digits) == self.bound:
            digits += 1
        reached = figure >= self.bound if self.at_least else figure <= self.bound
        word = "reached" if reached else "**falls short**"
        bound = f"at {'least' if self.at_least else 'most'} {self.bound:g}{self.unit}"
        return f"{self.what}: {figure:,.{digits}f}{self.unit} ({bound}): {word}"


@dataclass
class Figure:
    """The result of one benchmark: tables, each after its introduction, and verdicts."""

    name: str
    title: str
    parts: list[str] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return it as Markdown, with the title as a heading."""
        verdicts = "\n".join(f"- {verdict}" for verdict in self.verdicts)
        return "\n\n".join(part for part in (f"### {self.title}", *self.parts, verdicts) if part)


def spreads(head: str, unit: str, rows: Sequence[tuple[str, Sequence[float]]], *, digits: int) -> str:
    """Return a table with the runs' minimum, median and maximum, one row per name."""
    cells = [[name, *Spread.of(figures).cells(digits)] for name, figures in rows]
    return table([head, f"min {unit}".strip(), f"median {unit}".strip(), f"max {unit}".strip()], cells)
