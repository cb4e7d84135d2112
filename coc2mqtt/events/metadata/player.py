"""The metadata of a player's events."""

from __future__ import annotations

from typing import Literal

from coc2mqtt.events.metadata.common import Direction, Metadata, Updated


class PlayerUpdated(Updated):
    """Player fields without an event type of their own changed; `changes` lists them."""


class _Unit(Metadata):
    name: str
    old_level: int | None
    """Null if it was just unlocked."""
    new_level: int
    max_level: int | None
    village: str | None
    """`home` or `builderBase`."""


class TroopUpgraded(_Unit):
    """A troop, a pet or a siege machine was upgraded or unlocked."""

    category: Literal["troop", "siege_machine", "pet", "builder_base_unit"]


class SpellUpgraded(_Unit):
    """A spell was upgraded or unlocked."""

    category: Literal["spell"]


class HeroUpgraded(_Unit):
    """A hero was upgraded or unlocked."""

    category: Literal["hero"]


class HeroEquipmentUpgraded(_Unit):
    """A piece of hero equipment was upgraded or unlocked."""

    category: Literal["equipment"]


class _Hall(Metadata):
    old_value: int | None
    new_value: int


class TownhallUpgraded(_Hall):
    """The town hall was upgraded."""


class TownhallWeaponUpgraded(_Hall):
    """The town hall's weapon was upgraded."""


class BuilderhallUpgraded(_Hall):
    """The builder hall was upgraded."""


class _Named(Metadata):
    name: str
    village: str | None
    """`home` or `builderBase`."""


class SuperTroopStarted(_Named):
    """A super troop was boosted."""


class SuperTroopEnded(_Named):
    """The boost of a super troop ended."""


class HeroEquipmentChanged(_Named):
    """The equipment of a hero changed; `name` is the hero."""

    added: list[str]
    removed: list[str]


class PlayerNameChanged(Metadata):
    """The player was renamed."""

    old_value: str | None
    new_value: str | None


class PlayerLeagueChanged(Metadata):
    """The player moved to another league."""

    old_value: str | None
    """The name of the league; null if the player was in none."""
    new_value: str | None
    """The name of the league; null if the player was in none."""
    direction: Direction | None
    """Null if it is unknown."""


class PlayerLabelChanged(Metadata):
    """The player's labels changed."""

    old_value: list[str]
    new_value: list[str]
    added: list[str]
    removed: list[str]


class PlayerWarPreferenceChanged(Metadata):
    """The player opted in to or out of clan wars."""

    old_value: str | None
    """`in` or `out`."""
    new_value: str
    """`in` or `out`."""


class _Clan(Metadata):
    clan_tag: str
    clan_name: str | None


class PlayerClanJoined(_Clan):
    """The player joined a clan."""


class PlayerClanLeft(_Clan):
    """The player left a clan."""


class AchievementCompleted(_Named):
    """The player completed an achievement."""

    info: str | None
    """The goal of the achievement."""
    stars: int | None


class CapitalContribution(Metadata):
    """The player contributed capital gold to the clan capital."""

    amount: int
    """The increase since the last poll."""
    total: int
    """The contributions of all time."""
