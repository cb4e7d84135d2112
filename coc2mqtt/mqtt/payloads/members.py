"""The retained state of a clan's members. Pure: no clock, no I/O."""

from __future__ import annotations

from typing import Any

from coc2mqtt.mqtt.payloads.models import Payload, Time, iso_time
from coc2mqtt.mqtt.payloads.values import integer, json_object, json_objects
from coc2mqtt.util.text import shorten_json

Json = dict[str, Any]

# The largest clan in the game.
_MAX_MEMBERS = 50
# Limits that keep fifty members below 16 kB, more than any value in the game needs. Texts in bytes of JSON.
_MAX_NAME_BYTES, _MAX_LEAGUE_BYTES, _MAX_TAG_BYTES = 64, 32, 18
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


class MembersPayload(Payload):
    """The members of a clan; published only when one of them changes.

    The payload has less than 16 kB: long texts are cut, and a number above 999,999,999 is null.
    """

    members: tuple[MemberPayload, ...] | None
    """In the API's order, at most 50; null while the API does not list the members."""
    updated_at: Time
    """When the bridge received these members, or a later state of the clan with the same members."""


def members_payload(clan: Json, taken_at: float) -> MembersPayload:
    """Return the members of a clan, from a response at the Unix time ``taken_at`` (seconds)."""
    members = clan.get("memberList")
    return MembersPayload(
        members=tuple(_member_payload(member) for member in json_objects(members)[:_MAX_MEMBERS])
        if isinstance(members, list)
        else None,
        updated_at=iso_time(taken_at),
    )


def _member_payload(member: Json) -> MemberPayload:
    tag = _short_text(member.get("tag"), _MAX_TAG_BYTES)
    return MemberPayload(
        tag=tag,
        name=_short_text(member.get("name"), _MAX_NAME_BYTES) or tag,
        role=_short_text(member.get("role"), _MAX_TAG_BYTES),
        town_hall_level=_number(member.get("townHallLevel")),
        league=_short_text(
            json_object(member.get("leagueTier") or member.get("league")).get("name"), _MAX_LEAGUE_BYTES
        ),
        donations=_number(member.get("donations")),
        donations_received=_number(member.get("donationsReceived")),
        trophies=_number(member.get("trophies")),
    )


def _number(value: object) -> int | None:
    number = integer(value)
    return number if number is not None and 0 <= number <= _MAX_NUMBER else None


def _short_text(value: object, max_bytes: int) -> str | None:
    return shorten_json(value, max_bytes) if isinstance(value, str) else None
