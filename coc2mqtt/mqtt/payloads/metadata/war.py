"""The metadata of a war's events."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from coc2mqtt.mqtt.payloads.metadata.common import Metadata


class _War(Metadata):
    war_id: str | None
    """The same in all events of one war."""
    opponent_tag: str | None
    opponent_name: str | None


class WarNew(_War):
    """A war was declared."""

    team_size: int | None
    attacks_per_member: int
    preparation_start_time: str | None
    """As the API writes it, in UTC: `20261101T080000.000Z`."""
    start_time: str | None
    """When the battle begins; as the API writes it, in UTC."""
    end_time: str | None
    """When the battle ends; as the API writes it, in UTC."""


class WarStateChanged(_War):
    """A war has reached its next state."""

    war_state_from: str
    """`notInWar`, `preparation`, `inWar` or `warEnded`."""
    war_state_to: str
    """`notInWar`, `preparation`, `inWar` or `warEnded`."""


class WarAttackNew(_War):
    """An attack was made, by the clan or on it."""

    attacker_tag: str
    attacker_name: str | None
    attacker_position: int | None
    """The place on the war map, from 1 on."""
    attacker_town_hall: int | None
    defender_tag: str
    defender_name: str | None
    defender_position: int | None
    """The place on the war map, from 1 on."""
    defender_town_hall: int | None
    stars: int | None
    """0 to 3; null where the API does not say it."""
    new_stars: int | None
    """How many stars the attack adds to the score: a base counts with the best attack on it."""
    destruction: float | None
    """Per cent."""
    order: int
    """The number of the attack within the war, over both sides, from 1 on."""
    duration: int | None
    """Seconds."""
    side: Literal["clan", "opponent"]
    """Whose attack it was: the watched clan's or its opponent's."""


class MemberAttacksLeft(BaseModel):
    """A member who did not make all attacks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str
    name: str | None
    attacks_left: int


class WarEnded(_War):
    """A war is over, and its result does not change any more."""

    result: Literal["win", "lose", "tie", "unknown", "cancelled"]
    """The clan's; `cancelled` where the war was gone before its battle began."""
    observed: bool
    """Whether the end itself was seen; if not, `source` says what the figures are from."""
    source: Literal["war", "opponent", "war_log", "last_seen"]
    """The clan's own war, the opponent's, the clan's war log, or the last that was seen before the end."""
    stars: int | None
    opponent_stars: int | None
    destruction: float | None
    """Per cent."""
    opponent_destruction: float | None
    """Per cent."""
    attacks: int | None
    opponent_attacks: int | None
    attacks_left: int | None
    """How many attacks the clan did not make; null where that is not known."""
    members_attacks_left: list[MemberAttacksLeft] | None
    """Who did not make all attacks, those with the most first; as many as fit."""


class WarLogPrivate(Metadata):
    """A clan has made its war log private: its war cannot be seen any more."""


class WarLogPublic(Metadata):
    """A clan has made its war log public again."""
