"""The retained state of a player's ranked battles. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from coc2mqtt.events.compare.ranked_state import ranked_state
from coc2mqtt.mqtt.payloads.models import Payload, Time, iso_time

if TYPE_CHECKING:
    from coc2mqtt.events.resource import Snapshot


class RankedResultPayload(Payload):
    """The result of a player's last ranked week."""

    season: int
    placement: int | None
    trophies: int | None
    tier: str | None
    """The league tier afterwards."""
    direction: Literal["promoted", "demoted"] | None


class RankedPayload(Payload):
    """A player's ranked week; null where the player has not signed up. Published only if `ranked` is on."""

    season: int | None
    """The API's id of the week: its start as Unix time in seconds."""
    end_at: Time | None
    """The end of the week."""
    tier_id: int | None
    tier: str | None
    """The player's league tier."""
    group_tag: str | None
    group_size: int | None
    placement: int | None
    """The present place in the league group, by trophies."""
    trophies: int | None
    """The trophies won in this week."""
    attacks: int | None
    """The number of attacks in this week."""
    attack_wins: int | None
    attack_losses: int | None
    defenses: int | None
    defense_wins: int | None
    defense_losses: int | None
    last_week: RankedResultPayload | None
    """The last week whose result was reported; null before the first."""
    updated_at: Time


def ranked_payload(snapshot: Snapshot) -> RankedPayload:
    """Return the state of a player's ranked battles from the snapshot of their resource."""
    state = ranked_state(snapshot)
    place, last = state.place, state.last
    return RankedPayload(
        season=state.season,
        end_at=None if state.end is None else iso_time(state.end),
        tier_id=state.tier.id,
        tier=state.tier.name,
        group_tag=state.group,
        group_size=None if place is None else place.size,
        placement=None if place is None else place.placement,
        trophies=None if place is None else place.trophies,
        attacks=None if place is None else place.attack_wins + place.attack_losses,
        attack_wins=None if place is None else place.attack_wins,
        attack_losses=None if place is None else place.attack_losses,
        defenses=None if place is None else place.defense_wins + place.defense_losses,
        defense_wins=None if place is None else place.defense_wins,
        defense_losses=None if place is None else place.defense_losses,
        last_week=None
        if last is None
        else RankedResultPayload(
            season=last["season"],
            placement=last["placement"],
            trophies=last["trophies"],
            tier=last["new_tier_name"],
            direction=last["direction"],
        ),
        updated_at=iso_time(snapshot.taken_at),
    )
