"""The metadata of a player's events."""

from __future__ import annotations

from typing import Literal

from coc2mqtt.mqtt.payloads.metadata.common import Direction, Metadata


class PlayerUpdated(Metadata):
    """Something about a player has changed that has no event of its own; `changes` says what."""


class _Unit(Metadata):
    name: str
    old_level: int | None
    """Null: it was just unlocked."""
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
    """An equipment of heroes was upgraded or unlocked."""

    category: Literal["equipment"]


class _Level(Metadata):
    old_value: int | None
    new_value: int


class TownhallUpgraded(_Level):
    """The town hall was upgraded."""


class TownhallWeaponUpgraded(_Level):
    """The town hall's weapon was upgraded."""


class BuilderhallUpgraded(_Level):
    """The builder hall was upgraded."""


class _Named(Metadata):
    name: str
    village: str | None
    """`home` or `builderBase`."""


class SuperTroopStarted(_Named):
    """A super troop was boosted."""


class SuperTroopEnded(_Named):
    """A super troop is not boosted any more."""


class HeroEquipmentChanged(_Named):
    """A hero wears something else than before; `name` is the hero's."""

    added: list[str]
    removed: list[str]


class PlayerNameChanged(Metadata):
    """A player is called something else than before."""

    old_value: str | None
    new_value: str | None


class PlayerLeagueChanged(Metadata):
    """A player is in another league than before."""

    old_value: str | None
    """The league's name; null: none."""
    new_value: str | None
    """The league's name; null: none."""
    direction: Direction | None
    """Null where it cannot be told."""


class PlayerLabelChanged(Metadata):
    """A player wears other labels than before."""

    old_value: list[str]
    new_value: list[str]
    added: list[str]
    removed: list[str]


class PlayerWarPreferenceChanged(Metadata):
    """A player wants to fight in wars, or does not want to any more."""

    old_value: str | None
    """`in` or `out`."""
    new_value: str
    """`in` or `out`."""


class _Clan(Metadata):
    clan_tag: str
    clan_name: str | None


class PlayerClanJoined(_Clan):
    """A player has joined a clan."""


class PlayerClanLeft(_Clan):
    """A player has left a clan."""


class AchievementCompleted(_Named):
    """A player has completed an achievement."""

    info: str | None
    """What was to be done for it."""
    stars: int | None
