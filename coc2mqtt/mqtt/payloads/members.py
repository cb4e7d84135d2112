"""The retained state of a clan's members. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coc2mqtt.events.compare.activity import clan_activity
from coc2mqtt.mqtt.payloads.models import Payload, Time, iso_time
from coc2mqtt.mqtt.payloads.values import json_objects, short_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coc2mqtt.events.compare.activity import ClanActivity, MemberActivity
    from coc2mqtt.events.resource import Snapshot

Json = dict[str, Any]

# The largest clan in the game.
_MAX_MEMBERS = 50
# Limits that keep fifty members below 24 kB, more than any value in the game needs. Texts in bytes of JSON.
_MAX_LEAGUE_BYTES, _MAX_TAG_BYTES = 32, 18
_MAX_NUMBER = 999_999_999


class MemberPayload(Payload):
    """A member of a clan."""

    tag: str | None
    name: str | None
    """The tag if the API returns no name."""
    role: str | None
    """The API's value: `member`, `admin` (an elder), `coLeader` or `leader`."""
    town_hall_level: int | None
    league: str | None
    donations: int | None
    """In this season, like `donations_received`."""
    donations_received: int | None
    trophies: int | None
    donations_today: int | None
    """Since 05:00 UTC, and `donations_week` since Monday at 05:00 UTC, as far as the bridge saw them."""
    donations_week: int | None
    last_seen_at: Time | None
    """When the bridge last saw something that only the member can do, or first saw the member."""
    inactive: bool | None
    """Whether `member_inactive` was published since then."""


class MembersPayload(Payload):
    """The members of a clan; published only when one of them changes.

    The payload has less than 24 kB: long texts are cut, and a number above 999,999,999 is null.
    """

    members: tuple[MemberPayload, ...] | None
    """In the API's order, at most 50; null while the API does not list the members."""
    updated_at: Time
    """When the bridge received these members, or a later state of the clan with the same members."""


def members_payload(clan: Json, taken_at: float, activity: ClanActivity | None = None) -> MembersPayload:
    """Return the members of a clan, from a response at the Unix time ``taken_at`` (seconds)."""
    members = clan.get("memberList")
    known = {} if activity is None else activity.members
    listed = None
    if isinstance(members, list):
        listed = [_member(member, known) for member in json_objects(members)[:_MAX_MEMBERS]]
    # One validation of all takes a third of the time of fifty.
    return MembersPayload.model_validate({"members": listed, "updated_at": iso_time(taken_at)})


def members_hash(snapshot: Snapshot) -> int:
    """Return a hash of everything about a clan's members that their payload contains, for comparisons in one process.

    It takes a fifth of the time of the payload.
    """
    members, activity = (snapshot.data or {}).get("memberList"), clan_activity(snapshot)
    seen = None if activity is None else tuple(activity.members.values())
    try:
        return hash(None if members is None else (*map(_key, members), seen))
    except (AttributeError, TypeError):  # values of unexpected types
        return hash(repr((members, seen)))


def names_hash(payload: Payload) -> int | None:
    """Return a hash of the tags and names in a ``MembersPayload``, None if they are unknown."""
    if not isinstance(payload, MembersPayload) or payload.members is None:
        return None
    return hash(frozenset((member.tag, member.name) for member in payload.members))


def sum_of_members(clan: Json, key: str) -> int | None:
    """Return the sum of a number of all members of a clan, None while they are unknown."""
    members = clan.get("memberList")
    if not isinstance(members, list):
        return None
    return sum(value for member in json_objects(members) if type(value := member.get(key)) is int)


def _member(member: Json, activity: Mapping[str, MemberActivity]) -> Json:
    """Return the fields of a ``MemberPayload``."""
    get = member.get
    known = activity.get(raw) if isinstance(raw := get("tag"), str) else None
    league = get("leagueTier") or get("league")
    tag = short_text(get("tag"), _MAX_TAG_BYTES)
    return {
        "tag": tag,
        "name": short_text(get("name")) or tag,
        "role": short_text(get("role"), _MAX_TAG_BYTES),
        "town_hall_level": _number(get("townHallLevel")),
        "league": short_text(league.get("name"), _MAX_LEAGUE_BYTES) if isinstance(league, dict) else None,
        "donations": _number(get("donations")),
        "donations_received": _number(get("donationsReceived")),
        "trophies": _number(get("trophies")),
        "donations_today": None if known is None else _number(known.donations_today),
        "donations_week": None if known is None else _number(known.donations_week),
        "last_seen_at": None if known is None else iso_time(known.last_seen),
        "inactive": None if known is None else known.inactive,
    }


def _key(member: Json) -> tuple[object, ...]:
    get = member.get
    league = get("leagueTier") or get("league")
    return (
        get("tag"),
        get("name"),
        get("role"),
        get("townHallLevel"),
        league and league.get("name"),
        get("donations"),
        get("donationsReceived"),
        get("trophies"),
    )


def _number(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MAX_NUMBER else None
