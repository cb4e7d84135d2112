"""Claims: the values of facts that an event reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.chaos.ground_truth import CLAN_FIELDS, MEMBER_FIELDS, PLAYER_FIELDS, PRESENT, attack, member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.chaos.ground_truth import Key

Json = dict[str, Any]


class _Unknown:
    """Stands for a value that an event does not report."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = _Unknown()


class Claim(NamedTuple):
    """States that a fact was ``old`` and is ``new``; ``UNKNOWN`` if the event leaves it open."""

    key: Key
    old: Any
    new: Any


def claims(event: Json) -> list[Claim]:
    """Return everything that an event claims.

    Raises LookupError if the event reports a fact that never changes in these runs: such an event is false.
    """
    return list(_CLAIMS[event["event_type"]](event["tag"], event))


def _changes(tag: str, event: Json, fields: tuple[str, ...]) -> Iterator[Claim]:
    for change in event["changes"]:
        if change["field"] not in fields:
            raise LookupError(f"the field {change['field']} never changes in these runs")
        yield Claim((tag, change["field"]), change["old_value"], change["new_value"])


def _clan(tag: str, event: Json) -> Iterator[Claim]:
    return _changes(tag, event, CLAN_FIELDS)


def _player(tag: str, event: Json) -> Iterator[Claim]:
    return _changes(tag, event, PLAYER_FIELDS)


def _member(tag: str, event: Json) -> Iterator[Claim]:
    member_tag = event["metadata"]["member_tag"]
    for claim in _changes(tag, event, MEMBER_FIELDS):
        yield claim._replace(key=member(tag, member_tag, claim.key[1]))


def _joined(tag: str, event: Json) -> Iterator[Claim]:
    metadata = event["metadata"]
    known = {"role": metadata["role"], "name": metadata["member_name"], "townHallLevel": metadata["town_hall_level"]}
    yield Claim(member(tag, metadata["member_tag"], PRESENT), None, True)
    for field in MEMBER_FIELDS:
        yield Claim(member(tag, metadata["member_tag"], field), None, known.get(field, UNKNOWN))


def _left(tag: str, event: Json) -> Iterator[Claim]:
    metadata = event["metadata"]
    yield Claim(member(tag, metadata["member_tag"], PRESENT), True, None)
    for field in MEMBER_FIELDS:
        # The last values of a member who left need not have been reported.
        yield Claim(member(tag, metadata["member_tag"], field), UNKNOWN, None)


def _war(tag: str, event: Json) -> Iterator[Claim]:
    yield Claim((tag, "war"), None, event["metadata"]["opponent_tag"])


def _war_state(tag: str, event: Json) -> Iterator[Claim]:
    yield Claim((tag, "war state"), event["metadata"]["war_state_from"], event["metadata"]["war_state_to"])


def _attack(tag: str, event: Json) -> Iterator[Claim]:
    metadata = event["metadata"]
    value = [metadata["attacker_tag"], metadata["defender_tag"], metadata["stars"]]
    yield Claim(attack(tag, metadata["opponent_tag"], metadata["order"]), None, value)


def _unit(name: str) -> Callable[[str, Json], Iterator[Claim]]:
    def claim(tag: str, event: Json) -> Iterator[Claim]:
        metadata = event["metadata"]
        yield Claim((tag, name, metadata["name"], metadata["village"]), metadata["old_level"], metadata["new_level"])

    return claim


def _achievement(tag: str, event: Json) -> Iterator[Claim]:
    metadata = event["metadata"]
    for change in event["changes"]:
        key = (tag, "achievement", metadata["name"], metadata["village"], metadata["info"])
        yield Claim(key, change["old_value"], change["new_value"])


_CLAIMS: dict[str, Callable[[str, Json], Iterator[Claim]]] = {
    "clan_updated": _clan,
    "member_joined": _joined,
    "member_left": _left,
    "member_role_changed": _member,
    "member_updated": _member,
    "member_donations": _member,
    "war_new": _war,
    "war_state_changed": _war_state,
    "war_attack_new": _attack,
    "troop_upgraded": _unit("troops"),
    "spell_upgraded": _unit("spells"),
    "hero_upgraded": _unit("heroes"),
    "hero_equipment_upgraded": _unit("heroEquipment"),
    "townhall_upgraded": _player,
    "builderhall_upgraded": _player,
    "player_name_changed": _player,
    "player_updated": _player,
    "achievement_completed": _achievement,
}
