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


def _of_league(event: Json, name: str) -> tuple[str, str, str]:
    return event["tag"], f"league {name}", event["metadata"]["war_id"]


def _league(tag: str, event: Json) -> Iterator[Claim]:
    yield Claim((tag, "league"), None, sorted(one["tag"] for one in event["metadata"]["clans"]))


def _league_round(_: str, event: Json) -> Iterator[Claim]:
    yield Claim(_of_league(event, "war"), None, "preparation")


def _league_state(_: str, event: Json) -> Iterator[Claim]:
    yield Claim(_of_league(event, "war"), event["metadata"]["war_state_from"], event["metadata"]["war_state_to"])


def _league_attack(_: str, event: Json) -> Iterator[Claim]:
    metadata = event["metadata"]
    value = [metadata["attacker_tag"], metadata["defender_tag"], metadata["stars"]]
    yield Claim((*_of_league(event, "attack"), metadata["order"]), None, value)


def _league_result(_: str, event: Json) -> Iterator[Claim]:
    metadata = event["metadata"]
    yield Claim(_of_league(event, "result"), None, [metadata["stars"], metadata["opponent_stars"]])


def _raids(tag: str, _: Json) -> Iterator[Claim]:
    yield Claim((tag, "raids"), None, True)


def _raid(tag: str, event: Json) -> Iterator[Claim]:
    yield Claim((tag, "raid", event["metadata"]["raid_index"]), None, event["metadata"]["defender_tag"])


def _raid_attack(tag: str, event: Json) -> Iterator[Claim]:
    metadata = event["metadata"]
    key = (tag, "raid attack", metadata["raid_index"], metadata["district_id"], metadata["order"])
    yield Claim(key, None, [metadata["attacker_tag"], metadata["destruction"]])


def _totals(name: str, keys: tuple[str, ...], fields: tuple[str, ...]) -> Callable[[str, Json], Iterator[Claim]]:
    """Claim a fact that appears once, with the values of ``fields``; ``keys`` identify it."""

    def claim(tag: str, event: Json) -> Iterator[Claim]:
        metadata = event["metadata"]
        yield Claim((tag, name, *(metadata[key] for key in keys)), None, [metadata[field] for field in fields])

    return claim


def _raid_on_us(tag: str, event: Json) -> Iterator[Claim]:
    yield Claim((tag, "raid on us", event["metadata"]["attacker_tag"]), None, event["metadata"]["attacks"])


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
    "cwl_started": _league,
    "cwl_round_new": _league_round,
    "cwl_round_state_changed": _league_state,
    "cwl_attack_new": _league_attack,
    "cwl_round_ended": _league_result,
    "cwl_ended": _totals("league totals", (), ("won", "lost", "tied", "stars")),
    "raid_started": _raids,
    "raid_opponent_new": _raid,
    "raid_attack_new": _raid_attack,
    "raid_district_destroyed": _totals("raided district", ("raid_index", "district_id"), ("attacks", "loot")),
    "raid_clan_destroyed": _totals("raided clan", ("raid_index",), ("attacks", "loot")),
    "raid_defense_ended": _raid_on_us,
    "raid_ended": _totals("raid totals", (), ("attacks", "loot")),
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
