"""The retained state of a clan's raid weekend. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from coc2mqtt.clash.response import api_time
from coc2mqtt.events.compare.raid_state import members_not_started, raid_state
from coc2mqtt.mqtt.payloads.models import Payload, Time, iso_time
from coc2mqtt.mqtt.payloads.values import json_objects, short_text, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coc2mqtt.events.compare.raid_state import RaidState
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]
RaidPhase = Literal["none", "ongoing", "ended"]

# The largest clan has 50 members, and members who have left it are listed too.
_MAX_MEMBERS = 60


class RaidMemberLeftPayload(Payload):
    """A member who has started to attack and has attacks left."""

    tag: str | None
    name: str | None
    """The tag if the API returns no name."""
    attacks_left: int


class RaidMemberPayload(Payload):
    """A member of the clan."""

    tag: str | None
    name: str | None
    """The tag if the API returns no name."""


class RaidOpponentPayload(Payload):
    """The clan that is being raided."""

    tag: str | None
    name: str | None
    """The tag if the API returns no name."""
    districts_left: int
    """The number of its districts that are not destroyed yet."""


class RaidPayload(Payload):
    """The last raid weekend of a clan; most keys are null if it has never raided."""

    state: RaidPhase
    """`none` if the clan has never raided; `ended` until it starts to raid in the next weekend."""
    start_time: Time | None
    end_time: Time | None
    loot: int | None
    """The capital gold looted by the clan."""
    attacks: int | None
    """The number of attacks used."""
    attacks_left: int | None
    """The attacks left of the members who have started to attack; after the end, those that they did not use."""
    districts_destroyed: int | None
    raids_completed: int | None
    """The number of clans that the clan destroyed; unlike the API's number without the raids on the clan."""
    opponent: RaidOpponentPayload | None
    """Null after a completed raid until the next one starts, and after the weekend."""
    estimated_medals: int | None
    """The raid medals for each attack as they are now, computed from the destroyed districts; null as soon as
    ``offensive_reward`` is known."""
    offensive_reward: int | None
    """Raid medals for each attack used; null until the API shows it after the weekend."""
    defensive_reward: int | None
    """Raid medals for the defence; null until the API shows it after the weekend."""
    max_medals: int | None
    """The raid medals of a member with six attacks; null like ``offensive_reward``."""
    members_with_attacks_left: list[RaidMemberLeftPayload]
    """Members who have started to attack and have attacks left, those with the most left first; at most 60. Some of
    them may have left the clan."""
    members_not_started: list[RaidMemberPayload] | None
    """Members of the clan who have not attacked, by name; after the weekend, those who were in the clan at its end.
    Null if they are unknown, empty if the clan has never raided."""
    updated_at: Time
    """When the bridge first received this state of the raid weekend."""


def raid_payload(snapshot: Snapshot, roster: list[Json] | None) -> RaidPayload:
    """Return the last raid weekend of a clan; ``roster`` is the list of its members, None if it is unknown."""
    state = raid_state(snapshot)
    opponent = state.opponent
    return RaidPayload(
        state=state.state,
        start_time=api_time(state.start_time),
        end_time=api_time(state.end_time),
        loot=state.loot,
        attacks=state.attacks,
        attacks_left=state.attacks_left,
        districts_destroyed=state.districts_destroyed,
        raids_completed=state.raids_completed,
        opponent=None
        if opponent is None
        else RaidOpponentPayload(
            tag=text(opponent.tag),
            name=text(opponent.name) or text(opponent.tag),
            districts_left=opponent.districts_left,
        ),
        estimated_medals=state.estimated_medals,
        offensive_reward=state.offensive_reward,
        defensive_reward=state.defensive_reward,
        max_medals=state.max_medals,
        members_with_attacks_left=_with_attacks_left(state),
        members_not_started=_not_started(state, roster),
        updated_at=iso_time(snapshot.taken_at),
    )


def _with_attacks_left(state: RaidState) -> list[RaidMemberLeftPayload]:
    # The API's order changes from response to response.
    members = sorted(
        (member for member in state.members if member["attacks_left"] > 0),
        key=lambda member: (-member["attacks_left"], *_by_name(member)),
    )
    return [
        RaidMemberLeftPayload(attacks_left=member["attacks_left"], **_tag_and_name(member))
        for member in members[:_MAX_MEMBERS]
    ]


def _not_started(state: RaidState, roster: list[Json] | None) -> list[RaidMemberPayload] | None:
    if state.state == "none":
        return []
    if state.is_end_reported:
        missing = state.not_started  # who has joined the clan since then could not attack
    elif roster is None:
        missing = None
    else:
        known = [member for member in json_objects(roster) if isinstance(member.get("tag"), str)]
        missing = tuple(members_not_started(state, known))
    if missing is None:
        return None
    members = sorted(missing, key=_by_name)[:_MAX_MEMBERS]
    return [RaidMemberPayload(**_tag_and_name(member)) for member in members]


def _by_name(member: Mapping[str, Any]) -> tuple[str, str]:
    name = member.get("name")
    return (name if isinstance(name, str) else "").casefold(), member["tag"]


def _tag_and_name(member: Mapping[str, Any]) -> Json:
    tag = short_text(member.get("tag"))
    return {"tag": tag, "name": short_text(member.get("name")) or tag}
