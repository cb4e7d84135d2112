"""An achievement: one of a list that every player has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

ALL_STARS = 3


@dataclass(slots=True)
class Achievement:
    """An achievement and how far a player has come with it; ``label`` is what precedes the value, if it is shown.

    Neither the name nor the name and the village tell it from all others; ``info`` does in addition.
    """

    name: str
    village: str
    stars: int
    value: int
    target: int
    info: str
    label: str | None

    @property
    def is_complete(self) -> bool:
        """Whether there is no star left to win."""
        return self.stars >= ALL_STARS

    def complete(self) -> None:
        """Win all stars."""
        self.stars = ALL_STARS
        self.value = max(self.value, self.target)

    def body(self) -> Json:
        """Return the achievement as the API shows it."""
        return {
            "name": self.name,
            "stars": self.stars,
            "value": self.value,
            "target": self.target,
            "info": self.info,
            "completionInfo": None if self.label is None else f"{self.label}{self.value}",
            "village": self.village,
        }
