"""The metadata of the events of a player's ranked battles."""

from __future__ import annotations

from coc2mqtt.events.metadata.common import Direction, Metadata, Time


class _Ranked(Metadata):
    season: int
    """The API's id of the ranked week: its start as Unix time in seconds."""


class RankedWeekStarted(_Ranked):
    """The player was placed in the league group of a new ranked week."""

    group_tag: str
    """The tag of the league group."""
    tier_id: int | None
    tier_name: str | None


class RankedWeekEnded(_Ranked):
    """A ranked week of the player ended."""

    group_tag: str | None
    placement: int | None
    """The final place in the league group; null if the API does not show it."""
    trophies: int | None
    attack_wins: int | None
    attack_losses: int | None
    defense_wins: int | None
    defense_losses: int | None
    old_tier_id: int | None
    """The league tier of that week."""
    old_tier_name: str | None
    new_tier_id: int | None
    """The league tier afterwards; null if it is unknown."""
    new_tier_name: str | None
    direction: Direction | None
    """Null if the tier is the same, or unknown."""


class _RankedBattle(_Ranked):
    opponent_tag: str | None
    opponent_name: str | None
    stars: int | None
    destruction: float | None
    """In percent."""
    trophies: int | None
    """The trophies that the player won."""
    battle_at: Time | None
    """When the battle took place."""


class RankedAttackNew(_RankedBattle):
    """The player attacked in a ranked battle."""


class RankedDefenseNew(_RankedBattle):
    """The player was attacked in a ranked battle."""


class LegendDayEnded(Metadata):
    """A day of a player in the Legend League ended, at 05:00 UTC."""

    day: str
    """The date on which the day started (`2026-11-30`)."""
    attacks: int
    defenses: int
    trophies_gained: int | None
    """The trophies won by attacks; null if the API does not show them."""
    trophies_lost: int | None
    """The trophies lost in defences; null if the API does not show them."""
